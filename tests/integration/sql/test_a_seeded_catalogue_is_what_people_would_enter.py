from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from services.common.database import Database, open_database
from services.common.settings import Settings
from services.sandbox.catalogue import build_catalogue
from services.sandbox.seeding import is_seeded, seed_catalogue
from tests.support.command import run_coursepay
from tests.support.rows import Connection

CATALOGUE = build_catalogue(courses=6, trainers=40, seed=3)
_OFFERS = """
SELECT course_id, trainer_id, active, gender, online, in_person, travel_radius_km, working_slots::text AS working_slots,
       weekly_capacity_minutes, load_minutes
  FROM trainer_offers WHERE trainer_id = $1 ORDER BY course_id
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    settings = Settings.from_environment(database_url=database_url, database_deadline="60s")
    async with open_database(settings, role="coursepay_owner", application="test", connections_max=1) as opened:
        yield opened


async def test_all_of_it_is_there(database: Database, connection: Connection) -> None:
    assert not await is_seeded(database)
    await seed_catalogue(database, CATALOGUE)
    assert await is_seeded(database)
    courses = await connection.fetch("SELECT course_id, calendar FROM courses ORDER BY course_id")
    assert [(row["course_id"], row["calendar"]) for row in courses] == [(name, "IN") for name in CATALOGUE.courses]
    prices = await connection.fetch("SELECT course_id, purchase_tier, amount_minor, currency FROM course_prices")
    assert {tuple(row) for row in prices} == {
        (price.course_id, price.purchase_tier, price.amount_minor, price.currency) for price in CATALOGUE.prices
    }
    offers = await connection.fetch("SELECT trainer_id, course_id FROM trainer_offers")
    assert {tuple(row) for row in offers} == {
        (trainer.trainer_id, course) for trainer in CATALOGUE.trainers for course in trainer.courses
    }


async def test_a_seeded_trainer_offers_what_the_same_one_entered_by_a_person_does(
    database: Database, connection: Connection
) -> None:
    await seed_catalogue(database, CATALOGUE)
    trainer = next(trainer for trainer in CATALOGUE.trainers if "in_person" in trainer.modes)
    body = {
        "name": trainer.name,
        "active": True,
        "courses": trainer.courses,
        "gender": trainer.gender,
        "modes": trainer.modes,
        "timeZone": "Asia/Kolkata",
        "location": {"latitude": trainer.place.latitude, "longitude": trainer.place.longitude},
        "travelRadiusKm": trainer.travel_radius_km,
        "weeklyCapacityMinutes": trainer.weekly_capacity_minutes,
        "weeklySlots": [{"weekday": s.weekday, "from": s.starts, "to": s.ends} for s in trainer.weekly_slots],
        "languages": trainer.languages,
        "timeOff": [],
    }
    seeded = await connection.fetch(_OFFERS, trainer.trainer_id)
    await connection.execute("SET ROLE coursepay_gateway")
    await connection.execute("SELECT upsert_trainer('entered', $1)", orjson.dumps(body).decode())
    entered = await connection.fetch(_OFFERS, "entered")
    assert [dict(row) | {"trainer_id": None} for row in seeded] == [dict(row) | {"trainer_id": None} for row in entered]
    assert seeded


async def test_seeding_again_changes_nothing_and_keeps_the_load(database: Database, connection: Connection) -> None:
    await seed_catalogue(database, CATALOGUE)
    await connection.execute("UPDATE trainers SET load_minutes = 60; UPDATE trainer_offers SET load_minutes = 60")
    before = await connection.fetch("SELECT trainer_id, load_minutes, languages FROM trainers ORDER BY trainer_id")
    await seed_catalogue(database, CATALOGUE)
    after = await connection.fetch("SELECT trainer_id, load_minutes, languages FROM trainers ORDER BY trainer_id")
    assert after == before
    assert await connection.fetchval("SELECT bool_and(load_minutes = 60) FROM trainer_offers")


async def test_more_trainers_than_one_statement_takes(
    database: Database, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sandbox.seeding._TRAINERS_AT_ONCE", 7)
    await seed_catalogue(database, CATALOGUE)
    assert await connection.fetchval("SELECT count(*) FROM trainers") == len(CATALOGUE.trainers)


async def test_the_command_says_what_it_made(database_url: str, connection: Connection, tmp_path: Path) -> None:
    arguments = ("seed", "--courses", "3", "--trainers", "12", "--seed", "9")
    done = run_coursepay(*arguments, directory=tmp_path, database_url=database_url)
    assert (done.returncode, done.stdout) == (0, "3 courses, 9 prices, 12 trainers\n"), done.stderr
    assert await connection.fetchval("SELECT max(trainer_id) FROM trainers") == "trainer-00012"
