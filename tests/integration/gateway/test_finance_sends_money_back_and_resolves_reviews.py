"""Refunds and reviews: what finance decides, what becomes of it, and who decided."""

import asyncio
from typing import Any

import pytest

from services.common.events import PaymentAdjusted, PaymentSucceeded
from services.gateway_api.callers.roles import Role
from services.gateway_api.providers import ProviderRefusedError
from tests.support.books import fact_rows, outbox_events, payment_row, task_rows
from tests.support.checkout import (
    Json,
    confirm,
    pay,
    payment_entity,
    refund_entity,
    send_webhook,
    signed_callback,
)
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, owner_connection, place_order
from tests.support.payment_work import task_workers


async def ask(gateway: Gateway, order_id: str, verb: str, body: Json, *, key: str = "") -> tuple[int, Any]:
    headers = gateway.headers(Role.FINANCE, subject="finance-1") | ({"Idempotency-Key": key} if key else {})
    return await gateway.call("POST", f"/api/v1/admin/payments/{order_id}/{verb}", json=body, headers=headers)


async def audited(database_url: str) -> list[tuple[str, str, str, str]]:
    async with owner_connection(database_url) as connection:
        rows = await connection.fetch("SELECT actor, action, target, reason FROM audit_log ORDER BY id")
    return [tuple(row) for row in rows]


async def paid_order(gateway: Gateway, key: str = "key-1") -> Json:
    order = await place_order(gateway, key=key)
    assert (await confirm(gateway, await pay(gateway, order)))[0] == 200
    return order


async def becomes(database_url: str, order: Json, status: str) -> None:
    async def is_so() -> bool:
        return bool((await payment_row(database_url, order["orderId"]))["status"] == status)

    await eventually(is_so)


async def test_a_part_and_then_the_rest_goes_back_each_once(gateway: Gateway, database_url: str) -> None:
    order, other = await paid_order(gateway), await paid_order(gateway, "key-2")
    body = {"amountMinor": 200_000, "reason": "two lessons fell out"}
    answers = [await ask(gateway, order["orderId"], "refund", body, key="refund-1") for _ in range(2)]
    assert answers[0] == answers[1]
    status, told = answers[0]
    assert (status, told["amountMinor"], told["currency"], told["status"]) == (202, 200_000, "INR", "pending")
    [task] = await task_rows(database_url, "refund")
    assert str(task["id"]) == told["refundId"]
    async with task_workers(gateway):
        await becomes(database_url, order, "partially_refunded")
        rest = await eventually(lambda: _accepted(gateway, order, {"reason": "the student moved away"}))
        assert rest["amountMinor"] == 300_000
        await becomes(database_url, order, "refunded")
    adjusted = [event for event in await outbox_events(database_url) if isinstance(event, PaymentAdjusted)]
    assert [(event.status, event.refunded_minor, event.sequence) for event in adjusted] == [
        ("partially_refunded", 200_000, 1),
        ("refunded", 500_000, 2),
    ]
    assert (await payment_row(database_url, other["orderId"]))["status"] == "succeeded"
    assert await audited(database_url) == [
        ("finance-1", "payment.refund", order["orderId"], "two lessons fell out"),
        ("finance-1", "payment.refund", order["orderId"], "the student moved away"),
    ]
    assert (await ask(gateway, order["orderId"], "refund", {"reason": "again"}, key="refund-3"))[0] == 409


async def _accepted(gateway: Gateway, order: Json, body: Json) -> Json:
    status, told = await ask(gateway, order["orderId"], "refund", body, key="refund-rest")
    assert status == 202, told
    return told  # type: ignore[no-any-return]


async def test_two_refunds_at_once_are_one_and_a_conflict(gateway: Gateway, database_url: str) -> None:
    order = await paid_order(gateway)
    body = {"amountMinor": 400_000, "reason": "a double click"}
    answers = await asyncio.gather(*(ask(gateway, order["orderId"], "refund", body, key=f"k-{n}") for n in range(5)))
    assert sorted(status for status, _ in answers) == [202, 409, 409, 409, 409]
    assert {told["type"] for status, told in answers if status == 409} == {"/problems/refund-running"}
    assert len(await task_rows(database_url, "refund")) == 1


async def test_what_cannot_go_back_is_refused(gateway: Gateway, database_url: str) -> None:
    order, unpaid = await paid_order(gateway), await place_order(gateway, key="key-2")
    too_much = {"amountMinor": 500_001, "reason": "too much"}
    status, told = await ask(gateway, order["orderId"], "refund", too_much, key="k-1")
    assert (status, told["type"], told["leftMinor"]) == (409, "/problems/not-refundable", 500_000)
    status, told = await ask(gateway, unpaid["orderId"], "refund", {"reason": "unpaid"}, key="k-2")
    assert (status, told["leftMinor"], told["paymentStatus"]) == (409, 0, "created")
    assert (await ask(gateway, "ord_nobodys", "refund", {"reason": "none"}, key="k-3"))[0] == 404
    assert (await ask(gateway, order["orderId"], "refund", {"reason": "no key"}))[0] == 400
    assert (await ask(gateway, order["orderId"], "refund", {}, key="k-4"))[0] == 422
    assert not await task_rows(database_url, "refund")
    assert not await audited(database_url)


async def test_an_accepted_review_pays_the_order_or_frees_it(gateway: Gateway, database_url: str) -> None:
    early, late = await place_order(gateway, key="key-1"), await place_order(gateway, key="key-2")
    await send_webhook(gateway, "payment.captured", payment=payment_entity(early, "pay_1", amount=100))
    assert (await confirm(gateway, signed_callback(gateway, late["providerOrderId"], "pay_2")))[0] == 200
    await send_webhook(gateway, "payment.captured", payment=payment_entity(late, "pay_2", amount=100))
    for order, payment_id in ((early, "pay_1"), (late, "pay_2")):
        status, told = await ask(gateway, order["orderId"], "resolve", {"decision": "accept", "reason": "agreed"})
        assert (status, told["status"], told["paymentId"], told["decision"]) == (200, "succeeded", payment_id, "accept")
        fields = signed_callback(gateway, order["providerOrderId"], payment_id)
        assert (await confirm(gateway, fields))[1]["confirmedAt"] == told["confirmedAt"]
        again, problem = await ask(gateway, order["orderId"], "resolve", {"decision": "refund", "reason": "no"})
        assert (again, problem["type"], problem["paymentStatus"]) == (409, "/problems/not-in-review", "succeeded")
    events = await outbox_events(database_url)
    succeeded = {event.order_id for event in events if isinstance(event, PaymentSucceeded)}
    assert succeeded == {early["orderId"], late["orderId"]}
    adjusted = [(event.order_id, event.status) for event in events if isinstance(event, PaymentAdjusted)]
    assert adjusted == [(late["orderId"], "review"), (late["orderId"], "succeeded")]
    decisions = [fact for fact in await fact_rows(database_url) if fact["source"] == "staff"]
    assert {(fact["verified_by"], fact["status"]) for fact in decisions} == {("staff finance-1", "accepted")}
    assert [row[:2] for row in await audited(database_url)] == [("finance-1", "payment.resolve")] * 2


async def test_a_rejected_review_goes_back_whole(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    callback = await pay(gateway, order, amount=100)
    await send_webhook(
        gateway, "payment.captured", payment=payment_entity(order, callback["razorpay_payment_id"], amount=100)
    )
    decision = {"decision": "refund", "reason": "a wrong amount"}
    status, told = await ask(gateway, order["orderId"], "resolve", decision)
    assert (status, told["status"]) == (200, "review")
    # Once the money is on its way it cannot pay the order any more.
    assert (await ask(gateway, order["orderId"], "resolve", {"decision": "accept", "reason": "wait"}))[0] == 409
    async with task_workers(gateway, count=2):
        await becomes(database_url, order, "failed")
    provider = gateway.dependencies.providers["razorpay"]
    fact = await provider.fetch_payment(callback["razorpay_payment_id"], within_s=5)
    assert fact.cumulative == 100
    assert not await outbox_events(database_url)


async def test_a_refund_that_names_neither_order_nor_an_accepted_payment_is_linked(
    gateway: Gateway, database_url: str
) -> None:
    order = await place_order(gateway, key="key-1")
    await send_webhook(gateway, "payment.captured", payment=payment_entity(order, "pay_1", amount=100))
    assert (await payment_row(database_url, order["orderId"]))["status"] == "review"
    # As a person does in the provider's dashboard; the provider leaves the payment out.
    await send_webhook(gateway, "refund.processed", refund=refund_entity("pay_1", "rfnd_1", 100))
    assert (await payment_row(database_url, order["orderId"]))["status"] == "failed"


async def test_money_that_is_back_already_is_not_asked_for_again(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1", provider="stripe")
    await pay(gateway, order)
    fields = {"provider": "stripe", "payment_intent": order["providerOrderId"]}
    assert (await confirm(gateway, fields))[0] == 200
    stripe = gateway.dependencies.providers["stripe"]
    assert await stripe.refund(order["providerOrderId"], amount_minor=None, key="dashboard", within_s=5) is not None
    assert (await ask(gateway, order["orderId"], "refund", {"reason": "again"}, key="k-1"))[0] == 202
    async with task_workers(gateway):

        async def is_done() -> bool:
            [task] = await task_rows(database_url, "refund")
            return task["done_at"] is not None

        await eventually(is_done)
    [task] = await task_rows(database_url, "refund")
    assert (task["attempts"], task["last_error"]) == (1, None)
    with pytest.raises(ProviderRefusedError):
        await stripe.refund(order["providerOrderId"], amount_minor=1, key="part", within_s=5)


async def test_a_refund_of_dollars_that_pay_an_order_in_rupees_counts_by_its_share(
    gateway: Gateway, database_url: str
) -> None:
    order = await place_order(gateway, key="key-1")
    dollars = payment_entity(order, "pay_1", amount=6_000, currency="USD")
    await send_webhook(gateway, "payment.captured", payment=dollars)
    accepted = {"decision": "accept", "reason": "paid from abroad"}
    assert (await ask(gateway, order["orderId"], "resolve", accepted))[0] == 200
    back = refund_entity("pay_1", "rfnd_1", 3_000) | {"currency": "USD"}
    await send_webhook(gateway, "refund.processed", payment=dollars, refund=back)
    adjusted = [event for event in await outbox_events(database_url) if isinstance(event, PaymentAdjusted)]
    assert [(event.status, event.refunded_minor, event.currency) for event in adjusted] == [
        ("partially_refunded", 250_000, "INR")
    ]
    status, told = await ask(gateway, order["orderId"], "refund", {"reason": "moved away"}, key="k-1")
    assert (status, told["amountMinor"], told["currency"]) == (202, 3_000, "USD")


async def test_a_rejected_success_without_money_is_over_at_once(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    payment_id = (await pay(gateway, order, status="authorized"))["razorpay_payment_id"]
    fields = signed_callback(gateway, order["providerOrderId"], payment_id)
    assert (await confirm(gateway, fields))[0] == 200
    async with owner_connection(database_url) as connection:
        await connection.execute(
            "INSERT INTO payment_facts (order_id, provider, source, payment_id, entity_id, event, status, body,"
            " body_sha256, verified_by) VALUES ($1, 'razorpay', 'fetch', $2, $2, 'payment.unknown', 'failed', '{}',"
            " sha256('x'), 'fetched')",
            order["orderId"],
            payment_id,
        )
        await connection.execute("UPDATE payments SET status = 'review' WHERE order_id = $1", order["orderId"])
    status, told = await ask(gateway, order["orderId"], "resolve", {"decision": "refund", "reason": "it is forged"})
    assert (status, told["status"]) == (200, "refunded")


async def test_after_a_rejected_payment_a_later_one_can_be_accepted(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    await send_webhook(gateway, "payment.captured", payment=payment_entity(order, "pay_1", amount=100))
    rejected = {"decision": "refund", "reason": "a wrong amount"}
    assert (await ask(gateway, order["orderId"], "resolve", rejected))[0] == 200
    back = refund_entity("pay_1", "rfnd_1", 100)
    await send_webhook(gateway, "refund.processed", payment=payment_entity(order, "pay_1"), refund=back)
    assert (await payment_row(database_url, order["orderId"]))["status"] == "failed"
    nearly = payment_entity(order, "pay_2", amount=order["amountMinor"] - 100)
    await send_webhook(gateway, "payment.captured", payment=nearly)
    status, told = await ask(gateway, order["orderId"], "resolve", {"decision": "accept", "reason": "near enough"})
    assert (status, told["status"], told["paymentId"]) == (200, "succeeded", "pay_2")


async def test_what_can_go_back_is_what_was_taken(gateway: Gateway, database_url: str) -> None:
    for number, amount in enumerate((100, 600_000)):
        order = await place_order(gateway, key=f"key-{number}")
        payment_id = (await pay(gateway, order, amount=amount))["razorpay_payment_id"]
        captured = payment_entity(order, payment_id, amount=amount)
        await send_webhook(gateway, "payment.captured", payment=captured)
        accepted = {"decision": "accept", "reason": "agreed"}
        assert (await ask(gateway, order["orderId"], "resolve", accepted))[0] == 200
        too_much = {"amountMinor": amount + 1, "reason": "a slip"}
        status, told = await ask(gateway, order["orderId"], "refund", too_much, key=f"slip-{number}")
        assert (status, told["leftMinor"]) == (409, amount)
        status, told = await ask(gateway, order["orderId"], "refund", {"reason": "a wish"}, key=f"all-{number}")
        assert (status, told["amountMinor"]) == (202, amount)
        async with task_workers(gateway):
            await becomes(database_url, order, "refunded")
