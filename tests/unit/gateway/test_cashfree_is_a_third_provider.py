"""Cashfree, against bodies of its reference: one file of code, and nothing else in the gateway knows it."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from services.common.settings import Settings
from services.gateway_api.providers import InvalidSignatureError, VerifiedPayment, load_providers
from services.gateway_api.providers.calls import ProviderApi
from services.gateway_api.providers.cashfree import Cashfree
from services.gateway_api.providers.meanings import Meaning
from services.gateway_api.web.problems import Problem

SECRET = b"client_secret"
TIMESTAMP = "1746427759733"
PAYMENT = {
    "cf_payment_id": "1453002795",
    "payment_status": "SUCCESS",
    "payment_amount": 499.99,
    "payment_currency": "INR",
    "payment_message": "00::Transaction success",
    "payment_method": {"upi": {"channel": None, "upi_id": "rohit@xxx"}},
}
ORDER = {"order_id": "ord_a-1", "order_amount": 499.99, "order_currency": "INR", "order_tags": None}
REFUND = {
    "cf_refund_id": "11325632",
    "refund_id": "refund_1",
    "order_id": "ord_a-1",
    "refund_amount": 100,
    "refund_currency": "INR",
    "refund_status": "SUCCESS",
}
# One order beside the other fields, as 2025-01-01 has it, the same one in a group of its own, and a settlement.
RECONCILED: dict[str | None, dict[str, object]] = {
    None: {"cursor": "page-2", "limit": 100, "data": [{"event_type": "PAYMENT", "order_id": "ord_a-1"}]},
    "page-2": {
        "cursor": None,
        "limit": 100,
        "data": [{"event_type": "SETTLEMENT"}, {"order_details": {"order_id": "ord_a-1"}}, "nonsense"],
    },
}
DISPUTE = {"dispute_id": 433475257, "dispute_type": "CHARGEBACK", "dispute_amount": 499.99}


def cashfree() -> Cashfree:
    api = ProviderApi("cashfree", None, base_url="http://127.0.0.1:9", auth="")  # type: ignore[arg-type]
    return Cashfree(api, client_id="id", client_secrets=(SECRET, b"old_secret"))


def headers(body: bytes, *, secret: bytes = SECRET, at: str = TIMESTAMP) -> dict[str, str]:
    signature = base64.b64encode(hmac.new(secret, at.encode() + body, hashlib.sha256).digest()).decode()
    return {"x-webhook-signature": signature, "x-webhook-timestamp": at}


def event(kind: str, **data: object) -> bytes:
    return orjson.dumps({"type": kind, "event_time": "2025-01-15T12:20:29+05:30", "data": data})


@pytest.mark.parametrize(
    ("body", "meaning", "entity_id", "amount"),
    [
        (event("PAYMENT_SUCCESS_WEBHOOK", order=ORDER, payment=PAYMENT), Meaning.CAPTURED, "1453002795", 49_999),
        (
            event("PAYMENT_FAILED_WEBHOOK", order=ORDER, payment=PAYMENT | {"payment_status": "FAILED"}),
            Meaning.FAILED,
            "1453002795",
            49_999,
        ),
        (event("REFUND_STATUS_WEBHOOK", refund=REFUND), Meaning.REFUND_PROCESSED, "11325632", 10_000),
        (
            event("DISPUTE_CREATED", dispute=DISPUTE | {"dispute_status": "CHARGEBACK_CREATED"}, order_details=ORDER),
            Meaning.DISPUTE_OPEN,
            "433475257",
            49_999,
        ),
        (
            event(
                "DISPUTE_CLOSED", dispute=DISPUTE | {"dispute_status": "CHARGEBACK_MERCHANT_LOST"}, order_details=ORDER
            ),
            Meaning.DISPUTE_LOST,
            "433475257",
            49_999,
        ),
    ],
)
def test_a_signed_event_is_a_fact(body: bytes, meaning: Meaning, entity_id: str, amount: int) -> None:
    fact = cashfree().read_webhook(headers(body), body)
    assert (fact.provider_order_id, fact.payment_id) == ("ord_a-1", "ord_a-1")
    assert (fact.meaning, fact.entity_id, fact.amount_minor, fact.currency) == (meaning, entity_id, amount, "INR")
    assert cashfree().read_webhook(headers(body, secret=b"old_secret"), body).proof.position == 2


@given(body=st.binary(max_size=200), signature=st.text(max_size=80), at=st.text(max_size=20))
def test_nonsense_is_no_signature(body: bytes, signature: str, at: str) -> None:
    with pytest.raises(InvalidSignatureError):
        cashfree().read_webhook({"x-webhook-signature": signature, "x-webhook-timestamp": at}, body)


@given(body=st.binary(max_size=200))
def test_signed_nonsense_is_a_fact_without_meaning(body: bytes) -> None:
    assert cashfree().read_webhook(headers(body), body).meaning is None


def test_nothing_moves_from_the_body_into_the_timestamp() -> None:
    body = b"1" + event("PAYMENT_SUCCESS_WEBHOOK", order=ORDER, payment=PAYMENT)
    signed = headers(body)
    assert cashfree().read_webhook(signed, body).meaning is None
    # The same bytes are signed, and the timestamp is still a number: what counts is that the body is another fact.
    with pytest.raises(InvalidSignatureError):
        cashfree().read_webhook(signed | {"x-webhook-timestamp": TIMESTAMP + "{"}, body[2:])


def test_the_browser_names_an_order_and_proves_nothing() -> None:
    assert cashfree().read_callback({"order_id": "ord_a-1"}, b"") == "ord_a-1"
    for wrong in ({}, {"order_id": 1}, {"order_id": "../x"}):
        with pytest.raises(Problem):
            cashfree().read_callback(wrong, b"")


def test_without_secrets_it_is_off() -> None:
    settings = Settings.from_environment(cashfree_client_id="id")
    assert "cashfree" not in load_providers(settings, None)  # type: ignore[arg-type]
    on = settings.model_copy(update={"cashfree_client_secrets": SecretStr("one,two")})
    assert "cashfree" in load_providers(on, None)  # type: ignore[arg-type]


@pytest.fixture
async def asked() -> list[tuple[str, str, Any]]:
    return []


@pytest.fixture
async def live(asked: list[tuple[str, str, Any]]) -> AsyncIterator[Cashfree]:
    """A Cashfree that answers with the bodies above."""

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["x-client-secret"] == SECRET.decode()
        body: Any = await request.json() if request.can_read_body else None
        asked.append((request.method, request.path, body))
        told: object = {"message": "not found"}
        match request.method, request.path.removeprefix("/pg/orders"):
            case "POST", "/pg/recon":
                told = RECONCILED[body["pagination"].get("cursor")]
            case "POST", "":
                told = ORDER | {"payment_session_id": "session_1"}
            case "GET", "/ord_a-1/payments":
                told = [PAYMENT | {"cf_payment_id": "1", "payment_status": "FAILED"}, PAYMENT]
            case "GET", "/ord_a-1/refunds":
                told = [REFUND, REFUND | {"cf_refund_id": "2", "refund_status": "CANCELLED"}]
            case "POST", "/ord_a-1/refunds":
                told = REFUND | {"refund_amount": body["refund_amount"], "cf_refund_id": "3"}
        return web.json_response(told)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        api = ProviderApi("cashfree", http, base_url=str(server.make_url("")), auth="")
        yield Cashfree(api, client_id="id", client_secrets=(SECRET,))


async def test_orders_payments_and_refunds(live: Cashfree, asked: list[tuple[str, str, Any]]) -> None:
    order = await live.create_order(amount_minor=49_999, currency="INR", receipt="ord_a-1", notes={"studentId": "s-1"})
    assert (order.provider_order_id, order.client_secret) == ("ord_a-1", "session_1")
    assert asked[0][2]["order_amount"] == 499.99
    assert [fact.meaning for fact in await live.fetch_order("ord_a-1", within_s=5)] == [
        Meaning.FAILED,
        Meaning.CAPTURED,
    ]
    assert (await live.fetch_payment("ord_a-1", within_s=5)).meaning is Meaning.CAPTURED
    rest = await live.refund("ord_a-1", amount_minor=None, key="0b5c-1", within_s=5)
    assert rest is not None
    assert (rest.meaning, rest.amount_minor, rest.payment_id) == (Meaning.REFUND_PROCESSED, 39_999, "ord_a-1")
    assert asked[-1][2] == {"refund_id": "0b5c1", "refund_amount": 399.99}


async def test_a_sweep_asks_about_the_orders_of_the_reconciliation_once_each(
    live: Cashfree, asked: list[tuple[str, str, Any]]
) -> None:
    until = datetime(2027, 1, 2, tzinfo=UTC)
    told = live.list_facts(until - timedelta(days=1), until)
    facts = [fact async for fact in told if isinstance(fact, VerifiedPayment)]
    assert [fact.meaning for fact in facts] == [
        Meaning.FAILED, Meaning.CAPTURED, Meaning.REFUND_PROCESSED, Meaning.REFUND_FAILED,
    ]  # fmt: skip
    assert {fact.provider_order_id for fact in facts} == {"ord_a-1"}
    assert [path for _, path, _ in asked].count("/pg/recon") == 2
    assert asked[0][2]["filters"] == {
        "start_date": "2027-01-01T00:00:00+00:00",
        "end_date": "2027-01-02T00:00:00+00:00",
    }
