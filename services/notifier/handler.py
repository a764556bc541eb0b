"""An outcome for each event that a student hears of.

The push comes before its row: a process that dies in between pushes again under the same key, and the push service
delivers a key once. The other order would lose the message.
"""

from services.common.errors import PermanentError, TransientError
from services.engine.outcomes import Dead, Done, Outcome, Retry
from services.notifier.courses import CourseNames
from services.notifier.messages import Announced, message_of
from services.notifier.notifications import Notifications, Status
from services.notifier.push import Push


class Notifier:
    """`push` None: no push service is configured, so every message is skipped."""

    def __init__(self, notifications: Notifications, push: Push | None, courses: CourseNames) -> None:
        self._notifications = notifications
        self._push = push
        self._courses = courses

    async def notify(self, event: Announced) -> Outcome:
        """Raises DependencyError when PostgreSQL or the push service is away: then nothing is recorded, and the record
        is tried again once it is back.
        """
        if await self._notifications.is_settled(event.event_id):
            return Done(result="duplicate")
        if self._push is None:
            await self._notifications.record(event, Status.SKIPPED)
            return Done()
        message = message_of(event, await self._courses.name_of(event.course_id))
        try:
            await self._push.send(message, event.event_id)
        except (TransientError, PermanentError) as error:
            await self._notifications.record(event, Status.FAILED, error=f"{error.cause_class}: {error}")
            return Retry(error) if isinstance(error, TransientError) else Dead(error)
        await self._notifications.record(event, Status.SENT)
        return Done()
