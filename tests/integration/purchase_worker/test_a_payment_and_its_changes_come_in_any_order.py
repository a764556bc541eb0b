"""Whatever the order, number of copies and grouping in which a payment and its changes come, the result is the same."""

import asyncio
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.events import PaymentAdjusted, PaymentSucceeded, PurchaseAdjusted, adjustment_event_id
from tests.support.events import payment_adjusted, payment_succeeded
from tests.support.purchases import PurchaseDesk, emitted, results

Change = PaymentSucceeded | PaymentAdjusted


def history(order_id: str) -> tuple[Change, ...]:
    """A partial refund, a dispute, and the dispute won."""
    return (
        payment_succeeded(order_id),
        payment_adjusted(order_id, sequence=1, refunded_minor=100_000),
        payment_adjusted(order_id, sequence=2, refunded_minor=100_000, status="disputed"),
        payment_adjusted(order_id, sequence=3, refunded_minor=200_000),
    )


async def apply(desk: PurchaseDesk, change: Change) -> list[PurchaseAdjusted]:
    if isinstance(change, PaymentSucceeded):
        return emitted(await desk.pay(change), PurchaseAdjusted)  # type: ignore[return-value]
    return emitted(await desk.adjust(change), PurchaseAdjusted)  # type: ignore[return-value]


async def state(desk: PurchaseDesk, order_id: str) -> tuple[str, int, int]:
    (row,) = [row for row in await desk.purchases() if row["order_id"] == order_id]
    return row["status"], row["sessions_total"], row["applied_sequence"]


@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_every_order_ends_with_the_newest_change(desk: PurchaseDesk, order: tuple[int, ...]) -> None:
    told = [event for index in order for event in await apply(desk, history("ord_1")[index])]
    assert await state(desk, "ord_1") == ("active", 6, 3)
    # The newest is told by whoever came second, under the id of its own.
    newest = [event for event in told if event.sequence == 3]
    assert newest
    for event in newest:
        assert event.event_id == adjustment_event_id("PurchaseAdjusted", "ord_1", 3)
        assert (event.status, event.sessions_total) == ("active", 6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_copies_and_batches_change_nothing(desk: PurchaseDesk, data: st.DataObject) -> None:
    order_id = f"ord_{data.draw(st.uuids()).hex}"
    extra = data.draw(st.lists(st.integers(0, 3), max_size=6))
    order = data.draw(st.permutations([0, 1, 2, 3, *extra]))
    told: dict[int, PurchaseAdjusted] = {}
    for index in order:
        for event in await apply(desk, history(order_id)[index]):
            # Equal ids are equal events.
            assert told.setdefault(event.sequence, event) == event
    assert await state(desk, order_id) == ("active", 6, 3)


async def test_changes_of_one_order_in_one_batch_are_folded(desk: PurchaseDesk) -> None:
    paid, *changes = history("ord_1")
    await apply(desk, paid)
    done = await desk.adjust(changes[2], changes[0], changes[1])  # type: ignore[arg-type]
    assert results(done) == ["ok", "duplicate", "duplicate"]
    assert {event.event_id for event in emitted(done, PurchaseAdjusted)} == {
        adjustment_event_id("PurchaseAdjusted", "ord_1", 3)
    }


async def test_a_change_without_a_purchase_waits_and_says_so(desk: PurchaseDesk) -> None:
    done = await desk.adjust(payment_adjusted("ord_1"))
    assert results(done) == ["pending"]
    assert done[0].emit == ()
    assert await desk.purchases() == []


@pytest.mark.parametrize("first", ["payment", "change"])
async def test_at_the_same_time_the_second_waits_and_sees_the_first(desk: PurchaseDesk, first: str) -> None:
    """Without a common lock each would look before the other's commit, and nobody would apply the refund."""
    paid, change = payment_succeeded("ord_1"), payment_adjusted("ord_1")
    async with desk.database.transaction() as transaction:
        if first == "payment":
            await desk.handler.payments_succeeded([paid], transaction)
            second = asyncio.create_task(apply(desk, change))
        else:
            await desk.handler.payments_adjusted([change], transaction)
            second = asyncio.create_task(apply(desk, paid))
        finished, _ = await asyncio.wait({second}, timeout=0.3)
        assert not finished
    (told,) = await second
    assert told.event_id == adjustment_event_id("PurchaseAdjusted", "ord_1", 1)
    assert await state(desk, "ord_1") == ("active", 5, 1)
