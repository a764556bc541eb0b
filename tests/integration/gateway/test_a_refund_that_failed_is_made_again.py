"""A payment that is owed goes back, whatever becomes of the first refund of it; staff can send it back too."""

from typing import Any

import pytest

from services.gateway_api.callers.roles import Role
from services.gateway_api.limits import REFUNDS_FAILED_MAX
from tests.support.books import fact_rows, make_due, task_rows
from tests.support.checkout import Json, confirm, pay, payment_entity, refund_entity, send_webhook, signed_callback
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, owner_connection, place_order
from tests.support.payment_work import task_workers


async def order_with_surplus(gateway: Gateway) -> tuple[Json, str]:
    """(the order, the payment that is owed)."""
    order = await place_order(gateway, key="key-1")
    await confirm(gateway, signed_callback(gateway, order["providerOrderId"], "pay_first"))
    surplus = await pay(gateway, order)
    assert (await confirm(gateway, surplus))[0] == 409
    return order, surplus["razorpay_payment_id"]


async def refund_fails(gateway: Gateway, order: Json, payment_id: str, refund_id: str) -> None:
    entity = refund_entity(payment_id, refund_id, order["amountMinor"], "failed")
    payment = payment_entity(order, payment_id)
    assert (await send_webhook(gateway, "refund.failed", payment=payment, refund=entity))[0] == 200


async def refund(gateway: Gateway, order: Json, body: Json, *, key: str) -> tuple[int, Any]:
    headers = gateway.headers(Role.FINANCE, subject="finance-1") | {"Idempotency-Key": key}
    path = f"/api/v1/admin/payments/{order['orderId']}/refund"
    return await gateway.call("POST", path, json={"reason": "it failed", **body}, headers=headers)


async def finished(database_url: str, count: int) -> bool:
    tasks = await task_rows(database_url, "refund")
    return len(tasks) == count and all(task["done_at"] is not None for task in tasks)


async def test_a_failure_that_is_told_later_opens_one_new_task(gateway: Gateway, database_url: str) -> None:
    order, surplus = await order_with_surplus(gateway)
    async with task_workers(gateway):
        await eventually(lambda: finished(database_url, 1))
        [refund_id] = {fact["entity_id"] for fact in await fact_rows(database_url) if "refund" in fact["status"]}
        for _ in range(2):
            await refund_fails(gateway, order, surplus, refund_id)
        _, again = await task_rows(database_url, "refund")
        assert again["subject"] == f"{surplus}#{refund_id}"
        # A provider without money has none a second later either.
        assert 50 < (again["due_at"] - again["created_at"]).total_seconds() < 70
        await make_due(database_url, "refund")
        await eventually(lambda: finished(database_url, 2))
    assert all(task["last_error"] is None for task in await task_rows(database_url, "refund"))


@pytest.mark.parametrize("failures", [REFUNDS_FAILED_MAX - 1, REFUNDS_FAILED_MAX])
async def test_what_fails_for_good_is_given_up_for_a_person(gateway: Gateway, database_url: str, failures: int) -> None:
    order, surplus = await order_with_surplus(gateway)
    for number in range(failures):
        await refund_fails(gateway, order, surplus, f"rfnd_{number}")
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE payment_tasks SET done_at = now() WHERE subject <> $1", f"{surplus}#rfnd_0")
    await make_due(database_url, "refund")
    async with task_workers(gateway):
        await eventually(lambda: finished(database_url, failures + 1))
    errors = {task["subject"]: task["last_error"] for task in await task_rows(database_url, "refund")}
    assert (errors[f"{surplus}#rfnd_0"] is not None) is (failures == REFUNDS_FAILED_MAX)


async def test_staff_can_send_an_owed_payment_back(gateway: Gateway, database_url: str) -> None:
    order, surplus = await order_with_surplus(gateway)
    # While it is on its way by itself, twice would be once too often.
    status, told = await refund(gateway, order, {"paymentId": surplus}, key="k-1")
    assert (status, told["type"]) == (409, "/problems/refund-running")
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE payment_tasks SET done_at = now(), last_error = 'given up'")
    status, told = await refund(gateway, order, {"paymentId": surplus}, key="k-2")
    assert (status, told["paymentId"], told["amountMinor"]) == (202, surplus, order["amountMinor"])
    async with task_workers(gateway):
        await eventually(lambda: finished(database_url, 2))
    provider = gateway.dependencies.providers["razorpay"]
    assert (await provider.fetch_payment(surplus, within_s=5)).cumulative == order["amountMinor"]
    for payment_id in (surplus, "pay_of_nobody"):
        status, told = await refund(gateway, order, {"paymentId": payment_id}, key=f"k-{payment_id}")
        assert (status, told["type"], told["leftMinor"]) == (409, "/problems/not-refundable", 0)
