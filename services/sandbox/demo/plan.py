"""Who buys what and when, and what goes wrong on purpose. Made from a seed: the same seed plans the same demo."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from typing import Literal

from services.sandbox.catalogue import course_id
from services.sandbox.demand import Wish, wishes

COURSES = 20
TRAINERS = 160
PUSH_ERROR_RATE = 0.10

_TWICE, _FORGED, _FAILING_ONCE, _FAILING_ALWAYS, _STARVED = 0.05, 0.02, 0.03, 0.01, 0.02
# The callback and the webhook race: either may be the first by a fifth of a second.
_RACE_S = 0.2

Failure = Literal["once", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One student's way from order to confirmation. `starts_s`: after the start of the load. `think_s`: from the
    payment to the callback. `failure`: of the purchase step.
    """

    number: int
    starts_s: float
    wish: Wish
    as_form: bool
    think_s: float
    webhook_delay_s: float
    twice: bool = False
    forged: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    journeys: Sequence[Journey]
    rate: float
    seed: int

    @property
    def duration_s(self) -> float:
        return len(self.journeys) / self.rate


def make_plan(*, payments: int, rate: float, seed: int, today: date) -> Plan:
    """`rate` in payments per second. The last course of the catalogue is the starved one: it has no trainer."""
    dice = random.Random(f"plan {seed}")  # noqa: S311 - a reproducible load, no secret
    journeys = [
        Journey(
            number=number,
            starts_s=number / rate,
            wish=wish,
            as_form=dice.random() < 0.5,
            think_s=dice.uniform(0, _RACE_S),
            webhook_delay_s=dice.uniform(0, _RACE_S),
        )
        for number, wish in enumerate(islice(wishes(courses=COURSES - 1, seed=seed, today=today), payments))
    ]
    for number in _some(dice, payments, _TWICE):
        journeys[number] = replace(journeys[number], twice=True)
    for number in _some(dice, payments, _FORGED):
        journeys[number] = replace(journeys[number], forged=True)
    for number in _some(dice, payments, _STARVED):
        starved = replace(journeys[number].wish, course_id=course_id(COURSES))
        journeys[number] = replace(journeys[number], wish=starved)
    failing = _some(dice, payments, _FAILING_ONCE + _FAILING_ALWAYS)
    always = max(len(failing) // 2 if len(failing) < 4 else 0, round(payments * _FAILING_ALWAYS))
    for index, number in enumerate(failing):
        journeys[number] = replace(journeys[number], failure="always" if index < always else "once")
    return Plan(journeys=journeys, rate=rate, seed=seed)


def _some(dice: random.Random, payments: int, share: float) -> list[int]:
    """That share of the journeys, at least one where there are a few, so that a small demo shows everything too."""
    count = max(round(payments * share), min(payments // 10, 2))
    return dice.sample(range(payments), k=count)
