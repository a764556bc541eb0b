"""Eight of ten sessions are held when money goes back: they count, whatever the purchase is, and the event says so."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.common.events import PurchaseAdjusted
from tests.support.assignment import MONDAY, World, world_in
from tests.support.events import payment_adjusted, payment_succeeded, schedule
from tests.support.purchases import PurchaseDesk, emitted

_HALF = 250_000


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with world_in(database_url) as built:
        yield built


@pytest.fixture
async def purchase(world: World, desk: PurchaseDesk) -> UUID:
    await world.trainer("trainer-1")
    paid = payment_succeeded("ord_1", confirmed_at=datetime.now(UTC), schedule=schedule(start_date=MONDAY))
    await desk.pay(paid)
    bought: UUID = (await desk.purchase())["id"]
    assert (await world.assign(bought))["result"] == "ok"
    await world.connection.execute(
        """
        UPDATE tutoring_sessions SET starts_at = starts_at - interval '420 d', ends_at = ends_at - interval '420 d'
         WHERE sequence_no <= 8
        """
    )
    for row in (await world.sessions(bought))[:8]:
        await world.connection.execute("SELECT complete_session($1, 'staff-1')", row["id"])
    return bought


async def _adjust(desk: PurchaseDesk, sequence: int, status: str = "partially_refunded") -> tuple[str, int]:
    """What is told; half of the money is back."""
    done = await desk.adjust(payment_adjusted("ord_1", sequence=sequence, status=status, refunded_minor=_HALF))
    (told,) = emitted(done, PurchaseAdjusted)
    assert isinstance(told, PurchaseAdjusted)
    assert told.sequence == sequence
    return told.status, told.sessions_total


async def _progress(world: World) -> tuple[int, int]:
    row = await world.connection.fetchrow("SELECT sessions_completed, sessions_total FROM student_course_progress")
    assert row is not None
    return row[0], row[1]


@pytest.mark.usefixtures("purchase")
async def test_a_refund_a_dispute_and_the_end_leave_what_was_held(world: World, desk: PurchaseDesk) -> None:
    assert await _adjust(desk, 1) == ("active", 8)
    assert await _progress(world) == (8, 8)
    assert await _adjust(desk, 2, "disputed") == ("frozen", 8)
    assert await _progress(world) == (8, 8)
    assert await _adjust(desk, 3) == ("active", 8)
    await world.connection.execute("UPDATE student_course_purchases SET status = 'expired'")
    assert await _adjust(desk, 4) == ("expired", 8)
    assert await _progress(world) == (8, 8)
    assert await _adjust(desk, 5, "refunded") == ("revoked", 8)
    assert await _progress(world) == (8, 8)


async def test_what_is_told_again_is_what_was_told(world: World, desk: PurchaseDesk, purchase: UUID) -> None:
    told = await _adjust(desk, 1)
    await world.connection.execute(
        """
        UPDATE tutoring_sessions SET starts_at = starts_at - interval '420 d', ends_at = ends_at - interval '420 d'
         WHERE sequence_no = 9
        """
    )
    await world.adjust(purchase, status="expired")
    assert await _progress(world) == (8, 9)
    assert await _adjust(desk, 1) == told


@pytest.mark.usefixtures("purchase")
async def test_a_session_that_is_cancelled_meanwhile_is_not_counted(world: World, desk: PurchaseDesk) -> None:
    """The ninth has begun. Its cancellation is not committed when the refund is looked at."""
    begun = await world.connection.fetchval(
        """
        UPDATE tutoring_sessions SET starts_at = now() - interval '1 min', ends_at = now() + interval '1 h'
         WHERE sequence_no = 9 RETURNING id
        """
    )
    async with world.connection.transaction():
        await world.connection.execute("SELECT result FROM cancel_session($1, 'staff-1')", begun)
        refund = asyncio.create_task(_adjust(desk, 1))
        finished, _ = await asyncio.wait({refund}, timeout=0.3)
        assert not finished
    assert await refund == ("active", 8)
    assert await _progress(world) == (8, 8)
