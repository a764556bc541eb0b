"""Guessers on the same address, a registry that is away: neither is felt by someone who has paid. And a payment that is
confirmed is on disk.
"""

from pathlib import Path

from services.common.settings import Settings
from services.gateway_api.limits import BAD_SIGNATURES_MAX
from tests.support.books import outbox_events
from tests.support.checkout import CONFIRM, confirm, payment_entity, send_webhook, signed_callback
from tests.support.gateway import Gateway, place_order
from tests.support.gateway_process import gateway_process


async def test_a_valid_signature_is_never_limited(gateway: Gateway) -> None:
    order = await place_order(gateway, key="key-1")
    genuine = signed_callback(gateway, order["providerOrderId"], "pay_1")
    forged = {**genuine, "razorpay_payment_id": "pay_2"}
    guesses = [(await confirm(gateway, forged))[0] for _ in range(BAD_SIGNATURES_MAX + 20)]
    assert set(guesses) == {401, 429}
    assert (await confirm(gateway, genuine))[0] == 200
    assert (await send_webhook(gateway, "payment.captured", payment=payment_entity(order)))[0] == 200
    status, told = await gateway.call("POST", CONFIRM, json=forged)
    assert (status, told["type"]) in {(429, "/problems/rate-limited"), (401, "/problems/invalid-signature")}


async def test_webhooks_that_no_secret_signed_are_counted_by_provider(gateway: Gateway) -> None:
    for provider, header in (("razorpay", "X-Razorpay-Signature"), ("stripe", "Stripe-Signature")):
        path, headers = f"/api/v1/webhooks/{provider}", {header: "t=1,v1=" + "0" * 64}
        assert (await gateway.call("POST", path, data=b"{}", headers=headers))[0] == 400
        registry = gateway.dependencies.metrics.registry
        assert registry.get_sample_value("coursepay_bad_webhook_signatures_total", {"provider": provider}) == 1


async def test_a_registry_that_is_away_delays_publishing_only(settings: Settings, tmp_path: Path) -> None:
    url = settings.required_database_url()
    away = "http://127.0.0.1:9"
    async with gateway_process(settings, tmp_path, orders=1, schema_registry_url=away) as gateway:
        assert await gateway.confirm(1) == 200
        assert len(await outbox_events(url, published=False)) == 1


async def test_a_commit_is_on_disk_before_anyone_is_told(gateway: Gateway) -> None:
    async with gateway.dependencies.database.connection() as connection:
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
