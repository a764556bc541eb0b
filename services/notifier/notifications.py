"""What was told to whom: one row per event and channel. Table: notifications (read and written)."""

from enum import StrEnum
from uuid import UUID

from services.common.database import Database
from services.notifier.limits import ERROR_CHARACTERS_MAX
from services.notifier.messages import Announced

CHANNEL = "push"
_IS_SETTLED = "SELECT status <> 'failed' FROM notifications WHERE event_id = $1 AND channel = $2"
# What was sent stays sent, whatever a later copy of the event met.
_RECORD = """
INSERT INTO notifications AS known (event_id, channel, order_id, student_id, event_type, status, error)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (event_id, channel) DO UPDATE
   SET status = excluded.status, error = excluded.error, updated_at = clock_timestamp()
 WHERE known.status <> 'sent'
"""


class Status(StrEnum):
    """`failed` also while tiers are left: the next try may still change it. `skipped`: there is nowhere to send it."""

    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"


class Notifications:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_settled(self, event_id: UUID) -> bool:
        """Whether the event was sent or skipped."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(_IS_SETTLED, event_id, CHANNEL))

    async def record(self, event: Announced, status: Status, *, error: str | None = None) -> None:
        short = error[:ERROR_CHARACTERS_MAX] if error is not None else None
        about = (event.order_id, event.student_id, type(event).__name__)
        async with self._database.connection() as connection:
            await connection.execute(_RECORD, event.event_id, CHANNEL, *about, status, short)
