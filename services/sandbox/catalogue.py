"""Courses, prices and trainers made from a seed: the same seed makes the same catalogue, on every machine.

Supply follows demand: trainers teach courses as often as students ask for them, and work when students have time
(demand.py), so that most purchases find a trainer.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from services.sandbox.places import Place, choose_place

TIERS = (10, 20, 30)
TIME_ZONE = "Asia/Kolkata"
CURRENCY = "INR"
Gender = Literal["female", "male"]

_FIRST_NAMES: dict[Gender, tuple[str, ...]] = {
    "female": ("Aarti", "Diya", "Fatima", "Kavya", "Lakshmi", "Meera", "Nisha", "Priya", "Sunita", "Zoya"),
    "male": ("Arjun", "Dev", "Farhan", "Imran", "Karthik", "Manoj", "Nikhil", "Rahul", "Suresh", "Vikram"),
}
_LAST_NAMES = ("Bose", "Das", "Fernandes", "Gupta", "Iyer", "Khan", "Nair", "Patel", "Rao", "Sharma", "Singh", "Verma")
_LANGUAGES = ("hi", "en", "ta", "te", "bn", "mr")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklySlot:
    """ISO weekday (1 is Monday) and local "HH:MM" in the trainer's zone."""

    weekday: int
    starts: str
    ends: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    trainer_id: str
    name: str
    courses: tuple[str, ...]
    gender: Gender
    modes: tuple[str, ...]
    place: Place
    travel_radius_km: int
    weekly_capacity_minutes: int
    weekly_slots: tuple[WeeklySlot, ...]
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    course_id: str
    purchase_tier: int
    amount_minor: int
    currency: str = CURRENCY


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    courses: tuple[str, ...]
    prices: tuple[Price, ...]
    trainers: tuple[Trainer, ...]


def build_catalogue(*, courses: int, trainers: int, seed: int, starved_courses: int = 0) -> Catalogue:
    """`starved_courses`: how many of the courses, counted from the last, have a price but no trainer."""
    dice = random.Random(f"catalogue {seed}")  # noqa: S311 - a reproducible world, no secret
    course_ids = tuple(course_id(number) for number in range(1, courses + 1))
    taught = course_ids[: courses - starved_courses]
    return Catalogue(
        courses=course_ids,
        prices=tuple(price for identity in course_ids for price in _prices(identity, dice)),
        trainers=tuple(_trainer(number, taught, dice) for number in range(1, trainers + 1)) if taught else (),
    )


def course_id(number: int) -> str:
    return f"course-{number:04}"


def popularity(courses: int) -> list[float]:
    """The weight of each course, first to last: the first is asked for about as often as the next three together."""
    return [1 / (rank + 3) for rank in range(courses)]


def _prices(identity: str, dice: random.Random) -> Sequence[Price]:
    """Between 400 and 900 rupees an hour, cheaper by the hour the more hours are bought."""
    hour_minor = dice.randrange(400, 900, 25) * 100
    return [
        Price(course_id=identity, purchase_tier=tier, amount_minor=tier * hour_minor * (100 - discount) // 100)
        for tier, discount in zip(TIERS, (0, 5, 10), strict=True)
    ]


def _trainer(number: int, taught: tuple[str, ...], dice: random.Random) -> Trainer:
    gender: Gender = dice.choice(("female", "male"))
    travels = dice.random() < 0.6
    return Trainer(
        trainer_id=f"trainer-{number:05}",
        name=f"{dice.choice(_FIRST_NAMES[gender])} {dice.choice(_LAST_NAMES)}",
        courses=_courses_of_trainer(number, taught, dice),
        gender=gender,
        modes=("online", "in_person") if travels else ("online",),
        place=choose_place(dice),
        travel_radius_km=dice.choice((8, 12, 18, 25)),
        weekly_capacity_minutes=dice.choice((12, 16, 20, 24)) * 60,
        weekly_slots=_working_hours(dice),
        languages=tuple(sorted(dice.sample(_LANGUAGES, k=2))),
    )


def _courses_of_trainer(number: int, taught: tuple[str, ...], dice: random.Random) -> tuple[str, ...]:
    """Up to four. The first goes round, so that no course is without a trainer while there are enough of them."""
    chosen = {taught[(number - 1) % len(taught)]}
    chosen.update(dice.choices(taught, weights=popularity(len(taught)), k=3))
    return tuple(sorted(chosen))


def _working_hours(dice: random.Random) -> tuple[WeeklySlot, ...]:
    kind = dice.choices(("evenings", "evenings and weekend", "all day"), weights=(4, 4, 2))[0]
    starts, ends = ("09:00", "21:00") if kind == "all day" else ("15:00", "21:00")
    workdays = [WeeklySlot(weekday=day, starts=starts, ends=ends) for day in range(1, 6)]
    weekend = [WeeklySlot(weekday=day, starts="08:00", ends="14:00") for day in (6, 7)]
    return tuple(workdays if kind == "evenings" else workdays + weekend)
