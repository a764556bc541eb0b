from datetime import timedelta
from uuid import UUID

import pytest

from services.assignment_worker.pendings import retry_pendings
from services.common.codec import load_codec
from services.common.database import open_database
from services.common.settings import Settings
from tests.support.assignment import World

_LIVE = "SELECT * FROM trainer_allocations WHERE purchase_id = $1 AND status <> 'cancelled'"


@pytest.fixture
async def purchase(world: World) -> UUID:
    """Of ten sessions with trainer-1, of which the first has begun."""
    await world.trainer("trainer-1")
    bought = await world.purchase("order-1")
    assert (await world.assign(bought))["result"] == "ok"
    await world.connection.execute(
        "UPDATE tutoring_sessions SET starts_at = now() - interval '1 min', ends_at = now() + interval '1 h'"
        " WHERE sequence_no = 1"
    )
    return bought


async def _cancel_the_begun_one(world: World, purchase: UUID) -> None:
    begun = (await world.sessions(purchase))[0]["id"]
    told = await world.connection.fetchrow("SELECT * FROM cancel_session($1, 'staff-1')", begun)
    assert told is not None
    assert told["result"] == "ok"


async def _depart(world: World, purchase: UUID) -> None:
    """Nobody else is there: what trainer-1 had to come waits."""
    job = await world.connection.fetchval("SELECT id FROM depart_trainer('trainer-1', 'ops-1', 'reassign')")
    await world.connection.execute("SELECT depart_next($1, $2)", job, purchase)


async def _retry(world: World) -> int:
    settings = Settings.from_environment(database_url=world.url)
    async with open_database(settings, role="coursepay_assignment_worker", application="test") as database:
        return await retry_pendings(database, load_codec())


async def test_a_session_of_a_trainer_from_before_is_made_up_by_the_one_of_now(world: World, purchase: UUID) -> None:
    await world.trainer("trainer-2")
    live = await world.connection.fetchval(_LIVE, purchase)
    moved = await world.connection.fetchrow("SELECT * FROM move_allocation($1, 'trainer-2', 'staff-1')", live)
    assert moved is not None
    assert (moved["result"], moved["session_count"]) == ("ok", 9)
    last = (await world.starts(purchase))[-1]
    await _cancel_the_begun_one(world, purchase)
    sessions = await world.sessions(purchase)
    assert [row["trainer_id"] for row in sessions] == ["trainer-2"] * 10
    assert sessions[-1]["starts_at"] == last + timedelta(days=2)
    assert "shortfall" not in await world.reason(purchase)
    assert not await world.drifted()


async def test_what_the_trainer_of_now_cannot_make_up_is_a_shortfall(world: World, purchase: UUID) -> None:
    await world.trainer("trainer-2")
    live = await world.connection.fetchval(_LIVE, purchase)
    await world.connection.execute("SELECT move_allocation($1, 'trainer-2', 'staff-1')", live)
    await world.connection.execute(
        "UPDATE student_course_purchases SET expiry_date = $1", (await world.sessions(purchase))[-1]["ends_at"]
    )
    await _cancel_the_begun_one(world, purchase)
    assert len(await world.sessions(purchase)) == 9
    assert (await world.reason(purchase))["shortfall"] == 1


async def test_a_purchase_without_a_trainer_waits_for_one_when_it_lacks_a_session_again(
    world: World, purchase: UUID
) -> None:
    await _depart(world, purchase)
    await world.adjust(purchase, sessions_total=1)
    assert await world.connection.fetchrow(_LIVE, purchase) is None
    await _cancel_the_begun_one(world, purchase)
    waiting = await world.connection.fetchrow(_LIVE, purchase)
    assert waiting is not None
    assert (waiting["status"], waiting["decided_by"]) == ("pending", "staff-1")
    assert (await world.reason(purchase))["filter"] == "specialty"
    await world.trainer("trainer-2")
    assert await _retry(world) == 1
    assert [row["trainer_id"] for row in await world.sessions(purchase)] == ["trainer-2"]


async def test_a_pending_ends_with_what_it_lacked(world: World, purchase: UUID) -> None:
    await _depart(world, purchase)
    live = await world.connection.fetchrow(_LIVE, purchase)
    assert live is not None
    assert live["status"] == "pending"
    told = await world.adjust(purchase, sessions_total=1)
    assert (told["result"], told["status"]) == ("ok", "cancelled")
    assert (await world.adjust(purchase))["result"] == "duplicate"
    assert (await world.adjust(purchase, sessions_total=2))["result"] == "pending"


@pytest.mark.parametrize("decision", ["assign_trainer($1, 'auto')", "adjust_allocation($1)"])
async def test_a_pending_that_lacks_nothing_is_ended_by_whoever_looks_at_it(
    world: World, purchase: UUID, decision: str
) -> None:
    await _depart(world, purchase)
    await world.connection.execute("UPDATE student_course_purchases SET sessions_total = 1")
    await world.connection.execute("UPDATE trainer_allocations SET tried_at = tried_at - interval '2 hours'")
    due = "SELECT * FROM pendings_to_retry(10)"
    assert await world.connection.fetchval(due) == purchase
    told = await world.connection.fetchrow(f"SELECT * FROM {decision}", purchase)  # noqa: S608 - one of two
    assert told is not None
    assert told["status"] == "cancelled"
    assert await world.connection.fetchval(due) is None


async def test_nothing_is_moved_when_no_session_is_to_come(world: World, purchase: UUID) -> None:
    await world.trainer("trainer-2")
    await world.adjust(purchase, sessions_total=1)
    live = await world.connection.fetchrow(_LIVE, purchase)
    assert live is not None
    moved = await world.connection.fetchrow("SELECT * FROM move_allocation($1, 'trainer-2', 'staff-1')", live["id"])
    assert moved is not None
    assert (moved["result"], moved["status"], moved["trainer_id"]) == ("inactive", "approved", "trainer-1")
    assert await world.connection.fetchrow(_LIVE, purchase) == live
