"""The course service: GET {COURSE_SERVICE_URL}/courses/{courseId} -> {courseId, name}.

A name is an ornament, so nothing waits for it: when there is none within COURSE_CALL_S, the last known one is used, and
else the course's id. The message goes out now with the id rather than later with the name.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import orjson
import structlog

from services.common.errors import RecordError
from services.notifier.limits import (
    COURSE_NAME_CHARACTERS_MAX,
    COURSE_NAME_FRESH_S,
    COURSE_NAMES_MAX,
    COURSE_UNKNOWN_FRESH_S,
)
from services.notifier.outside import Answer, OutsideService

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Known:
    name: str
    until: float


class CourseNames:
    """`service` None: no course service is configured, ids are used."""

    def __init__(self, service: OutsideService | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def name_of(self, course_id: str) -> str:
        """Never raises, never waits longer than one call may take."""
        known = self._known.get(course_id)
        if self._service is None or (known is not None and self._clock() < known.until):
            return known.name if known is not None else course_id
        try:
            answer = await self._service.call("GET", f"/courses/{course_id}")
        except RecordError as error:
            log.warning("course_name_missing", courseId=course_id, error_class=error.cause_class, outcome="failed")
            return known.name if known is not None else course_id
        name = _name_in(answer)
        self._remember(course_id, name or course_id, COURSE_NAME_FRESH_S if name else COURSE_UNKNOWN_FRESH_S)
        return name or course_id

    def _remember(self, course_id: str, name: str, fresh_s: float) -> None:
        self._known[course_id] = _Known(name, self._clock() + fresh_s)
        self._known.move_to_end(course_id)
        if len(self._known) > COURSE_NAMES_MAX:
            self._known.popitem(last=False)


def _name_in(answer: Answer) -> str | None:
    if not answer.ok:
        return None
    try:
        told = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    name = told.get("name") if isinstance(told, dict) else None
    return name.strip()[:COURSE_NAME_CHARACTERS_MAX] or None if isinstance(name, str) else None
