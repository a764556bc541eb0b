"""The sandbox as a provider on its worst days, each switch of it, through the gateway that it sends its webhooks to."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.common.events import PaymentAdjusted, PaymentSucceeded
from services.gateway_api.callers.roles import Role
from services.operations.payments_for_a_person import count_payments_for_a_person
from tests.support.books import fact_rows, make_due, outbox_events, payment_row
from tests.support.checkout import Json, confirm
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, add_course, place_order, running_gateway
from tests.support.payment_work import task_workers

PROVIDERS = ["razorpay", "stripe"]


@pytest.fixture
async def gateway(database_url: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    await add_course(database_url)
    async with running_gateway(database_url, tmp_path, webhooks=True, rate_limits="off") as running:
        yield running


async def _sandbox(gateway: Gateway, method: str, path: str, body: Json | None = None) -> tuple[int, Any]:
    async with gateway.http.request(method, gateway.settings.razorpay_base_url + path, json=body) as answer:
        return answer.status, await (answer.json() if answer.content_type == "application/json" else answer.text())


async def _failing(gateway: Gateway, **failures: Json) -> None:
    assert (await _sandbox(gateway, "PUT", "/control/failures", failures))[0] == 200


async def _pay(gateway: Gateway, order: Json, **payer: object) -> tuple[int, Any]:
    return await _sandbox(gateway, "POST", f"/checkout/{order['providerOrderId']}/pay", payer)


async def _becomes(gateway: Gateway, order: Json, *statuses: str) -> None:
    url = gateway.settings.required_database_url()

    async def is_so() -> bool:
        return (await payment_row(url, order["orderId"]))["status"] in statuses

    await eventually(is_so, within_s=40)


async def _given_up(gateway: Gateway) -> int:
    async with gateway.dependencies.database.connection() as connection:
        return (await count_payments_for_a_person(connection)).given_up


async def _quiet(gateway: Gateway) -> None:
    """No webhook waits any more."""

    async def is_so() -> bool:
        return bool((await _sandbox(gateway, "GET", "/control/webhooks"))[1]["waiting"] == 0)

    await eventually(is_so, within_s=40)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_webhooks_twice_late_and_replayed_and_a_provider_that_fails_make_one_success_each(
    gateway: Gateway, database_url: str, provider: str
) -> None:
    await _failing(
        gateway,
        webhook={"twiceRate": 0.7, "lateRate": 0.7, "lateS": 1.0},
        provider={"errorRate": 0.3, "slowRate": 0.3, "slowS": 0.2},
    )

    async def placed(number: int) -> Json:
        return await place_order(gateway, key=f"key-{number}", provider=provider)

    # Three tries may fail at the provider: then the order is 503, and asked for again with its key.
    orders = [await eventually(partial(placed, number), within_s=40) for number in range(4)]
    callbacks = [await _pay(gateway, order) for order in orders]
    await asyncio.gather(*(confirm(gateway, fields) for status, fields in callbacks for _ in range(2) if status == 200))
    for order in orders:
        await _becomes(gateway, order, "succeeded")
    await _quiet(gateway)
    facts = len(await fact_rows(database_url))
    status, told = await _sandbox(gateway, "POST", "/control/webhooks/replay")
    assert (status, told["replayed"] >= len(orders)) == (200, True)
    await _quiet(gateway)
    assert len(await fact_rows(database_url)) == facts
    events = await outbox_events(database_url)
    assert [type(event) for event in events] == [PaymentSucceeded] * len(orders)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_without_a_callback_the_webhook_tells_and_without_either_the_reconciler_asks(
    gateway: Gateway, database_url: str, provider: str
) -> None:
    order = await place_order(gateway, key="key-1", provider=provider)
    assert (await _pay(gateway, order, callback="lost"))[0] == 504
    await _becomes(gateway, order, "succeeded")
    await _failing(gateway, webhook={"lostRate": 1})
    silent = await place_order(gateway, key="key-2", provider=provider)
    assert (await _pay(gateway, silent, callback="lost"))[0] == 504
    assert (await payment_row(database_url, silent["orderId"]))["status"] == "created"
    await make_due(database_url, "reconcile")
    async with task_workers(gateway):
        await _becomes(gateway, silent, "succeeded")


async def test_a_payment_that_the_bank_declined_may_succeed_late_at_razorpay(
    gateway: Gateway, database_url: str
) -> None:
    order = await place_order(gateway, key="key-1")
    assert (await _pay(gateway, order, status="failed"))[0] == 400
    await _becomes(gateway, order, "failed")
    [fact] = await fact_rows(database_url)
    assert (await _sandbox(gateway, "POST", f"/control/payments/{fact['payment_id']}/capture"))[0] == 200
    await _becomes(gateway, order, "succeeded")


@pytest.mark.parametrize("first", ["failed", "processing"])
async def test_a_payment_that_was_on_its_way_or_declined_may_succeed_late_at_stripe(
    gateway: Gateway, first: str
) -> None:
    order = await place_order(gateway, key="key-1", provider="stripe")
    await _pay(gateway, order, status=first)
    await _becomes(gateway, order, "failed" if first == "failed" else "created")
    assert (await _sandbox(gateway, "POST", f"/control/intents/{order['providerOrderId']}/succeed"))[0] == 200
    await _becomes(gateway, order, "succeeded")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_refund_that_comes_back_is_a_course_again(gateway: Gateway, database_url: str, provider: str) -> None:
    order = await place_order(gateway, key="key-1", provider=provider)
    await _pay(gateway, order)
    await _becomes(gateway, order, "succeeded")
    headers = {**gateway.headers(Role.FINANCE, subject="finance-1"), "Idempotency-Key": "refund-1"}
    path, body = f"/api/v1/admin/payments/{order['orderId']}/refund", {"amountMinor": 100_000, "reason": "a test"}
    assert (await gateway.call("POST", path, json=body, headers=headers))[0] == 202
    async with task_workers(gateway):
        await _becomes(gateway, order, "partially_refunded")
    await _quiet(gateway)
    refund_id = next(
        fact["entity_id"] for fact in await fact_rows(database_url) if fact["entity_id"].startswith(("rfnd_", "re_"))
    )
    assert (await _sandbox(gateway, "POST", f"/control/refunds/{refund_id}/fail"))[0] == 200
    await _becomes(gateway, order, "succeeded")
    told = [event for event in await outbox_events(database_url) if isinstance(event, PaymentAdjusted)]
    assert [(event.status, event.refunded_minor) for event in told] == [
        ("partially_refunded", 100_000),
        ("succeeded", 0),
    ]
    # The student waits for it all the same, until somebody sends it again.
    await _quiet(gateway)
    assert await _given_up(gateway) == 1
    assert (await gateway.call("POST", path, json=body, headers=headers | {"Idempotency-Key": "refund-2"}))[0] == 202
    assert await _given_up(gateway) == 0


@pytest.mark.parametrize(("provider", "what"), [("razorpay", "payments"), ("stripe", "intents")])
async def test_a_dispute_freezes_and_its_end_decides(
    gateway: Gateway, database_url: str, provider: str, what: str
) -> None:
    for end, status in (("won", "succeeded"), ("lost", "charged_back")):
        order = await place_order(gateway, key=f"key-{end}", provider=provider)
        await _pay(gateway, order)
        await _becomes(gateway, order, "succeeded")
        payment_id = (await payment_row(database_url, order["orderId"]))["payment_id"]
        for change, becomes in (("created", "disputed"), (end, status)):
            assert (await _sandbox(gateway, "POST", f"/control/{what}/{payment_id}/dispute/{change}"))[0] == 200
            await _becomes(gateway, order, becomes)
