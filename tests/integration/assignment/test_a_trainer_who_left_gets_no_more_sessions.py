from typing import Any
from uuid import UUID

import pytest

from tests.support.assignment import World

_LIVE = "SELECT * FROM trainer_allocations WHERE purchase_id = $1 AND status <> 'cancelled'"


@pytest.fixture
async def purchase(world: World) -> UUID:
    """Of ten sessions with trainer-1, of which the last has begun; then trainer-1 left, which was finished at once."""
    await world.trainer("trainer-1")
    bought = await world.purchase("order-1", tier=20)
    await world.connection.execute("UPDATE student_course_purchases SET sessions_total = 10")
    assert (await world.assign(bought))["result"] == "ok"
    await world.connection.execute(
        """
        UPDATE tutoring_sessions
           SET starts_at = now() - interval '1 min' - make_interval(days => 10 - sequence_no),
               ends_at = now() + interval '30 min' - make_interval(days => 10 - sequence_no)
        """
    )
    job = await world.connection.fetchval("SELECT id FROM depart_trainer('trainer-1', 'ops-1', 'reassign')")
    await world.connection.execute("SELECT finish_departure($1)", job)
    finished = "SELECT finished_at IS NOT NULL FROM trainer_departures WHERE id = $1"
    assert await world.connection.fetchval(finished, job)
    return bought


async def _cancel_the_last(world: World, purchase: UUID) -> Any:  # noqa: ANN401 - a row of assignment_decision
    last = (await world.sessions(purchase))[-1]["id"]
    told = await world.connection.fetchrow("SELECT * FROM cancel_session($1, 'staff-1')", last)
    assert told is not None
    assert (told["result"], told["status"]) == ("ok", "cancelled")
    return told["decision"]


async def test_a_cancelled_session_is_made_up_by_somebody_else(world: World, purchase: UUID) -> None:
    await world.trainer("trainer-2")
    decision = await _cancel_the_last(world, purchase)
    assert (decision["result"], decision["trainer_id"], decision["session_count"]) == ("ok", "trainer-2", 1)
    sessions = await world.sessions(purchase)
    assert [row["trainer_id"] for row in sessions] == ["trainer-1"] * 9 + ["trainer-2"]
    assert not await world.drifted()


async def test_a_cancelled_session_waits_when_there_is_nobody_else(world: World, purchase: UUID) -> None:
    decision = await _cancel_the_last(world, purchase)
    assert (decision["result"], decision["filter"], decision["decided_by"]) == ("pending", "specialty", "staff-1")
    assert len(await world.sessions(purchase)) == 9
    assert not await world.drifted()


async def test_a_refund_that_failed_gives_its_sessions_to_somebody_else(world: World, purchase: UUID) -> None:
    await world.trainer("trainer-2")
    decision = await world.adjust(purchase, sessions_total=12)
    assert (decision["result"], decision["trainer_id"], decision["session_count"]) == ("ok", "trainer-2", 2)
    sessions = await world.sessions(purchase)
    assert [row["trainer_id"] for row in sessions] == ["trainer-1"] * 10 + ["trainer-2"] * 2
    assert (await world.adjust(purchase))["result"] == "duplicate"
    assert not await world.drifted()


async def test_a_frozen_purchase_is_given_to_somebody_else_when_it_is_active_again(
    world: World, purchase: UUID
) -> None:
    await world.trainer("trainer-2")
    await world.adjust(purchase, status="frozen")
    assert await _cancel_the_last(world, purchase) is None
    assert await world.connection.fetchrow(_LIVE, purchase) is None
    assert (await world.adjust(purchase, status="active"))["trainer_id"] == "trainer-2"


async def test_a_session_of_one_who_stays_is_made_up_as_before_and_tells_nothing(world: World) -> None:
    await world.trainer("trainer-1")
    bought = await world.purchase("order-1")
    await world.assign(bought)
    assert await _cancel_the_last(world, bought) is None
    assert [row["trainer_id"] for row in await world.sessions(bought)] == ["trainer-1"] * 10


async def test_a_failure_is_set_aside_whatever_was_told_of_the_purchase_before(world: World) -> None:
    """The trainer was back for a moment and got it again."""
    await world.trainer("trainer-1")
    bought = await world.purchase("order-1")
    await world.assign(bought)
    job = await world.connection.fetchval("SELECT id FROM depart_trainer('trainer-1', 'ops-1', 'reassign')")
    await world.connection.execute(
        "INSERT INTO trainer_departure_items (departure_id, purchase_id, result, trainer_id)"
        " VALUES ($1, $2, 'reassigned', 'trainer-2')",
        job,
        bought,
    )
    due = "SELECT * FROM departing($1, 10)"
    assert await world.connection.fetchval(due, job) == bought
    await world.connection.execute("SELECT set_departure_aside($1, $2, 'no answer')", job, bought)
    assert await world.connection.fetchval(due, job) is None
