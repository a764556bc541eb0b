"""The simulated provider of Stripe's shape, asked over HTTP; Stripe's own SDK checks signatures."""

from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
import stripe
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.common.settings import Settings
from services.sandbox.accounts import Accounts, sandbox_accounts
from services.sandbox.failures import Failures
from services.sandbox.server import serve_sandbox
from services.sandbox.stripe.intents import Json
from tests.support.eventually import eventually

Received = list[tuple[bytes, str]]
FORM = {"amount": "50000", "currency": "inr", "metadata[orderId]": "ord_1"}


@pytest.fixture
async def received() -> Received:
    return []


@pytest.fixture
async def accounts(received: Received) -> AsyncIterator[Accounts]:
    async def take(request: web.Request) -> web.Response:
        received.append((await request.read(), request.headers["Stripe-Signature"]))
        return web.Response()

    app = web.Application()
    app.router.add_post("/api/v1/webhooks/stripe", take)
    async with TestServer(app) as server:
        yield sandbox_accounts(Settings(), str(server.make_url("")).rstrip("/"))


@pytest.fixture
async def sandbox(accounts: Accounts) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {accounts.stripe.api_key.decode()}"}
    async with (
        serve_sandbox(accounts, port=0, failures=Failures()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session,
    ):
        yield session


async def _post(sandbox: aiohttp.ClientSession, path: str, form: dict[str, str], **headers: str) -> tuple[int, Json]:
    async with sandbox.post(path, data=form, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_a_paid_intent_is_told_by_a_signed_webhook(
    sandbox: aiohttp.ClientSession, accounts: Accounts, received: Received
) -> None:
    _, intent = await _post(sandbox, "/v1/payment_intents", FORM)
    assert (intent["status"], intent["metadata"]) == ("requires_payment_method", {"orderId": "ord_1"})
    async with sandbox.post(f"/checkout/{intent['id']}/pay", json={}) as answer:
        assert await answer.json() == {"provider": "stripe", "payment_intent": intent["id"]}
    async with sandbox.get(f"/v1/payment_intents/{intent['id']}") as answer:
        paid = await answer.json()
    assert (paid["status"], paid["amount_received"]) == ("succeeded", 50_000)
    await eventually(lambda: len(received) == 1)
    body, signature = received[0]
    assert stripe.WebhookSignature.verify_header(body, signature, accounts.stripe.webhook_secret.decode(), 300)
    event = orjson.loads(body)
    assert (event["type"], event["data"]["object"]) == ("payment_intent.succeeded", paid)


async def test_a_repeated_key_gets_the_first_answer_and_another_body_an_error(sandbox: aiohttp.ClientSession) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = await _post(sandbox, "/v1/payment_intents", FORM, **key)
    assert await _post(sandbox, "/v1/payment_intents", FORM, **key) == first
    status, told = await _post(sandbox, "/v1/payment_intents", {**FORM, "amount": "60000"}, **key)
    assert (status, told["error"]["type"]) == (400, "idempotency_error")


async def test_refunds_are_told_with_the_total_so_far(sandbox: aiohttp.ClientSession, received: Received) -> None:
    _, intent = await _post(sandbox, "/v1/payment_intents", FORM)
    async with sandbox.post(f"/checkout/{intent['id']}/pay", json={}) as answer:
        assert answer.ok
    for amount in ("20000", "30000"):
        assert (await _post(sandbox, "/v1/refunds", {"payment_intent": intent["id"], "amount": amount}))[0] == 200
    assert (await _post(sandbox, "/v1/refunds", {"payment_intent": intent["id"]}))[0] == 400
    await eventually(lambda: len(received) == 3)
    events = [orjson.loads(body) for body, _ in received]
    totals = {event["data"]["object"]["amount_refunded"] for event in events if event["type"] == "charge.refunded"}
    assert totals == {20_000, 50_000}


async def test_a_wrong_key_is_refused(sandbox: aiohttp.ClientSession) -> None:
    assert (await _post(sandbox, "/v1/payment_intents", FORM, Authorization="Bearer sk_other"))[0] == 401
