"""Fixed worlds of 120 trainers and 480 students who come one by one, and the most of them that hindsight could serve.

Twelve weekly patterns that do not overlap, with time to travel between them: so a trainer's pattern serves one student,
and the best that can be done is a maximum flow, student -> pattern of a trainer -> trainer, computed exactly. Same
seed, same world.

The worlds are meant to be hard for whoever chooses without knowing who comes next: a trainer works two to six of the
patterns, everybody wants the evening, half of the students ask for a woman and four trainers in ten are one. So a fifth
of the students could not be served by anybody, and a trainer who is given away carelessly is missed by the next.
"""

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

TRAINERS, STUDENTS = 120, 480
SUPPLY = {"plenty": 2.0, "balanced": 1.2, "starved": 0.95}
# The most wanted first.
PATTERNS = tuple((days, f"{hour}:00") for hour in (18, 20, 16, 14) for days in ((1, 4), (2, 5), (3, 6)))
_POPULARITY = tuple((rank + 1) ** -0.7 for rank in range(len(PATTERNS)))
RADIUS_KM = 15
_CITY_KM = 40.0
_KM_PER_DEGREE = 111.195
_CENTRE = (12.97, 77.59)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """`patterns`: those worked, or the one that is asked for. `gender`: of the trainer, or the one asked for."""

    gender: str | None
    place: tuple[float, float]
    patterns: tuple[int, ...]
    students_max: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallWorld:
    in_person: bool
    trainers: Sequence[Person]
    students: Sequence[Person]

    def fits(self, student: Person, trainer: Person) -> bool:
        return (
            student.patterns[0] in trainer.patterns
            and student.gender in {None, trainer.gender}
            and (not self.in_person or _distance_km(student.place, trainer.place) <= RADIUS_KM)
        )


def make_world(*, in_person: bool, supply: float, seed: int) -> SmallWorld:
    dice = random.Random(f"world {seed}")
    mean = supply * STUDENTS / TRAINERS
    trainers = [
        Person(
            gender=dice.choices(("female", "male"), weights=(4, 6))[0],
            place=_somewhere(dice),
            patterns=_several(dice, dice.randint(2, 6)),
            students_max=max(1, round(mean * dice.uniform(0.5, 1.5))),
        )
        for _ in range(TRAINERS)
    ]
    students = [
        Person(
            gender=dice.choices((None, "female", "male"), weights=(4, 5, 1))[0],
            place=_somewhere(dice),
            patterns=_several(dice, 1),
        )
        for _ in range(STUDENTS)
    ]
    return SmallWorld(in_person=in_person, trainers=trainers, students=students)


def _several(dice: random.Random, count: int) -> tuple[int, ...]:
    """`count` different patterns, the popular ones more often."""
    chosen: set[int] = set()
    while len(chosen) < count:
        chosen.update(dice.choices(range(len(PATTERNS)), weights=_POPULARITY))
    return tuple(sorted(chosen))


def most_served(world: SmallWorld) -> int:
    """The size of the maximum flow, by Dinic's method."""
    flow = _Flow()
    for number, student in enumerate(world.students):
        flow.edge("from", ("student", number))
        for who, trainer in enumerate(world.trainers):
            if world.fits(student, trainer):
                flow.edge(("student", number), ("pattern", who, student.patterns[0]))
    for who, trainer in enumerate(world.trainers):
        for pattern in trainer.patterns:
            flow.edge(("pattern", who, pattern), ("trainer", who))
        flow.edge(("trainer", who), "to", trainer.students_max)
    return flow.maximum("from", "to")


def served_by_chance(world: SmallWorld) -> int:
    """How many a choice by dice among those who are free would serve: the yardstick of how hard a world is."""
    dice = random.Random("chance")
    left = [trainer.students_max for trainer in world.trainers]
    taken: set[tuple[int, int]] = set()
    for student in world.students:
        pattern = student.patterns[0]
        free = [who for who, trainer in enumerate(world.trainers)
                if left[who] and (who, pattern) not in taken and world.fits(student, trainer)]  # fmt: skip
        if free:
            who = dice.choice(free)
            left[who] -= 1
            taken.add((who, pattern))
    return len(taken)


def jain(shares: Sequence[float]) -> float:
    """1: all alike; 1/n: one has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


@dataclass(slots=True)
class _Flow:
    ends: list[object] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    of: dict[object, list[int]] = field(default_factory=dict)

    def edge(self, begin: object, end: object, capacity: int = 1) -> None:
        """And its reverse beside it: edge number ^ 1."""
        for node, other, amount in ((begin, end, capacity), (end, begin, 0)):
            self.of.setdefault(node, []).append(len(self.ends))
            self.ends.append(other)
            self.left.append(amount)

    def maximum(self, begin: object, end: object) -> int:
        total = 0
        while end in (levels := self._levels(begin)):
            unused = {node: list(edges) for node, edges in self.of.items()}
            while self._augment(begin, end, levels, unused):
                total += 1
        return total

    def _levels(self, begin: object) -> dict[object, int]:
        levels, waiting = {begin: 0}, deque([begin])
        while waiting:
            node = waiting.popleft()
            for number in self.of[node]:
                if self.left[number] and self.ends[number] not in levels:
                    levels[self.ends[number]] = levels[node] + 1
                    waiting.append(self.ends[number])
        return levels

    def _augment(self, node: object, end: object, levels: dict[object, int], unused: dict[object, list[int]]) -> bool:
        if node == end:
            return True
        while unused[node]:
            number = unused[node][-1]
            after = self.ends[number]
            if (
                self.left[number]
                and levels.get(after) == levels[node] + 1
                and self._augment(after, end, levels, unused)
            ):
                self.left[number] -= 1
                self.left[number ^ 1] += 1
                return True
            unused[node].pop()
        return False


def _somewhere(dice: random.Random) -> tuple[float, float]:
    north, east = (dice.uniform(-_CITY_KM / 2, _CITY_KM / 2) / _KM_PER_DEGREE for _ in range(2))
    return _CENTRE[0] + north, _CENTRE[1] + east / math.cos(math.radians(_CENTRE[0]))


def _distance_km(one: tuple[float, float], two: tuple[float, float]) -> float:
    """Great-circle, on a sphere of the earth's mean radius, as in the database."""
    (lat, lon), (lat2, lon2) = ((math.radians(p[0]), math.radians(p[1])) for p in (one, two))
    half = math.sin((lat2 - lat) / 2) ** 2 + math.cos(lat) * math.cos(lat2) * math.sin((lon2 - lon) / 2) ** 2
    return 2 * 6371.0088 * math.asin(min(1.0, math.sqrt(half)))
