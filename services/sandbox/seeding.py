"""Puts a catalogue into a database: courses and prices as they are, trainers through the function behind PUT trainers,
so that a seeded trainer offers exactly what one entered by a person would.

Tables: courses, course_prices (written), trainers (by upsert_trainers of sql/; read).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import orjson

from services.common.database import Database
from services.sandbox.catalogue import TIME_ZONE, Catalogue, Trainer

CALENDAR = "IN"
# Large enough that the round trip does not count, small enough for a transaction of a second or two.
_TRAINERS_AT_ONCE = 2000
_DEADLINE_S = 60.0
_COURSES = """
INSERT INTO courses (course_id, calendar) SELECT unnest($1::text[]), $2
ON CONFLICT (course_id) DO UPDATE SET calendar = excluded.calendar
"""
_PRICES = """
INSERT INTO course_prices (course_id, purchase_tier, amount_minor, currency)
SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[])
ON CONFLICT (course_id, purchase_tier) DO UPDATE
   SET amount_minor = excluded.amount_minor, currency = excluded.currency
"""
_LOCK = "SELECT lock_several_trainers()"
_TRAINERS = "SELECT upsert_trainers($1::jsonb)"
# The planner would meet 100,000 new rows with the statistics of an empty table. A table that is locked is just being
# looked at by autovacuum, for which nobody waits.
_STATISTICS = "ANALYZE (SKIP_LOCKED) courses, course_prices, trainers, trainer_offers"
_SEEDED = "SELECT EXISTS (SELECT FROM courses) AND EXISTS (SELECT FROM trainers)"


async def seed_catalogue(database: Database, catalogue: Catalogue) -> None:
    """Adds or replaces by id; what else is there stays. `database` acts as the owner or as a superuser, with the
    setting DATABASE_DEADLINE raised for a large catalogue. Raises RecordError kinds.
    """
    prices = catalogue.prices
    async with database.transaction(deadline_s=_DEADLINE_S) as transaction:
        await transaction.execute(_COURSES, list(catalogue.courses), CALENDAR)
        await transaction.execute(
            _PRICES,
            [price.course_id for price in prices],
            [price.purchase_tier for price in prices],
            [price.amount_minor for price in prices],
            [price.currency for price in prices],
        )
    for trainers in _chunks(catalogue.trainers):
        definitions = orjson.dumps([_definition_of(trainer) for trainer in trainers]).decode()
        async with database.transaction(deadline_s=_DEADLINE_S) as transaction:
            await transaction.execute(_LOCK)
            await transaction.execute(_TRAINERS, definitions, timeout=_DEADLINE_S)
    async with database.connection(deadline_s=_DEADLINE_S) as connection:
        await connection.execute(_STATISTICS, timeout=_DEADLINE_S)


async def is_seeded(database: Database) -> bool:
    """Whether there is a catalogue, of this kind or another. Raises RecordError kinds."""
    async with database.connection() as connection:
        seeded: bool = await connection.fetchval(_SEEDED)
        return seeded


def _chunks(trainers: Sequence[Trainer]) -> Iterator[Sequence[Trainer]]:
    left = iter(trainers)
    while chunk := list(islice(left, _TRAINERS_AT_ONCE)):
        yield chunk


def _definition_of(trainer: Trainer) -> Mapping[str, object]:
    """The body of PUT /api/v1/admin/trainers/{trainerId}, with the id."""
    return {
        "trainerId": trainer.trainer_id,
        "name": trainer.name,
        "active": True,
        "courses": trainer.courses,
        "gender": trainer.gender,
        "modes": trainer.modes,
        "timeZone": TIME_ZONE,
        "location": {"latitude": trainer.place.latitude, "longitude": trainer.place.longitude},
        "travelRadiusKm": trainer.travel_radius_km,
        "weeklyCapacityMinutes": trainer.weekly_capacity_minutes,
        "weeklySlots": [
            {"weekday": slot.weekday, "from": slot.starts, "to": slot.ends} for slot in trainer.weekly_slots
        ],
        "languages": trainer.languages,
        "timeOff": [],
    }
