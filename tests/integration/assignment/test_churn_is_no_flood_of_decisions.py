"""Hundreds wait for a course whose trainers get time back every few seconds."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from services.assignment_worker import pendings
from services.assignment_worker.allocations import Decision, assign
from services.assignment_worker.pendings import retry_pendings
from services.common.codec import load_codec
from services.common.database import Database, Transaction, open_database
from services.common.settings import Settings
from tests.support.assignment import World

_WAITING = 300


@pytest.fixture
async def database(world: World) -> AsyncIterator[Database]:
    """With the grants of the assignment worker."""
    settings = Settings.from_environment(database_url=world.url)
    async with open_database(settings, role="coursepay_assignment_worker", application="test") as opened:
        yield opened


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The purchases that were decided about, as often as they were."""
    made: list[UUID] = []

    async def counted(transaction: Transaction, purchase_id: UUID) -> Decision:
        made.append(purchase_id)
        return await assign(transaction, purchase_id)

    monkeypatch.setattr(pendings, "assign", counted)
    return made


async def _wait(world: World, number: int, **schedule: Any) -> UUID:  # noqa: ANN401 - as World.purchase
    decision = await world.buy(f"order-{number}", student=f"student-{number}", **schedule)
    assert decision["status"] == "pending"
    waiting: UUID = decision["purchase_id"]
    return waiting


async def test_only_those_whom_a_freed_trainer_may_fit_are_tried(
    world: World, database: Database, decisions: list[UUID]
) -> None:
    for number in range(_WAITING):
        await _wait(world, number, preferredGender="female")
    flexible = await _wait(world, _WAITING, preferredGender="female", flexibility=["gender"])
    evening = await _wait(world, _WAITING + 1, timeSlot="20:00")
    for _ in range(3):
        await world.trainer("man", gender="male", weeklyCapacityMinutes=240, weeklySlots=_hours("18:00", "21:00"))
        await retry_pendings(database, load_codec())
    assert sorted(decisions) == sorted([flexible, evening])
    assert len(await world.sessions(flexible)) == len(await world.sessions(evening)) == 10


async def test_one_who_is_freed_again_and_again_for_nothing_is_not_tried_each_time(
    world: World, database: Database, decisions: list[UUID]
) -> None:
    await world.trainer("trainer-1", weeklyCapacityMinutes=2400)
    await world.buy("order-0", student="student-0")
    waiting = [await _wait(world, number) for number in range(1, 4)]
    for _ in range(5):
        await world.trainer("trainer-1", weeklyCapacityMinutes=2400)
        await retry_pendings(database, load_codec())
    assert sorted(decisions) == sorted(waiting)
    await world.connection.execute("UPDATE trainer_allocations SET aside_until = now()")
    await world.trainer("trainer-2")
    assert await retry_pendings(database, load_codec()) == 1


async def test_a_turn_ends_in_time_and_the_next_one_goes_on(
    world: World, database: Database, decisions: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await _wait(world, number)
    await world.trainer("trainer-1", weeklyCapacityMinutes=2400)
    monkeypatch.setattr(pendings, "_TURN_S", 0.0)
    for turn in range(1, 4):
        await asyncio.wait_for(retry_pendings(database, load_codec()), 10)
        assert len(set(decisions)) == turn


def _hours(start: str, end: str) -> list[dict[str, Any]]:
    return [{"weekday": day, "from": start, "to": end} for day in range(1, 8)]
