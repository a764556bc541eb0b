"""How many of the students of a fixed world the assignment serves, against the best that hindsight could do."""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

import asyncpg
import orjson

from bench.assignment_worlds import (
    PATTERNS,
    RADIUS_KM,
    SUPPLY,
    Person,
    SmallWorld,
    jain,
    make_world,
    most_served,
    served_by_chance,
)
from services.common.events import purchase_id_of

_COURSE = "course-0001"
_ZONE = "Asia/Kolkata"
_BUY = """
INSERT INTO student_course_purchases
    (id, order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date, expiry_date, metadata)
VALUES ($1, $2, $2, $3, 10, 10, $4, $5, $6)
"""
# Of those who wait, whom a swap would help: what the success rate counts as failed.
_MISSED = """
SELECT count(*) FROM trainer_allocations WHERE status = 'pending' AND jsonb_array_length(reason -> 'repairs') > 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    mode: str
    supply: str
    seed: int
    served: int
    optimum: int
    by_chance: int
    missed: int
    jain: float

    @property
    def share(self) -> float:
        return self.served / self.optimum

    def line(self) -> dict[str, object]:
        return {"what": "quality", **asdict(self), "share": round(self.share, 4)}


async def serve_world(database_url: str, *, mode: str, supply: str, seed: int) -> Quality:
    """In an empty, migrated database."""
    world = make_world(in_person=mode == "in_person", supply=SUPPLY[supply], seed=seed)
    connection = await asyncpg.connect(database_url, server_settings={"timezone": "UTC"})
    try:
        await connection.execute("INSERT INTO courses (course_id, calendar) VALUES ($1, 'XX')", _COURSE)
        definitions = [_definition(number, trainer, mode) for number, trainer in enumerate(world.trainers)]
        await connection.execute("SELECT upsert_trainers($1::jsonb)", orjson.dumps(definitions).decode())
        served = 0
        for number, student in enumerate(world.students):
            served += await _serve(connection, f"student-{seed}-{number:03}", student, mode)
        return Quality(
            mode=mode, supply=supply, seed=seed, served=served, optimum=most_served(world),
            by_chance=served_by_chance(world), missed=await connection.fetchval(_MISSED),
            jain=await _fairness(connection, world),
        )  # fmt: skip
    finally:
        await connection.close()


async def _serve(connection: "asyncpg.Connection[asyncpg.Record]", student_id: str, student: Person, mode: str) -> bool:
    now = datetime.now(UTC)
    days, time_slot = PATTERNS[student.patterns[0]]
    schedule = {
        "startDate": (date(now.year + 1, 3, 1)).isoformat(),
        "timeSlot": time_slot,
        "weekdays": days,
        "timeZone": _ZONE,
        "durationMinutes": 60,
        "mode": mode,
        "preferredGender": student.gender,
        "location": {"latitude": student.place[0], "longitude": student.place[1]},
        "flexibility": [],
    }
    purchase = purchase_id_of(student_id)
    details = orjson.dumps({"schedule": schedule}).decode()
    await connection.execute(_BUY, purchase, student_id, _COURSE, now, now + timedelta(days=700), details)
    status = await connection.fetchval("SELECT status FROM assign_trainer($1, 'auto')", purchase)
    return bool(status == "approved")


def _definition(number: int, trainer: Person, mode: str) -> dict[str, object]:
    slots = [
        {"weekday": day, "from": hour, "to": f"{int(hour[:2]) + 1}:00"}
        for days, hour in (PATTERNS[pattern] for pattern in trainer.patterns)
        for day in days
    ]
    return {
        "trainerId": f"trainer-{number:03}",
        "name": "a trainer",
        "active": True,
        "courses": [_COURSE],
        "gender": trainer.gender,
        "modes": [mode],
        "timeZone": _ZONE,
        "location": {"latitude": trainer.place[0], "longitude": trainer.place[1]},
        "travelRadiusKm": RADIUS_KM,
        "weeklyCapacityMinutes": trainer.students_max * 120,
        "weeklySlots": slots,
        "languages": [],
        "timeOff": [],
    }


async def _fairness(connection: "asyncpg.Connection[asyncpg.Record]", world: SmallWorld) -> float:
    rows = await connection.fetch("SELECT load_minutes::float8 / weekly_capacity_minutes FROM trainers")
    assert len(rows) == len(world.trainers)
    return round(jain([row[0] for row in rows]), 4)
