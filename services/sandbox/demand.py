"""What students order of a catalogue, made from a seed: popular courses more often, mostly evenings, mostly online."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from services.sandbox.catalogue import TIERS, TIME_ZONE, course_id, popularity
from services.sandbox.places import choose_place

_WORKDAY_PATTERNS = ((1, 3), (2, 4), (1, 4), (3, 5), (1, 3, 5), (2,), (5,))
_WEEKEND_PATTERNS = ((6, 7), (6,), (7,))
_EVENING_HOURS = (16, 17, 18, 19)
_MORNING_HOURS = (9, 10, 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One order to be placed. `schedule`: as in the body of POST /api/v1/orders."""

    student_id: str
    course_id: str
    purchase_tier: int
    schedule: dict[str, Any]


def wishes(*, courses: int, seed: int, today: date) -> Iterator[Wish]:
    """Without an end. About one order in twenty comes from a student who has ordered before."""
    dice = random.Random(f"demand {seed}")  # noqa: S311 - a reproducible world, no secret
    students = 0
    weights = popularity(courses)
    while True:
        if students == 0 or dice.random() >= 0.05:
            students += 1
            student = students
        else:
            student = dice.randint(1, students)
        yield Wish(
            student_id=f"student-{student:06}",
            course_id=course_id(dice.choices(range(1, courses + 1), weights=weights)[0]),
            purchase_tier=dice.choices(TIERS, weights=(5, 3, 2))[0],
            schedule=_schedule(dice, today),
        )


def _schedule(dice: random.Random, today: date) -> dict[str, Any]:
    weekend = dice.random() < 0.15
    in_person = dice.random() < 0.12
    place = choose_place(dice) if in_person else None
    return {
        "startDate": (today + timedelta(days=dice.randint(2, 20))).isoformat(),
        "timeSlot": f"{dice.choice(_MORNING_HOURS if weekend else _EVENING_HOURS):02}:00",
        "weekdays": list(dice.choice(_WEEKEND_PATTERNS if weekend else _WORKDAY_PATTERNS)),
        "timeZone": TIME_ZONE,
        "durationMinutes": 60,
        "mode": "in_person" if in_person else "online",
        "preferredGender": dice.choices((None, "female", "male"), weights=(8, 1, 1))[0],
        "location": None if place is None else {"latitude": place.latitude, "longitude": place.longitude},
        "flexibility": dice.choices(([], ["time_30", "time_60"], ["weekday"]), weights=(6, 3, 1))[0],
    }
