from datetime import timedelta
from uuid import UUID

import pytest

from tests.support.assignment import World


@pytest.fixture
async def purchase(world: World) -> UUID:
    """Of ten sessions with trainer-1."""
    await world.trainer("trainer-1")
    bought = await world.purchase("order-1")
    assert (await world.assign(bought))["result"] == "ok"
    return bought


async def _complete(world: World, purchase: UUID, count: int) -> None:
    """The first ones, moved into the past."""
    for number, row in enumerate((await world.sessions(purchase))[:count]):
        await world.connection.execute(
            """
            UPDATE tutoring_sessions SET starts_at = now() - $2::interval, ends_at = now() - $2::interval + '1 h'
             WHERE id = $1
            """,
            row["id"],
            timedelta(days=30 - number),
        )
        told = await world.connection.fetchrow("SELECT * FROM complete_session($1, 'staff-1')", row["id"])
        assert told is not None
        assert told["result"] == "ok"


async def test_a_partial_refund_cancels_the_last_sessions(world: World, purchase: UUID) -> None:
    before = await world.starts(purchase)
    for result in ("ok", "duplicate"):
        assert (await world.adjust(purchase, sessions_total=6))["result"] == result
        assert await world.starts(purchase) == before[:6]
    assert await world.load("trainer-1") == 120
    assert not await world.drifted()


async def test_sessions_that_were_held_are_never_taken_back(world: World, purchase: UUID) -> None:
    await _complete(world, purchase, 4)
    await world.adjust(purchase, sessions_total=2)
    assert len(await world.sessions(purchase, status="completed")) == 4
    assert not await world.sessions(purchase)
    assert await world.connection.fetchval("SELECT sessions_total FROM student_course_purchases") == 4
    assert await world.load("trainer-1") == 0


@pytest.mark.parametrize("status", ["frozen", "expired"])
async def test_nor_of_a_purchase_that_is_not_active(world: World, purchase: UUID, status: str) -> None:
    await _complete(world, purchase, 4)
    await world.adjust(purchase, sessions_total=2, status=status)
    progress = await world.connection.fetchrow("SELECT sessions_completed, sessions_total FROM student_course_progress")
    assert progress is not None
    assert tuple(progress) == (4, 4)


async def test_a_failed_refund_does_not_book_a_trainer_who_is_full_by_now(world: World) -> None:
    await world.trainer("trainer-1", weeklyCapacityMinutes=120)
    purchase = await world.purchase("order-1")
    await world.assign(purchase)
    await world.adjust(purchase, sessions_total=4)
    await _complete(world, purchase, 4)
    assert (await world.buy("order-2", student="student-2", timeSlot="17:00"))["trainer_id"] == "trainer-1"
    assert (await world.adjust(purchase, sessions_total=10))["status"] == "pending"
    assert await world.load("trainer-1") == 120
    await world.trainer("trainer-2")
    decision = await world.assign(purchase)
    assert (decision["trainer_id"], decision["session_count"]) == ("trainer-2", 6)
    assert not await world.drifted()


async def test_a_failed_refund_books_again_what_is_missing(world: World, purchase: UUID) -> None:
    before = await world.starts(purchase)
    await world.adjust(purchase, sessions_total=6)
    for result in ("ok", "duplicate"):
        assert (await world.adjust(purchase, sessions_total=10))["result"] == result
        assert await world.starts(purchase) == before


async def test_a_frozen_purchase_keeps_its_slots_but_completes_nothing(world: World, purchase: UUID) -> None:
    before = await world.starts(purchase)
    assert (await world.adjust(purchase, status="frozen"))["result"] == "duplicate"
    assert await world.starts(purchase) == before
    first = (await world.sessions(purchase))[0]["id"]
    await world.connection.execute(
        "UPDATE tutoring_sessions SET starts_at = now() - interval '1 h', ends_at = now() WHERE id = $1", first
    )
    told = await world.connection.fetchrow("SELECT * FROM complete_session($1, 'staff-1')", first)
    assert told is not None
    assert (told["result"], told["status"]) == ("frozen", "scheduled")
    await world.adjust(purchase, status="active")
    told = await world.connection.fetchrow("SELECT * FROM complete_session($1, 'staff-1')", first)
    assert told is not None
    assert told["result"] == "ok"


async def test_a_revoked_purchase_lets_its_trainer_go(world: World, purchase: UUID) -> None:
    await _complete(world, purchase, 3)
    assert (await world.adjust(purchase, status="revoked", sessions_total=0))["status"] == "cancelled"
    assert (await world.adjust(purchase))["result"] == "duplicate"
    assert await world.connection.fetchval("SELECT sessions_total FROM student_course_purchases") == 3
    progress = await world.connection.fetchrow("SELECT sessions_completed, sessions_total FROM student_course_progress")
    assert progress is not None
    assert tuple(progress) == (3, 3)
    assert not await world.sessions(purchase)
    assert len(await world.sessions(purchase, status="completed")) == 3
    assert await world.load("trainer-1") == 0
    assert not await world.drifted()


async def test_a_session_that_goes_on_does_not_hold_the_trainer_of_a_revoked_purchase(
    world: World, purchase: UUID
) -> None:
    await world.connection.execute(
        """
        UPDATE tutoring_sessions SET starts_at = now() - interval '1 min', ends_at = now() + interval '1 h'
         WHERE sequence_no = 1
        """
    )
    await world.adjust(purchase, status="revoked")
    assert [row["sequence_no"] for row in await world.sessions(purchase)] == [1]
    assert await world.load("trainer-1") == 0
    assert not await world.drifted()


async def test_a_won_dispute_after_all_books_what_was_not_held(world: World, purchase: UUID) -> None:
    await _complete(world, purchase, 3)
    await world.adjust(purchase, status="revoked", sessions_total=0)
    decision = await world.adjust(purchase, status="active", sessions_total=10)
    assert (decision["result"], decision["session_count"]) == ("ok", 7)
    assert len(await world.sessions(purchase)) == 7
    assert await world.load("trainer-1") == 120


async def test_a_purchase_frozen_before_its_assignment_gets_its_trainer_when_it_thaws(world: World) -> None:
    await world.trainer("trainer-1")
    purchase = await world.purchase("order-1")
    await world.adjust(purchase, status="frozen")
    assert (await world.assign(purchase))["result"] == "inactive"
    assert (await world.adjust(purchase, status="active"))["result"] == "ok"
    assert len(await world.sessions(purchase)) == 10


async def test_a_purchase_that_is_not_there_is_missing(world: World, purchase: UUID) -> None:
    told = await world.connection.fetchrow("SELECT * FROM adjust_allocation(gen_random_uuid())")
    assert told is not None
    assert told["result"] == "missing"


async def test_the_last_session_past_ends_the_load_and_time_ends_the_purchase(world: World, purchase: UUID) -> None:
    waiting = await world.purchase("order-2", student="student-2")
    await world.assign(waiting)
    assert await world.connection.fetchval("SELECT sweep_allocations(100)") == 0
    await world.connection.execute(
        "UPDATE tutoring_sessions SET starts_at = starts_at - interval '3 y', ends_at = ends_at - interval '3 y'"
    )
    await world.connection.execute(
        """
        UPDATE student_course_purchases SET purchase_date = now() - interval '2 y', expiry_date = now() - interval '1 s'
        """
    )
    assert await world.connection.fetchval("SELECT sweep_allocations(100)") == 1
    expired = await world.connection.fetch("SELECT order_id, missing FROM expire_purchases(100)")
    assert {row["order_id"]: row["missing"] for row in expired} == {"order-1": 0, "order-2": 10}
    assert await world.load("trainer-1") == 0
    assert not await world.drifted()
    statuses = await world.connection.fetch("SELECT status FROM student_course_purchases")
    assert {row["status"] for row in statuses} == {"expired"}
    assert await world.connection.fetchval("SELECT count(*) FROM trainer_allocations WHERE status = 'pending'") == 0
