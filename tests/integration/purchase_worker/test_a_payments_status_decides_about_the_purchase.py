"""Refunds reduce or end a purchase, disputes freeze it."""

import pytest

from services.common.database import Database
from services.common.events import PurchaseAdjusted
from tests.support.events import payment_adjusted, payment_succeeded
from tests.support.purchases import PurchaseDesk, emitted


@pytest.mark.parametrize(
    ("payment", "refunded", "purchase", "sessions"),
    [
        ("partially_refunded", 100_000, "active", 8),
        ("refunded", 500_000, "revoked", 0),
        ("charged_back", 0, "revoked", 0),
        ("disputed", 0, "frozen", 10),
        ("review", 0, "frozen", 10),
    ],
)
async def test_each_status_has_its_effect(
    desk: PurchaseDesk, payment: str, refunded: int, purchase: str, sessions: int
) -> None:
    await desk.pay(payment_succeeded("ord_1"))
    done = await desk.adjust(payment_adjusted("ord_1", status=payment, refunded_minor=refunded))
    row = await desk.purchase()
    assert (row["status"], row["sessions_total"]) == (purchase, sessions)
    (told,) = emitted(done, PurchaseAdjusted)
    assert isinstance(told, PurchaseAdjusted)
    assert (told.purchase_id, told.status, told.sessions_total) == (row["id"], purchase, sessions)


async def test_a_won_dispute_and_a_failed_refund_give_everything_back(desk: PurchaseDesk) -> None:
    await desk.pay(payment_succeeded("ord_1"))
    await desk.adjust(payment_adjusted("ord_1", status="disputed", refunded_minor=0))
    await desk.adjust(payment_adjusted("ord_1", status="succeeded", refunded_minor=0, sequence=2))
    row = await desk.purchase()
    assert (row["status"], row["sessions_total"]) == ("active", 10)


async def test_an_expired_purchase_is_revoked_but_never_revived(desk: PurchaseDesk, database: Database) -> None:
    await desk.pay(payment_succeeded("ord_1"))
    async with database.connection() as connection:
        await connection.execute("UPDATE student_course_purchases SET status = 'expired'")
    await desk.adjust(payment_adjusted("ord_1", status="disputed", refunded_minor=0))
    assert (await desk.purchase())["status"] == "expired"
    await desk.adjust(payment_adjusted("ord_1", status="refunded", refunded_minor=500_000, sequence=2))
    assert (await desk.purchase())["status"] == "revoked"


async def test_a_change_that_cannot_be_is_a_dead_letter_and_leaves_no_row(
    desk: PurchaseDesk, database: Database
) -> None:
    (dead,) = await desk.adjust_in_vain(payment_adjusted("ord_1", status="failed"))
    assert dead.error.kind == "permanent"
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM purchase_adjustments") == 0
