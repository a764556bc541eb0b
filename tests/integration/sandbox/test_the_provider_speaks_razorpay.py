"""The simulated provider, asked over HTTP as the gateway and a browser would; Razorpay's own SDK checks signatures."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import razorpay
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.common.settings import Settings
from services.sandbox.accounts import Accounts, RazorpayAccount, sandbox_accounts
from services.sandbox.failures import Failures, WebhookFailures
from services.sandbox.razorpay.entities import Json
from services.sandbox.server import serve_sandbox
from tests.support.eventually import eventually

Received = list[tuple[bytes, str, str]]


@pytest.fixture
async def received() -> Received:
    return []


@pytest.fixture
async def accounts(received: Received) -> AsyncIterator[Accounts]:
    """Its webhooks go to a server that refuses the first one."""
    refused: list[bool] = []

    async def take(request: web.Request) -> web.Response:
        headers = request.headers
        if not refused:
            refused.append(True)
            return web.Response(status=503)
        received.append((await request.read(), headers["X-Razorpay-Signature"], headers["X-Razorpay-Event-Id"]))
        return web.Response()

    app = web.Application()
    app.router.add_post("/api/v1/webhooks/razorpay", take)
    async with TestServer(app) as server:
        yield sandbox_accounts(Settings(), str(server.make_url("")).rstrip("/"))


@pytest.fixture
def account(accounts: Accounts) -> RazorpayAccount:
    return accounts.razorpay


@pytest.fixture
async def sandbox(accounts: Accounts) -> AsyncIterator[aiohttp.ClientSession]:
    auth = aiohttp.encode_basic_auth(accounts.razorpay.key_id, accounts.razorpay.key_secret.decode())
    async with (
        serve_sandbox(accounts, port=0, failures=Failures()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": auth}) as session,
    ):
        yield session


async def _post(sandbox: aiohttp.ClientSession, path: str, body: Json, **headers: str) -> tuple[int, Json]:
    async with sandbox.post(path, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def _get(sandbox: aiohttp.ClientSession, path: str) -> Json:
    async with sandbox.get(path) as answer:
        found: Json = await answer.json()
        return found


async def _order(sandbox: aiohttp.ClientSession, **fields: object) -> str:
    status, order = await _post(sandbox, "/v1/orders", {"amount": 50_000, "currency": "INR", **fields})
    assert status == 200
    return str(order["id"])


def _sdk(account: RazorpayAccount) -> razorpay.Client:
    return razorpay.Client(auth=(account.key_id, account.key_secret.decode()))


async def test_a_paid_order_gives_a_callback_that_the_official_sdk_accepts(
    sandbox: aiohttp.ClientSession, account: RazorpayAccount
) -> None:
    order_id = await _order(sandbox, receipt="ord_1")
    status, callback = await _post(sandbox, f"/checkout/{order_id}/pay", {})
    assert status == 200
    assert _sdk(account).utility.verify_payment_signature(callback)
    order = await _get(sandbox, f"/v1/orders/{order_id}")
    payments = await _get(sandbox, f"/v1/orders/{order_id}/payments")
    assert (order["status"], order["amount_due"], order["receipt"]) == ("paid", 0, "ord_1")
    assert payments["items"] == [await _get(sandbox, f"/v1/payments/{callback['razorpay_payment_id']}")]
    assert payments["items"][0]["status"] == "captured"


async def test_webhooks_are_signed_and_repeated_until_accepted(
    sandbox: aiohttp.ClientSession, account: RazorpayAccount, received: Received
) -> None:
    order_id = await _order(sandbox)
    await _post(sandbox, f"/checkout/{order_id}/pay", {})
    await eventually(lambda: len(received) == 2)
    for body, signature, _ in received:
        secret = account.webhook_secret.decode()
        assert _sdk(account).utility.verify_webhook_signature(body.decode(), signature, secret)
    assert len({event_id for _, _, event_id in received}) == 2
    assert {b"payment.captured" in body or b"order.paid" in body for body, _, _ in received} == {True}


async def test_a_webhook_may_come_twice_with_the_same_event_id(accounts: Accounts, received: Received) -> None:
    failures = Failures(webhook=WebhookFailures(twice_rate=1))
    auth = aiohttp.encode_basic_auth(accounts.razorpay.key_id, accounts.razorpay.key_secret.decode())
    async with (
        serve_sandbox(accounts, port=0, failures=failures) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": auth}) as session,
    ):
        await _post(session, f"/checkout/{await _order(session)}/pay", {})
        await eventually(lambda: len(received) == 4)
    assert len({event_id for _, _, event_id in received}) == 2


async def test_an_order_is_paid_once(sandbox: aiohttp.ClientSession) -> None:
    order_id = await _order(sandbox)
    assert (await _post(sandbox, f"/checkout/{order_id}/pay", {"status": "failed"}))[0] == 400
    assert (await _post(sandbox, f"/checkout/{order_id}/pay", {}))[0] == 200
    assert (await _post(sandbox, f"/checkout/{order_id}/pay", {}))[0] == 400
    payments = await _get(sandbox, f"/v1/orders/{order_id}/payments")
    assert [payment["status"] for payment in payments["items"]] == ["failed", "captured"]


async def test_a_repeated_unique_receipt_is_the_same_order(sandbox: aiohttp.ClientSession) -> None:
    first = await _order(sandbox, receipt="ord_7", unique_receipt=True)
    assert await _order(sandbox, receipt="ord_7", unique_receipt=True) == first
    assert await _order(sandbox, receipt="ord_8", unique_receipt=True) != first


@pytest.mark.parametrize("body", [{"amount": 99, "currency": "INR"}, {"amount": 500, "currency": "inr"}, {}])
async def test_a_wrong_order_is_refused_in_the_providers_shape(sandbox: aiohttp.ClientSession, body: Json) -> None:
    status, answer = await _post(sandbox, "/v1/orders", body)
    assert (status, answer["error"]["code"]) == (400, "BAD_REQUEST_ERROR")


async def test_the_api_wants_the_key(sandbox: aiohttp.ClientSession) -> None:
    status, _ = await _post(sandbox, "/v1/orders", {"amount": 500, "currency": "INR"}, Authorization="Basic bm86bm8=")
    assert status == 401


async def test_refunds_add_up_and_a_repeated_key_refunds_once(sandbox: aiohttp.ClientSession) -> None:
    _, callback = await _post(sandbox, f"/checkout/{await _order(sandbox)}/pay", {})
    path = f"/v1/payments/{callback['razorpay_payment_id']}"
    first = await _post(sandbox, f"{path}/refund", {"amount": 20_000}, **{"X-Refund-Idempotency": "refund-0001"})
    assert (
        await _post(sandbox, f"{path}/refund", {"amount": 20_000}, **{"X-Refund-Idempotency": "refund-0001"}) == first
    )
    assert (await _get(sandbox, path))["refund_status"] == "partial"
    assert (await _post(sandbox, f"{path}/refund", {"amount": 30_001}))[0] == 400
    assert (await _post(sandbox, f"{path}/refund", {}))[1]["amount"] == 30_000
    payment = await _get(sandbox, path)
    assert (payment["status"], payment["amount_refunded"], payment["refund_status"]) == ("refunded", 50_000, "full")


async def test_the_page_carries_the_callback_back_to_the_shop(sandbox: aiohttp.ClientSession) -> None:
    order_id = await _order(sandbox)
    form = {"status": "captured", "callback_url": "http://127.0.0.1:8080/api/v1/payments/confirm"}
    async with sandbox.get(f"/checkout/{order_id}", params={"callback_url": form["callback_url"]}) as page:
        assert "Pay 500.00 INR" in await page.text()
    async with sandbox.post(f"/checkout/{order_id}/pay", data=form) as page:
        text = await page.text()
    assert f'action="{form["callback_url"]}"' in text
    assert "razorpay_signature" in text
