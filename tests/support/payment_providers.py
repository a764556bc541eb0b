"""Providers with known secrets that call nobody, and bodies as the real ones send them."""

import base64
import hashlib
import hmac
import json
from typing import Any

import aiohttp

from services.gateway_api.providers.calls import ProviderApi
from services.gateway_api.providers.cashfree import Cashfree
from services.gateway_api.providers.razorpay import Razorpay
from services.gateway_api.providers.stripe import Stripe

KEY_SECRET = b"key_secret"
OLD_KEY_SECRET = b"old_key_secret"
WEBHOOK_SECRET = b"webhook_secret"
STRIPE_SECRET = b"whsec_test_secret"
CASHFREE_SECRET = b"cashfree_secret"
NOW = 1_800_000_000


def razorpay_without_network() -> Razorpay:
    return Razorpay(
        _no_api("razorpay"),
        key_id="rzp_test",
        key_secrets=(KEY_SECRET, OLD_KEY_SECRET),
        webhook_secrets=(WEBHOOK_SECRET,),
    )


def stripe_without_network(now: float = NOW) -> Stripe:
    return Stripe(_no_api("stripe"), webhook_secrets=(STRIPE_SECRET,), clock=lambda: now)


def cashfree_without_network() -> Cashfree:
    return Cashfree(_no_api("cashfree"), client_id="id", client_secrets=(CASHFREE_SECRET,))


def hmac_hex(secret: bytes, message: bytes) -> str:
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def callback(order_id: str, payment_id: str, *, secret: bytes = KEY_SECRET) -> dict[str, object]:
    return {
        "razorpay_order_id": order_id,
        "razorpay_payment_id": payment_id,
        "razorpay_signature": hmac_hex(secret, f"{order_id}|{payment_id}".encode()),
    }


def webhook_headers(body: bytes, *, secret: bytes = WEBHOOK_SECRET, event_id: str = "evt1") -> dict[str, str]:
    return {"X-Razorpay-Signature": hmac_hex(secret, body), "X-Razorpay-Event-Id": event_id}


def stripe_headers(body: bytes, *, at: int = NOW, secret: bytes = STRIPE_SECRET) -> dict[str, str]:
    return {"Stripe-Signature": f"t={at},v1={hmac_hex(secret, str(at).encode() + b'.' + body)}"}


def cashfree_headers(body: bytes) -> dict[str, str]:
    digest = hmac.digest(CASHFREE_SECRET, str(NOW).encode() + body, hashlib.sha256)
    return {"x-webhook-timestamp": str(NOW), "x-webhook-signature": base64.b64encode(digest).decode()}


def razorpay_event(event: str, **entities: dict[str, Any]) -> bytes:
    # json, because it writes what a careless sender would: numbers without end, NaN, lone surrogates.
    return json.dumps(
        {
            "entity": "event",
            "event": event,
            "contains": list(entities),
            "payload": {kind: {"entity": entity} for kind, entity in entities.items()},
            "created_at": NOW,
        }
    ).encode()


def razorpay_payment(**overrides: object) -> dict[str, Any]:
    payment: dict[str, Any] = {
        "id": "pay_1",
        "entity": "payment",
        "order_id": "order_1",
        "amount": 500_000,
        "currency": "INR",
        "status": "captured",
        "amount_refunded": 0,
        "notes": [],
    }
    return payment | overrides


def _no_api(name: str) -> ProviderApi:
    return ProviderApi(name, _NoSession(), base_url="http://127.0.0.1:9", auth="")  # type: ignore[arg-type]


class _NoSession:
    def request(self, *_args: object, **_options: object) -> aiohttp.ClientResponse:
        raise AssertionError("no call was expected")
