"""A provider's list with an item that makes no sense: the others are taken, and paging goes on behind it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from services.common.errors import DependencyError
from services.gateway_api.providers import Provider, VerifiedPayment
from services.gateway_api.providers.calls import ProviderApi
from services.gateway_api.providers.cashfree import Cashfree
from services.gateway_api.providers.razorpay import Razorpay
from services.gateway_api.providers.stripe import Stripe
from tests.support.outside import Asked, OutsideStub, outside_stub

UNTIL = datetime.now(UTC)
MONEY = {"amount": 500, "currency": "inr"}
ATTEMPT = {"cf_payment_id": "1", "payment_status": "FAILED", "payment_amount": 5, "payment_currency": "INR"}


@pytest.fixture
async def stub() -> AsyncIterator[OutsideStub]:
    async with outside_stub() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def api(stub: OutsideStub, http: aiohttp.ClientSession) -> ProviderApi:
    return ProviderApi("provider", http, base_url=stub.url, auth="")


async def listed(provider: Provider) -> list[VerifiedPayment]:
    return [
        fact
        async for fact in provider.list_facts(UNTIL - timedelta(days=1), UNTIL)
        if isinstance(fact, VerifiedPayment)
    ]


async def test_a_stripe_refund_of_no_intent_hides_neither_refunds_nor_disputes(
    stub: OutsideStub, http: aiohttp.ClientSession
) -> None:
    pages = iter(
        [
            {"data": [], "has_more": False},
            {"data": [_refund("re_1", "pi_1"), _refund("re_2", None)], "has_more": True},
            {"data": [_refund("re_3", "pi_3")], "has_more": False},
            {"data": [{"object": "dispute", "id": "dp_1", "payment_intent": "pi_1", "status": "won", **MONEY}]},
        ]
    )
    stub.answer = lambda _asked: (200, next(pages))
    facts = await listed(Stripe(api(stub, http), webhook_secrets=(b"secret",)))
    assert [fact.entity_id for fact in facts] == ["re_1", "re_3", "dp_1"]


async def test_an_order_that_cashfree_refuses_hides_no_later_one(
    stub: OutsideStub, http: aiohttp.ClientSession
) -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path == "/pg/recon":
            return 200, {"data": [{"order_id": "ord_1"}, {"order_id": "ord_2"}]}
        if "ord_1" in asked.path:
            return 403, {}
        return 200, [ATTEMPT] if asked.path.endswith("payments") else []

    stub.answer = answer
    told = Cashfree(api(stub, http), client_id="id", client_secrets=(b"a",)).list_facts(UNTIL, UNTIL)
    kinds = [type(one).__name__ async for one in told]
    assert kinds == ["ProviderRefusedError", "VerifiedPayment"]


def _refund(refund_id: str, intent: str | None) -> dict[str, object]:
    return {"object": "refund", "id": refund_id, "payment_intent": intent, "status": "succeeded", **MONEY}


async def test_a_full_page_of_razorpay_with_an_unreadable_item_is_followed_by_the_next(
    stub: OutsideStub, http: aiohttp.ClientSession
) -> None:
    full: list[dict[str, object]] = [{"id": f"pay_{number}", "status": "captured", **MONEY} for number in range(99)]
    pages = iter([[*full, {"id": "?"}], [{"id": "pay_99", "status": "captured", **MONEY}], [], []])
    stub.answer = lambda _asked: (200, {"items": next(pages)})
    facts = await listed(Razorpay(api(stub, http), key_id="k", key_secrets=(b"s",), webhook_secrets=(b"s",)))
    assert [fact.entity_id for fact in facts] == [f"pay_{number}" for number in range(100)]


async def test_of_nothing_that_is_left_at_cashfree_no_refund_is_asked_for(
    stub: OutsideStub, http: aiohttp.ClientSession
) -> None:
    money = {"cf_refund_id": "r", "refund_amount": 5, "refund_currency": "INR", "refund_status": "SUCCESS"}
    stub.answer = lambda asked: (
        (200, [{**ATTEMPT, "payment_status": "SUCCESS"}])
        if asked.path.endswith("/payments")
        else (200, [{**money, "order_id": "ord_1"}])
    )
    provider = Cashfree(api(stub, http), client_id="id", client_secrets=(b"secret",))
    assert await provider.refund("ord_1", amount_minor=None, key="k", within_s=5) is None
    assert {asked.method for asked in stub.asked} == {"GET"}


async def test_of_an_unreadable_attempt_at_cashfree_nothing_is_concluded(
    stub: OutsideStub, http: aiohttp.ClientSession
) -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path == "/pg/recon":
            return 200, {"data": [{"order_id": "ord_1"}, {"order_id": "ord_2"}]}
        if asked.path.endswith("/payments"):
            return 200, [ATTEMPT, {**ATTEMPT, "payment_status": None}]
        return 200, [{"refund_status": "SUCCESS"}]

    stub.answer = answer
    provider = Cashfree(api(stub, http), client_id="id", client_secrets=(b"secret",))
    assert [fact.provider_order_id for fact in await listed(provider)] == ["ord_1", "ord_2"]
    # The other one may have succeeded, and the refund be one of all the money.
    with pytest.raises(DependencyError):
        await provider.fetch_payment("ord_1", within_s=5)
