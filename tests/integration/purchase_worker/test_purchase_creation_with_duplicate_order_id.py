"""One purchase per order, whoever announces its payment how often, and everybody hears the same."""

import asyncio
from datetime import timedelta

from services.common.events import PurchaseCreated
from tests.support.events import payment_succeeded
from tests.support.purchases import PurchaseDesk, emitted, results


async def test_the_second_announcement_changes_nothing_and_tells_the_same(desk: PurchaseDesk) -> None:
    paid = payment_succeeded("ord_1")
    first = await desk.pay(paid)
    before = await desk.purchase()
    second = await desk.pay(paid)
    assert results(second) == ["duplicate"]
    assert second[0].since is None
    assert second[0].emit == first[0].emit
    assert await desk.purchase() == before


async def test_another_payment_of_the_order_gets_the_first_ones_purchase(desk: PurchaseDesk) -> None:
    paid = payment_succeeded("ord_1")
    first = await desk.pay(paid)
    other = payment_succeeded(
        "ord_1", payment_id="pay_other", purchase_tier=30, confirmed_at=paid.confirmed_at + timedelta(hours=1)
    )
    second = await desk.pay(other)
    assert second[0].emit == first[0].emit
    assert (await desk.purchase())["purchase_tier"] == 10


async def test_of_twins_in_one_batch_the_first_is_new(desk: PurchaseDesk) -> None:
    twin, single = payment_succeeded("ord_1"), payment_succeeded("ord_2")
    done = await desk.pay(twin, single, twin)
    assert results(done) == ["ok", "ok", "duplicate"]
    assert [event.order_id for event in emitted(done, PurchaseCreated)] == ["ord_1", "ord_2", "ord_1"]
    assert len(await desk.purchases()) == 2


async def test_twins_at_the_same_time_end_as_one_purchase_that_both_tell_of(desk: PurchaseDesk) -> None:
    """The second waits for the first's commit, and then sees the row although its insert added none."""
    payments = [payment_succeeded(f"ord_{number}") for number in range(50)]
    answers = await asyncio.gather(*(desk.pay(*batch) for batch in (payments, payments[::-1], payments[10:40])))
    assert sorted(results([done for answer in answers for done in answer])) == ["duplicate"] * 80 + ["ok"] * 50
    for answer in answers:
        assert len(emitted(answer, PurchaseCreated)) == len(answer)
    assert len(await desk.purchases()) == 50
