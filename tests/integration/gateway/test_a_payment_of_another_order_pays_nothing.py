"""Whoever has the key secret can sign any pair of ids. The provider knows better, and is asked."""

from typing import Any

from services.gateway_api.callers.roles import Role
from services.gateway_api.providers import Provider
from tests.support.books import make_due, payment_row, task_rows
from tests.support.checkout import confirm, pay, signed_callback
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
        headers = gateway.headers(Role.FINANCE, subject="finance-1")
        decided = {"decision": "refund", "reason": "the signature was forged"}
        path = f"/api/v1/admin/payments/{order['orderId']}/resolve"
        assert (await gateway.call("POST", path, json=decided, headers=headers))[0] == 200
        [task] = await eventually(lambda: _done(database_url, "refund"))
    assert "another order" in task["last_error"]
    seen = await provider.fetch_payment(payment_id, within_s=5.0)
    assert (seen.meaning, seen.cumulative) == ("captured", None)


async def test_a_payment_of_another_of_our_orders_is_found_out(gateway: Gateway, database_url: str) -> None:
    cheap = await place_order(gateway, key="key-1")
    dear = await place_order(gateway, key="key-2", purchaseTier=30)
    payment_id = (await pay(gateway, cheap))["razorpay_payment_id"]
    await _forge(gateway, dear, payment_id)
    await make_due(database_url, "verify")
    async with task_workers(gateway):
        await eventually(lambda: _becomes(database_url, dear, "review"))


async def _forge(gateway: Gateway, order: dict[str, Any], payment_id: str) -> None:
    assert (await confirm(gateway, signed_callback(gateway, order["providerOrderId"], payment_id)))[0] == 200


async def _becomes(database_url: str, order: dict[str, Any], status: str) -> bool:
    return bool((await payment_row(database_url, order["orderId"]))["status"] == status)


async def _done(database_url: str, kind: str) -> list[Any]:
    tasks = await task_rows(database_url, kind)
    assert tasks
    assert all(task["done_at"] for task in tasks)
    return tasks
