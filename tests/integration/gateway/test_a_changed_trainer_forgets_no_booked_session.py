"""A new definition of a trainer says what it contradicts of what is booked."""

import asyncio
from typing import Any

import orjson
import pytest

from services.assignment_worker.departures import finish_departures
from services.common.database import open_database
from services.common.events import purchase_id_of
from tests.support.gateway import Gateway, owner_connection
from tests.support.staff import TRAINER, add_purchase, ask, put_trainer

PATH = "/trainers/trainer-1"


@pytest.fixture
async def starts(gateway: Gateway, database_url: str) -> list[str]:
    """Of ten sessions online with trainer-1, as the wire has them; the first is over."""
    await put_trainer(gateway)
    await add_purchase(database_url)
    async with owner_connection(database_url) as connection:
        await connection.execute("SELECT assign_trainer($1, 'auto')", purchase_id_of("legacy-1"))
        await connection.execute(
            "UPDATE tutoring_sessions SET starts_at = now() - interval '2 h', ends_at = now() - interval '1 h'"
            " WHERE sequence_no = 1"
        )
        rows = await connection.fetch("SELECT starts_at FROM tutoring_sessions ORDER BY starts_at")
    return [row["starts_at"].isoformat().replace("+00:00", "Z") for row in rows]


async def _put(gateway: Gateway, **overrides: object) -> Any:  # noqa: ANN401 - JSON
    status, told = await ask(gateway, "PUT", PATH, TRAINER | overrides)
    assert status == 200, told
    return told


async def test_sessions_in_new_time_off_are_told_and_audited(
    gateway: Gateway, starts: list[str], database_url: str
) -> None:
    told = await _put(gateway, timeOff=[{"startsAt": starts[2], "endsAt": starts[4]}])
    assert [(item["startsAt"], item["conflict"]) for item in told["conflicts"]] == [
        (start, "leave") for start in starts[2:4]
    ]
    assert told["conflictsTotal"] == 2
    async with owner_connection(database_url) as connection:
        audit = orjson.loads(await connection.fetchval("SELECT after FROM audit_log ORDER BY id DESC LIMIT 1"))
        assert await connection.fetchval("SELECT count(*) FROM tutoring_sessions WHERE status = 'scheduled'") == 10
    assert audit["conflicts"] == told["conflicts"]
    assert await _put(gateway) == {"trainerId": "trainer-1", "active": True}


@pytest.mark.parametrize(
    ("less", "conflict"),
    [({"weeklySlots": []}, "slot"), ({"courses": []}, "specialty")],
)
async def test_sessions_outside_the_new_hours_and_courses_are_told(
    gateway: Gateway, starts: list[str], less: dict[str, object], conflict: str
) -> None:
    told = await _put(gateway, **less)
    assert [(item["startsAt"], item["conflict"]) for item in told["conflicts"]] == [
        (start, conflict) for start in starts[1:]
    ]


async def test_a_trainer_made_inactive_leaves_and_their_sessions_go_to_others(
    gateway: Gateway, starts: list[str]
) -> None:
    await put_trainer(gateway, "trainer-2")
    told = await _put(gateway, active=False)
    assert told["active"] is False
    settings = gateway.dependencies.settings
    async with open_database(settings, role="coursepay_assignment_worker", application="test") as database:
        await finish_departures(database, gateway.dependencies.codec, asyncio.Event())
    _, report = await ask(gateway, "GET", f"{PATH}/departure")
    assert (report["departureId"], report["plan"], report["reassigned"]) == (told["departureId"], "reassign", 1)
    assert len(starts) == 10


async def test_a_trainer_without_sessions_to_come_is_made_inactive_and_no_more(gateway: Gateway) -> None:
    await put_trainer(gateway)
    assert await _put(gateway, active=False) == {"trainerId": "trainer-1", "active": False}
    assert (await ask(gateway, "GET", f"{PATH}/departure"))[0] == 404
