"""Stripe's page brings no signature, and the policy `capture` trusts none: the provider's own word decides."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from services.common.events import PaymentAdjusted, PaymentSucceeded
from tests.support.books import fact_rows, outbox_events, payment_row, task_rows
from tests.support.checkout import (
    CONFIRM,
    confirm,
    pay,
    payment_entity,
    send_stripe_webhook,
    send_webhook,
    signed_callback,
)
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, add_course, owner_connection, place_order, running_gateway


async def _ask(gateway: Gateway, intent_id: str) -> tuple[int, dict[str, object], str | None]:
    body = {"provider": "stripe", "payment_intent": intent_id}
    async with gateway.http.post(gateway.url + CONFIRM, json=body) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers.get("Location")


async def test_stripe_is_asked_whether_an_intent_has_succeeded(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1", provider="stripe")
    assert order["clientSecret"]
    intent_id = order["providerOrderId"]
    status, told, location = await _ask(gateway, intent_id)
    assert (status, told["status"], location) == (202, "created", f"/api/v1/payments/{order['orderId']}")
    await pay(gateway, order)
    answers = [await _ask(gateway, intent_id) for _ in range(2)]
    assert [status for status, _, _ in answers] == [200, 200]
    assert [told["replayed"] for _, told, _ in answers] == [False, True]
    assert [type(event) for event in await outbox_events(database_url)] == [PaymentSucceeded]
    assert not await task_rows(database_url, "verify")


async def test_stripes_webhooks_pay_and_refund(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1", provider="stripe")
    intent = {
        "object": "payment_intent", "id": order["providerOrderId"], "amount": order["amountMinor"],
        "amount_received": order["amountMinor"], "currency": "inr", "status": "succeeded",
    }  # fmt: skip
    now = int(time.time())
    for _ in range(2):
        assert (await send_stripe_webhook(gateway, "payment_intent.succeeded", intent, at=now))[0] == 200
    charge = _charge(order)
    # Two partial refunds of one charge differ in nothing but the total so far.
    for total in (100_000, 300_000):
        told = {**charge, "amount_refunded": total}
        answers = [
            await send_stripe_webhook(gateway, "charge.refunded", told, at=now, event_id=f"evt_{total}_{again}")
            for again in range(2)
        ]
        assert [body["duplicate"] for _, body in answers] == [False, True]
    refund = {"object": "refund", "id": "re_1", "payment_intent": intent["id"], "currency": "inr", "amount": 100_000}
    await send_stripe_webhook(gateway, "refund.updated", {**refund, "status": "succeeded"}, at=now)
    succeeded, *adjusted = await outbox_events(database_url)
    assert isinstance(succeeded, PaymentSucceeded)
    assert [event.refunded_minor for event in adjusted if isinstance(event, PaymentAdjusted)] == [100_000, 300_000]
    assert (await send_stripe_webhook(gateway, "invoice.paid", {}, at=now - 301))[0] == 400


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("charge.failed", {"status": "failed", "paid": False, "captured": False, "amount_captured": 0}),
        ("charge.pending", {"status": "pending", "paid": False, "captured": False, "amount_captured": 0}),
        ("charge.succeeded", {"captured": False, "amount_captured": 0}),
        ("charge.succeeded", {"amount_captured": 1}),
        ("charge.succeeded", {"captured": None}),
    ],
)
async def test_a_charge_that_took_no_or_too_little_money_pays_nothing(
    gateway: Gateway, database_url: str, event: str, told: dict[str, object]
) -> None:
    order = await place_order(gateway, key="key-1", provider="stripe")
    assert (await send_stripe_webhook(gateway, event, {**_charge(order), **told}, at=int(time.time())))[0] == 200
    assert (await payment_row(database_url, order["orderId"]))["confirmed_at"] is None
    assert await outbox_events(database_url) == []


async def test_a_captured_charge_pays_as_its_intent_does(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1", provider="stripe")
    await send_stripe_webhook(gateway, "charge.succeeded", _charge(order), at=int(time.time()))
    assert [type(event) for event in await outbox_events(database_url)] == [PaymentSucceeded]


async def test_under_the_policy_capture_only_a_capture_counts(database_url: str, tmp_path: Path) -> None:
    await add_course(database_url)
    async with running_gateway(database_url, tmp_path, confirm_policy="capture") as gateway:
        order = await place_order(gateway, key="key-1")
        fields = await pay(gateway, order, status="authorized")
        assert (await confirm(gateway, fields))[0] == 202
        assert (await payment_row(database_url, order["orderId"]))["status"] == "created"
        payment_id = fields["razorpay_payment_id"]
        captured = payment_entity(order, payment_id)
        await send_webhook(gateway, "payment.captured", payment=captured)
        assert (await confirm(gateway, fields))[1]["status"] == "succeeded"
        paid = await place_order(gateway, key="key-2")
        status, told = await confirm(gateway, await pay(gateway, paid))
        assert (status, told["replayed"]) == (200, False)


async def test_under_the_policy_capture_a_provider_that_is_away_means_later(database_url: str, tmp_path: Path) -> None:
    await add_course(database_url)
    async with running_gateway(database_url, tmp_path, confirm_policy="capture") as gateway:
        order = await place_order(gateway, key="key-1")
        fields = await pay(gateway, order)
        failing = {"provider": {"errorRate": 1}}
        control = f"{gateway.settings.razorpay_base_url}/control/failures"
        async with gateway.http.put(control, json=failing) as answer:
            assert answer.status == 200
        started = time.monotonic()
        assert (await confirm(gateway, fields))[0] == 202
        assert time.monotonic() - started < 2
        assert [fact["status"] for fact in await fact_rows(database_url)] == ["claimed"]
        assert not await outbox_events(database_url)
        async with gateway.http.put(control, json={}) as answer:
            assert answer.status == 200
        assert (await confirm(gateway, fields))[0] == 200


async def test_a_slow_provider_and_then_a_held_row_mean_later_too(database_url: str, tmp_path: Path) -> None:
    await add_course(database_url)
    async with running_gateway(database_url, tmp_path, confirm_policy="capture") as gateway:
        order = await place_order(gateway, key="key-1")
        fields = await pay(gateway, order)
        slow = {"provider": {"slowRate": 1, "slowS": 1.0}}
        async with gateway.http.put(f"{gateway.settings.razorpay_base_url}/control/failures", json=slow) as answer:
            assert answer.status == 200
        confirmation = asyncio.create_task(confirm(gateway, fields))

        async def is_claimed() -> bool:
            return bool(await fact_rows(database_url))

        await eventually(is_claimed, every_s=0.05)
        async with owner_connection(database_url) as connection, connection.transaction():
            await connection.execute("SELECT FROM payments WHERE order_id = $1 FOR UPDATE", order["orderId"])
            # Not the sum of what each may take: a 503 after more than two seconds.
            assert (await confirmation)[0] == 202


async def test_an_intent_of_ours_that_another_account_is_asked_about_is_decided_later(
    gateway: Gateway, database_url: str
) -> None:
    order = await place_order(gateway, key="key-1", provider="stripe")
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE orders SET provider_order_id = 'pi_OfAnotherAccount'")
    status, told, location = await _ask(gateway, "pi_OfAnotherAccount")
    assert (status, told["status"], location) == (202, "created", f"/api/v1/payments/{order['orderId']}")


async def test_under_the_policy_capture_a_payment_that_is_not_this_orders_is_no_success_and_no_unknown_order(
    database_url: str, tmp_path: Path
) -> None:
    await add_course(database_url)
    async with running_gateway(database_url, tmp_path, confirm_policy="capture") as gateway:
        cheap, dear = await place_order(gateway, key="key-1"), await place_order(gateway, key="key-2", purchaseTier=30)
        for payment_id in ("pay_nobodys", (await pay(gateway, cheap))["razorpay_payment_id"]):
            status, told = await confirm(gateway, signed_callback(gateway, dear["providerOrderId"], payment_id))
            assert (status, told["orderId"], told["status"]) == (202, dear["orderId"], "failed")
        assert not await outbox_events(database_url)


def _charge(order: Mapping[str, Any]) -> dict[str, object]:
    amount = order["amountMinor"]
    return {
        "object": "charge", "id": "ch_1", "payment_intent": order["providerOrderId"], "currency": "inr",
        "amount": amount, "amount_captured": amount, "amount_refunded": 0, "captured": True, "paid": True,
        "status": "succeeded",
    }  # fmt: skip
