"""Whoever has the key secret can sign any pair of ids. The provider knows better, and is asked."""

import asyncio
from typing import Any

from services.gateway_api.callers.roles import Role
from services.gateway_api.providers import Provider
from services.operations.payments_for_a_person import count_payments_for_a_person
from tests.support.books import make_due, payment_row, task_rows
from tests.support.checkout import confirm, pay, payment_entity, send_webhook, signed_callback
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, place_order
from tests.support.payment_work import task_workers


async def test_a_payment_of_somebody_elses_order_is_found_out_and_not_refunded_by_us(
    gateway: Gateway, database_url: str
) -> None:
    provider: Provider = gateway.dependencies.providers["razorpay"]
    foreign = await provider.create_order(amount_minor=100, currency="INR", receipt="another-shop", notes={})
    payment_id = (await pay(gateway, {"providerOrderId": foreign.provider_order_id}))["razorpay_payment_id"]
    order = await place_order(gateway, key="key-1")
    await _forge(gateway, order, payment_id)
    await make_due(database_url, "verify")
    async with task_workers(gateway):
        await eventually(lambda: _becomes(database_url, order, "review"))
        assert (await _decide(gateway, order, "refund"))[0] == 200
        [task] = await eventually(lambda: _done(database_url, "refund"))
    assert "another order" in task["last_error"]
    seen = await provider.fetch_payment(payment_id, within_s=5.0)
    assert (seen.meaning, seen.cumulative) == ("captured", None)


async def test_a_payment_of_another_of_our_orders_is_found_out(gateway: Gateway, database_url: str) -> None:
    cheap = await place_order(gateway, key="key-1")
    dear = await place_order(gateway, key="key-2", purchaseTier=30)
    payment_id = (await pay(gateway, cheap))["razorpay_payment_id"]
    await _forge(gateway, dear, payment_id)
    genuine, other = payment_entity(cheap, payment_id), await place_order(gateway, key="key-3")
    # Together, so that they may share a commit; it is told again, as each webhook may be.
    answers = await asyncio.gather(
        send_webhook(gateway, "payment.captured", payment=genuine, event_id="evt_1"),
        send_webhook(gateway, "payment.captured", payment=payment_entity(other, "pay_other")),
        send_webhook(gateway, "payment.captured", payment=genuine, event_id="evt_1"),
    )
    assert [status for status, _ in answers] == [200, 200, 200]
    await make_due(database_url, "verify")
    async with task_workers(gateway):
        await eventually(lambda: _becomes(database_url, dear, "review"))
        assert await _becomes(database_url, cheap, "review")
        assert await _becomes(database_url, other, "succeeded")
        status, told = await _decide(gateway, cheap, "accept")
        assert (status, told["type"]) == (409, "/problems/payment-of-another-order")
        # It is of the cheap order, so it goes back from there and only from there.
        for order in (dear, cheap):
            assert (await _decide(gateway, order, "refund"))[0] == 200
        await eventually(lambda: _becomes(database_url, cheap, "failed"))
    assert await _becomes(database_url, dear, "refunded")
    async with gateway.dependencies.database.connection() as connection:
        assert (await count_payments_for_a_person(connection)).given_up == 0


async def test_a_signature_over_a_payment_that_pays_an_order_already_pays_no_second(
    gateway: Gateway, database_url: str
) -> None:
    cheap, dear = await place_order(gateway, key="key-1"), await place_order(gateway, key="key-2", purchaseTier=30)
    fields = await pay(gateway, cheap)
    assert (await confirm(gateway, fields))[0] == 200
    forged = signed_callback(gateway, dear["providerOrderId"], fields["razorpay_payment_id"])
    assert [(await confirm(gateway, forged))[0] for _ in range(2)] == [202, 202]
    assert await _becomes(database_url, dear, "review")
    assert (await _decide(gateway, dear, "refund"))[0] == 200
    async with task_workers(gateway):
        await eventually(lambda: _becomes(database_url, dear, "failed"))
    assert await _becomes(database_url, cheap, "succeeded")


async def _decide(gateway: Gateway, order: dict[str, Any], decision: str) -> tuple[int, Any]:
    headers = gateway.headers(Role.FINANCE, subject="finance-1")
    path, body = f"/api/v1/admin/payments/{order['orderId']}/resolve", {"decision": decision, "reason": "a forgery"}
    return await gateway.call("POST", path, json=body, headers=headers)


async def _forge(gateway: Gateway, order: dict[str, Any], payment_id: str) -> None:
    assert (await confirm(gateway, signed_callback(gateway, order["providerOrderId"], payment_id)))[0] == 200


async def _becomes(database_url: str, order: dict[str, Any], status: str) -> bool:
    return bool((await payment_row(database_url, order["orderId"]))["status"] == status)


async def _done(database_url: str, kind: str) -> list[Any]:
    tasks = await task_rows(database_url, kind)
    assert tasks
    assert all(task["done_at"] for task in tasks)
    return tasks
