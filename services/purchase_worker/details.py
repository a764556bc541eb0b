"""The column student_course_purchases.metadata: the schedule as the student ordered it, and what came with the order.

Keys: `schedule` (as in the body of POST /api/v1/orders), its `timeSlot`, `date` and `timeZone` again for readers that
want no more, and every key of the order's own metadata.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import orjson

from services.common.events import Schedule

_OURS = frozenset({"schedule", "timeSlot", "date", "timeZone"})


def details_json(schedule: Schedule, metadata: Mapping[str, str]) -> str:
    """An order's own key that is named like one of ours gives way."""
    ours = {
        "timeSlot": schedule.time_slot,
        "date": schedule.start_date.isoformat(),
        "timeZone": schedule.time_zone,
        "schedule": _body_of(schedule),
    }
    return orjson.dumps({**metadata, **ours}).decode()


def read_details(stored: str | bytes) -> tuple[Schedule, dict[str, str]]:
    """The schedule and the order's own metadata."""
    details = orjson.loads(stored)
    return _schedule_from(details["schedule"]), own_metadata(details)


def own_metadata(details: Mapping[str, Any]) -> dict[str, str]:
    """An order's own keys, without those that give way to ours."""
    return {name: value for name, value in details.items() if name not in _OURS}


def _body_of(schedule: Schedule) -> dict[str, Any]:
    has_place = schedule.latitude is not None
    return {
        "startDate": schedule.start_date.isoformat(),
        "timeSlot": schedule.time_slot,
        "weekdays": schedule.weekdays,
        "timeZone": schedule.time_zone,
        "durationMinutes": schedule.duration_minutes,
        "mode": schedule.mode,
        "preferredGender": schedule.preferred_gender,
        "location": {"latitude": schedule.latitude, "longitude": schedule.longitude} if has_place else None,
        "flexibility": schedule.flexibility,
    }


def _schedule_from(body: Mapping[str, Any]) -> Schedule:
    location = body.get("location") or {}
    return Schedule(
        start_date=date.fromisoformat(body["startDate"]),
        time_slot=body["timeSlot"],
        weekdays=tuple(body["weekdays"]),
        time_zone=body["timeZone"],
        duration_minutes=body["durationMinutes"],
        mode=body["mode"],
        preferred_gender=body.get("preferredGender"),
        latitude=_float(location.get("latitude")),
        longitude=_float(location.get("longitude")),
        flexibility=tuple(body.get("flexibility") or ()),
    )


def _float(value: float | None) -> float | None:
    """PostgreSQL gives a whole number back without its fraction."""
    return None if value is None else float(value)
