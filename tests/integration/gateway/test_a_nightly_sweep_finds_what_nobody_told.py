"""Whatever a provider knows and never told: found by comparing, within seconds here and every night elsewhere."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.common.events import PaymentAdjusted, PaymentSucceeded
from services.gateway_api.payments.recording import open_recorder
from services.gateway_api.payments.sweeps import Found, run_sweeps, sweep_due
from services.gateway_api.providers.calls import ProviderApi
from services.gateway_api.providers.razorpay import Razorpay
from tests.support.books import fact_rows, outbox_events, payment_row
from tests.support.checkout import Json, confirm, pay
from tests.support.eventually import eventually
from tests.support.gateway import Gateway, owner_connection, place_order
from tests.support.outside import outside_stub


async def _sandbox(gateway: Gateway, path: str, **body: object) -> Any:  # noqa: ANN401 - JSON
    async with gateway.http.post(gateway.settings.razorpay_base_url + path, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def sweep_all(gateway: Gateway, database_url: str) -> Found:
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE provider_sweeps SET due_at = now()")
    found, recorder = Found(), open_recorder(gateway.dependencies)
    while (one := await sweep_due(gateway.dependencies, recorder)) is not None:
        found = Found(
            facts=found.facts + one.facts,
            strangers=found.strangers + one.strangers,
            refused=found.refused + one.refused,
        )
    return found


async def _paid(gateway: Gateway, provider: str, key: str) -> Json:
    """Of which coursepay hears nothing: no callback, and the sandbox sends no webhooks here."""
    order = await place_order(gateway, key=key, provider=provider)
    await pay(gateway, order)
    return order


@pytest.mark.parametrize("provider", ["razorpay", "stripe"])
async def test_a_capture_a_refund_and_a_dispute_are_found_once(
    gateway: Gateway, database_url: str, provider: str
) -> None:
    order, unpaid = await _paid(gateway, provider, "key-1"), await place_order(gateway, key="key-2", provider=provider)
    assert await sweep_all(gateway, database_url) == Found(facts=1)
    payment_id = (await payment_row(database_url, order["orderId"]))["payment_id"]
    assert (await payment_row(database_url, unpaid["orderId"]))["status"] == "created"
    # As a person would in the provider's dashboard.
    refund = gateway.dependencies.providers[provider].refund
    await refund(payment_id, amount_minor=200_000, key="dashboard", within_s=5)
    assert (await sweep_all(gateway, database_url)).facts >= 1
    of = "payments" if provider == "razorpay" else "intents"
    await _sandbox(gateway, f"/control/{of}/{payment_id}/dispute/created")
    assert (await sweep_all(gateway, database_url)).facts == 1
    await _sandbox(gateway, f"/control/{of}/{payment_id}/dispute/won")
    assert (await sweep_all(gateway, database_url)).facts == 1
    assert await sweep_all(gateway, database_url) == Found()
    succeeded, *adjusted = await outbox_events(database_url)
    assert isinstance(succeeded, PaymentSucceeded)
    told = [(event.status, event.refunded_minor) for event in adjusted if isinstance(event, PaymentAdjusted)]
    assert told == [("partially_refunded", 200_000), ("disputed", 200_000), ("partially_refunded", 200_000)]


async def test_what_was_told_before_is_not_stored_again(gateway: Gateway, database_url: str) -> None:
    order = await place_order(gateway, key="key-1")
    assert (await confirm(gateway, await pay(gateway, order)))[0] == 200
    assert (await sweep_all(gateway, database_url)).facts == 1
    before = await fact_rows(database_url)
    assert await sweep_all(gateway, database_url) == Found()
    assert await fact_rows(database_url) == before


async def test_money_for_no_order_of_ours_is_shouted_about(gateway: Gateway, database_url: str) -> None:
    order = await _paid(gateway, "razorpay", "key-1")
    async with owner_connection(database_url) as connection:
        await connection.execute("DELETE FROM payment_tasks")
        await connection.execute("DELETE FROM payments")
        await connection.execute("DELETE FROM orders WHERE order_id = $1", order["orderId"])
    assert await sweep_all(gateway, database_url) == Found(facts=1, strangers=1)
    # Every night again, until the money is back; whoever told it first.
    assert await sweep_all(gateway, database_url) == Found(strangers=1)
    async with owner_connection(database_url) as connection:
        counts = await connection.fetch("SELECT provider, strangers_found FROM provider_sweeps ORDER BY provider")
    assert [tuple(row) for row in counts] == [("razorpay", 1), ("stripe", 0)]


async def test_several_gateways_sweep_in_turn_and_a_provider_that_is_away_is_swept_later(
    gateway: Gateway, database_url: str
) -> None:
    order = await _paid(gateway, "razorpay", "key-1")
    failing = f"{gateway.settings.razorpay_base_url}/control/failures"
    async with gateway.http.put(failing, json={"provider": {"errorRate": 1}}) as answer:
        assert answer.status == 200
    drained = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(run_sweeps(gateway.dependencies, drained))

        async def both_tried() -> bool:
            async with owner_connection(database_url) as connection:
                # Given back, and put off.
                failed = "SELECT count(*) = 2 FROM provider_sweeps WHERE due_at > now() AND lease_token IS NULL"
                return bool(await connection.fetchval(failed))

        await eventually(both_tried)
        drained.set()
    async with gateway.http.put(failing, json={}) as answer:
        assert answer.status == 200
    assert (await sweep_all(gateway, database_url)).facts == 1
    assert (await payment_row(database_url, order["orderId"]))["status"] == "succeeded"


async def test_a_list_that_is_refused_keeps_nobody_from_comparing_the_rest(gateway: Gateway, database_url: str) -> None:
    payment = {"id": "pay_1", "order_id": "order_of_nobody", "amount": 500, "currency": "INR", "status": "captured"}
    async with outside_stub() as stub:
        stub.answer = lambda asked: (200, {"items": [payment] if asked.path == "/v1/payments" else []})
        api = ProviderApi("razorpay", gateway.http, base_url=stub.url, auth="")
        razorpay = Razorpay(api, key_id="id", key_secrets=(b"a",), webhook_secrets=(b"b",))
        one = replace(gateway.dependencies, providers={"razorpay": razorpay})
        asking = replace(gateway, dependencies=one)
        assert await sweep_all(asking, database_url) == Found(facts=1, strangers=1)
        compared = await _sweep_row(database_url)
        lists: dict[str, tuple[int, Any]] = {"/v1/refunds": (403, {}), "/v1/disputes": (403, {})}
        stub.answer = lambda asked: lists.get(asked.path, (200, {"items": [payment | {"id": "pay_2"}]}))
        assert await sweep_all(asking, database_url) == Found(facts=1, strangers=1, refused=2)
        refused = await _sweep_row(database_url)
    # Its turn comes again a day later, and that it is behind stays to be seen.
    assert refused["due_at"] > compared["due_at"]
    assert refused["swept_until"] == compared["swept_until"]
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE provider_sweeps SET swept_until = now() - interval '3 days'")
    drained = asyncio.Event()
    sweeps = asyncio.create_task(run_sweeps(one, drained))

    async def is_shown() -> bool:
        age = one.metrics.registry.get_sample_value("coursepay_provider_sweep_age_seconds", {"provider": "razorpay"})
        return age is not None and age > 250_000

    await eventually(is_shown)
    drained.set()
    await sweeps


async def _sweep_row(database_url: str) -> Any:  # noqa: ANN401 - a row
    async with owner_connection(database_url) as connection:
        return await connection.fetchrow("SELECT * FROM provider_sweeps WHERE provider = 'razorpay'")
