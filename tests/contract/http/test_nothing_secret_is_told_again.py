"""A canary: ordinary and hostile requests, then every answer and every log line searched for what came in with them."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from services.common.settings import Settings
from services.common.telemetry.logs import LOG_FIELDS
from services.gateway_api.callers.roles import Role
from services.sandbox.accounts import sandbox_accounts
from services.sandbox.razorpay.events import sign
from tests.support.checkout import CONFIRM, pay, payment_entity, send_stripe_webhook, signed_callback
from tests.support.gateway import Gateway, order_body, owner_connection
from tests.support.printed import printed
from tests.support.raw_http import answer_to, request

EMAIL, PHONE, CARD, NAME = "asha@example.com", "+919812345678", "4111111111111111", "Asha Rao"
PRIVATE = {"email": EMAIL, "contact": PHONE, "card": CARD, "vpa": "asha@upi", "note": NAME}
TOKEN = re.compile(rb"eyJ[\w-]+\.[\w-]+|cpk_[\w-]{20,}|Bearer [\w.-]{20,}")
SIGNATURE = re.compile(rb"\b[0-9a-f]{64}\b")

ACCOUNTS = sandbox_accounts(Settings(), "")
SECRETS = (
    ACCOUNTS.razorpay.key_secret,
    ACCOUNTS.razorpay.webhook_secret,
    ACCOUNTS.stripe.api_key,
    ACCOUNTS.stripe.webhook_secret,
)


class _Canary:
    """Remembers everything that was answered."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.answers = bytearray()

    async def send(self, method: str, path: str, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - JSON
        async with self._gateway.http.request(method, self._gateway.url + path, **options) as answer:
            body = await answer.read()
            self.answers += repr(answer.headers).encode() + body
            return answer.status, orjson.loads(body) if body.startswith(b"{") else body

    async def send_raw(self, sent: bytes) -> None:
        self.answers += (await answer_to(self._gateway.port, sent)).whole


def _found_in(text: bytes) -> Iterator[bytes]:
    yield from (secret for secret in SECRETS if secret in text)
    yield from (private.encode() for private in PRIVATE.values() if private.encode() in text)
    yield from TOKEN.findall(text)
    yield from SIGNATURE.findall(text)


async def _ordinary(gateway: Gateway, canary: _Canary) -> None:
    student = {**gateway.headers(Role.STUDENT), "Idempotency-Key": "key-1"}
    status, order = await canary.send("POST", "/api/v1/orders", json=order_body(metadata=PRIVATE), headers=student)
    assert status == 201
    fields = await pay(gateway, order)
    assert (await canary.send("POST", CONFIRM, json=fields | PRIVATE))[0] == 200
    payment = payment_entity(order, fields["razorpay_payment_id"], **PRIVATE)
    event = {"event": "payment.captured", "payload": {"payment": {"entity": payment}}}
    body = orjson.dumps(event)
    signed = {"X-Razorpay-Signature": sign(gateway.accounts.razorpay.webhook_secret, body)}
    assert (await canary.send("POST", "/api/v1/webhooks/razorpay", data=body, headers=signed))[0] == 200
    for name in ("purchases", "sessions", "progress"):
        assert (await canary.send("GET", f"/api/v1/students/student-1/{name}", headers=student))[0] == 200
    assert (await canary.send("GET", f"/api/v1/payments/{order['orderId']}", headers=student))[0] == 200
    finance = {**gateway.headers(Role.FINANCE, subject="finance-1"), "Idempotency-Key": "key-2"}
    refund = f"/api/v1/admin/payments/{order['orderId']}/refund"
    assert (await canary.send("POST", refund, json={"reason": NAME}, headers=finance))[0] == 202


async def _hostile(gateway: Gateway, canary: _Canary, database_url: str) -> None:
    token = gateway.headers(Role.STUDENT)["Authorization"]
    forged = {**signed_callback(gateway, "order_1", "pay_1"), "razorpay_order_id": "order_2"}
    for body in (forged | PRIVATE, PRIVATE, {"provider": EMAIL}, {"provider": "stripe", "payment_intent": EMAIL}):
        assert 400 <= (await canary.send("POST", CONFIRM, json=body))[0] < 500
    unreadable = orjson.dumps(PRIVATE)[:-1] + token.encode()
    json_type = {"Content-Type": "application/json"}
    assert (await canary.send("POST", CONFIRM, data=unreadable, headers=json_type))[0] == 400
    headers = {"Authorization": token, "Idempotency-Key": EMAIL, **json_type}
    for body in (order_body(**PRIVATE), order_body(courseId=EMAIL), order_body(schedule=PRIVATE)):
        assert (await canary.send("POST", "/api/v1/orders", json=body, headers=headers))[0] == 422
    for path in (f"/api/v1/payments/{EMAIL}", f"/api/v1/students/{EMAIL}/purchases", f"/{token}", f"/problems/{EMAIL}"):
        assert (await canary.send("GET", path, headers=headers))[0] == 404
    for bad in (token + "x", f"ApiKey cpk_{'a' * 43}", f"Basic {EMAIL}"):
        path = f"/api/v1/students/student-1/purchases?cursor={EMAIL}"
        assert (await canary.send("GET", path, headers={"Authorization": bad}))[0] == 401
    assert (await canary.send("POST", "/api/v1/webhooks/razorpay", json=PRIVATE))[0] == 400
    assert (await send_stripe_webhook(gateway, "charge.refunded", PRIVATE, at=1))[0] == 400
    await canary.send_raw(request("GET", "/", f"Authorization {token}"))
    await canary.send_raw(request("GET", "/", f"Authorization: {token}\x00"))
    await canary.send_raw(request("GET", f"/{EMAIL}\x00"))
    # A mistake of ours, with a traceback in the log.
    student = {**gateway.headers(Role.STUDENT), "Idempotency-Key": "key-3"}
    _, order = await canary.send("POST", "/api/v1/orders", json=order_body(metadata=PRIVATE), headers=student)
    async with owner_connection(database_url) as connection:
        await connection.execute("UPDATE orders SET schedule = '{}' WHERE order_id = $1", order["orderId"])
    fields = await pay(gateway, order)
    assert (await canary.send("POST", CONFIRM, json=fields | PRIVATE))[0] == 500


async def test_no_answer_and_no_log_line_repeats_what_is_secret_or_private(gateway: Gateway, database_url: str) -> None:
    canary = _Canary(gateway)
    with printed("gateway") as lines:
        await _ordinary(gateway, canary)
        await _hostile(gateway, canary, database_url)
    told = [orjson.loads(line) for line in lines.getvalue().splitlines()]
    assert len(told) > 30
    assert {name for line in told for name in line} <= LOG_FIELDS
    assert any("exception" in line for line in told), "a traceback is what leaks most, and there was none"
    assert list(_found_in(lines.getvalue().encode())) == []
    assert list(_found_in(bytes(canary.answers))) == []


@pytest.mark.parametrize(
    "leaked", [*PRIVATE.values(), "0" * 64, "Bearer " + "x" * 30, "eyJa.b", "cpk_" + "a" * 43, SECRETS[0].decode()]
)
def test_the_canary_sings(leaked: str) -> None:
    assert list(_found_in(f"so {leaked} it is".encode()))
