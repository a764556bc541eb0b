"""Whoever handles a record again emits the same event; another decision or change is another event."""

from uuid import UUID

from services.common.events import adjustment_event_id, allocation_event_id, order_event_id, purchase_id_of

ALLOCATION = UUID(int=7)


def test_the_same_happening_has_the_same_id_for_ever() -> None:
    # Written down: consumers know events by these ids, whichever release emitted them.
    assert str(order_event_id("PaymentSucceeded", "ord_1")) == "2b58806b-e4f5-5045-99cc-caee118a7272"
    assert str(adjustment_event_id("PaymentAdjusted", "ord_1", 2)) == "c74e5a51-e2eb-52ff-97fc-b362e24fca91"
    assert str(allocation_event_id("TrainerAssigned", ALLOCATION, 1)) == "b1bbb518-e40f-5bad-bcc6-ec35fc731608"
    assert str(purchase_id_of("ord_1")) == "c62fb123-7000-5f4d-a2e4-4e2411678e6c"


def test_another_happening_has_another_id() -> None:
    ids = {
        order_event_id("PaymentSucceeded", "ord_1"),
        order_event_id("PaymentSucceeded", "ord_2"),
        order_event_id("PurchaseCreated", "ord_1"),
        adjustment_event_id("PaymentAdjusted", "ord_1", 1),
        adjustment_event_id("PaymentAdjusted", "ord_1", 2),
        allocation_event_id("TrainerAssigned", ALLOCATION, 1),
        allocation_event_id("TrainerAssigned", ALLOCATION, 2),
        allocation_event_id("AllocationPending", ALLOCATION, 1),
        purchase_id_of("ord_1"),
    }
    assert len(ids) == 9
