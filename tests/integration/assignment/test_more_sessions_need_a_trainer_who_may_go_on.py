"""A session is added to a course: its trainer was let go of, or teaches something else by now."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.assignment import World

_AT_HOME: dict[str, Any] = {"location": {"latitude": 12.97, "longitude": 77.59}}


async def _hold_all(world: World, purchase: UUID, *, but: int = 0) -> UUID:
    """Every session is past, and held but for the last ones. The last session."""
    sessions: list[UUID] = [row["id"] for row in await world.sessions(purchase)]
    await world.connection.execute(
        """
        UPDATE tutoring_sessions SET starts_at = starts_at - interval '420 d', ends_at = ends_at - interval '420 d'
         WHERE id = ANY ($1)
        """,
        sessions,
    )
    for session in sessions[: len(sessions) - but]:
        await world.connection.execute("SELECT complete_session($1, 'staff-1')", session)
    await world.connection.execute("SELECT sweep_allocations(100)")
    return sessions[-1]


async def _cancel(world: World, session: UUID) -> Any:  # noqa: ANN401 - a row of assignment_decision, or none
    return await world.connection.fetchval("SELECT decision FROM cancel_session($1, 'staff-1')", session)


@pytest.fixture
async def over(world: World) -> UUID:
    """The last session of a course whose trainer had time for one course, was let go of, and took the next."""
    await world.trainer("trainer-1", weeklyCapacityMinutes=120)
    purchase = (await world.buy("order-1"))["purchase_id"]
    last = await _hold_all(world, purchase, but=1)
    assert await world.load("trainer-1") == 0
    assert (await world.buy("order-2", student="student-2"))["trainer_id"] == "trainer-1"
    return last


async def test_a_make_up_goes_to_somebody_else_when_the_trainer_is_full_by_now(world: World, over: UUID) -> None:
    await world.trainer("trainer-2")
    decision = await _cancel(world, over)
    assert (decision["result"], decision["trainer_id"], decision["session_count"]) == ("ok", "trainer-2", 1)
    assert (await world.load("trainer-1"), await world.load("trainer-2")) == (120, 120)
    assert not await world.drifted()


async def test_a_make_up_waits_when_the_trainer_is_full_and_there_is_nobody_else(world: World, over: UUID) -> None:
    decision = await _cancel(world, over)
    assert (decision["result"], decision["filter"]) == ("pending", "capacity")
    assert await world.load("trainer-1") == 120
    assert not await world.drifted()


async def test_a_make_up_stays_with_a_trainer_who_has_room_again(world: World, over: UUID) -> None:
    await world.trainer("trainer-1", weeklyCapacityMinutes=240)
    await world.trainer("trainer-2")
    assert await _cancel(world, over) is None
    assert await world.load("trainer-1") == 240
    assert not await world.drifted()


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"courses": ["course-0002"]}, {}),
        ({"modes": ["in_person"], "travelRadiusKm": 10, **_AT_HOME}, {}),
        ({}, {"mode": "in_person", **_AT_HOME}),
    ],
    ids=["another course", "in person only", "online only"],
)
async def test_a_make_up_goes_to_somebody_who_teaches_the_course(
    world: World, change: dict[str, Any], asked: dict[str, Any]
) -> None:
    both: dict[str, Any] = {"modes": ["online", "in_person"], "travelRadiusKm": 10, **_AT_HOME}
    await world.trainer("trainer-1", **both)
    purchase = (await world.buy("order-1", **asked))["purchase_id"]
    await world.trainer("trainer-2", **both)
    await world.trainer("trainer-1", **change)
    decision = await _cancel(world, (await world.sessions(purchase))[0]["id"])
    assert (decision["result"], decision["trainer_id"]) == ("ok", "trainer-2")
    assert [row["trainer_id"] for row in await world.sessions(purchase)] == ["trainer-2"] * 10
    assert await world.load("trainer-1") == 0
    assert not await world.drifted()
