"""A payment becomes a purchase with its tier, dates and metadata."""

from datetime import UTC, datetime

import orjson

from services.common.events import PurchaseCreated, order_event_id, purchase_id_of
from tests.support.events import payment_succeeded, schedule
from tests.support.purchases import PurchaseDesk, emitted, results

PAID_AT = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)


async def test_the_row_has_what_was_paid(desk: PurchaseDesk) -> None:
    (done,) = await desk.pay(payment_succeeded("ord_1", purchase_tier=20, metadata={"channel": "web"}))
    assert (done.result, done.since) == ("ok", PAID_AT)
    row = await desk.purchase()
    assert row["id"] == purchase_id_of("ord_1")
    assert (row["student_id"], row["course_id"]) == ("student-1", "course-0001")
    assert (row["purchase_tier"], row["sessions_total"], row["status"]) == (20, 20, "active")
    assert row["purchase_date"] == PAID_AT
    # 270 days after midnight in Kolkata of 2027-01-04.
    assert row["expiry_date"] == datetime(2027, 9, 30, 18, 30, tzinfo=UTC)
    metadata = orjson.loads(row["metadata"])
    assert (metadata["timeSlot"], metadata["date"], metadata["timeZone"]) == ("18:00", "2027-01-04", "Asia/Kolkata")
    assert metadata["schedule"]["weekdays"] == [1, 3]
    assert metadata["channel"] == "web"


async def test_the_event_tells_what_the_row_says(desk: PurchaseDesk) -> None:
    wanted = schedule(mode="in_person", latitude=12.9716, longitude=77.5946, flexibility=("radius", "online"))
    done = await desk.pay(payment_succeeded("ord_1", schedule=wanted, metadata={"channel": "web"}))
    row = await desk.purchase()
    assert done[0].emit == (
        PurchaseCreated(
            event_id=order_event_id("PurchaseCreated", "ord_1"),
            purchase_id=row["id"],
            order_id="ord_1",
            student_id="student-1",
            course_id="course-0001",
            purchase_tier=10,
            purchase_date=row["purchase_date"],
            expiry_date=row["expiry_date"],
            schedule=wanted,
            metadata={"channel": "web"},
        ),
    )


async def test_a_batch_is_answered_in_its_order(desk: PurchaseDesk) -> None:
    orders = [f"ord_{number}" for number in (3, 1, 2)]
    done = await desk.pay(*map(payment_succeeded, orders))
    assert results(done) == ["ok"] * 3
    assert [event.order_id for event in emitted(done, PurchaseCreated)] == orders
    assert len(await desk.purchases()) == 3
