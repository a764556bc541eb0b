"""The providers as senders of webhooks: how each signs, and what it usually says."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from services.gateway_api.providers.protocol import Provider
from tests.support.payment_providers import (
    NOW,
    cashfree_headers,
    cashfree_without_network,
    razorpay_event,
    razorpay_payment,
    razorpay_without_network,
    stripe_headers,
    stripe_without_network,
    webhook_headers,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """`proves(sent, genuine)`: what proves something came through; the rest of the headers may change on the way."""

    provider: Provider
    bodies: Sequence[bytes]
    sign: Callable[[bytes], dict[str, str]]
    proves: Callable[[Mapping[str, str], Mapping[str, str]], bool]


def senders() -> tuple[Sender, ...]:
    return (_razorpay(), _stripe(), _cashfree())


def _razorpay() -> Sender:
    refund = {"id": "rfnd_1", "entity": "refund", "payment_id": "pay_1", "amount": 100, "status": "processed"}
    return Sender(
        provider=razorpay_without_network(),
        bodies=[
            razorpay_event("payment.captured", payment=razorpay_payment()),
            razorpay_event("payment.failed", payment=razorpay_payment(status="failed")),
            razorpay_event("refund.processed", payment=razorpay_payment(amount_refunded=100), refund=refund),
        ],
        sign=webhook_headers,
        proves=lambda sent, genuine: sent["X-Razorpay-Signature"] == genuine["X-Razorpay-Signature"],
    )


def _stripe() -> Sender:
    intent = {
        "id": "pi_1", "object": "payment_intent", "amount": 500_000, "amount_received": 500_000, "currency": "inr",
        "status": "succeeded", "latest_charge": "ch_1",
    }  # fmt: skip
    said: tuple[tuple[str, dict[str, object]], ...] = (
        ("payment_intent.succeeded", {}),
        ("payment_intent.payment_failed", {"status": "requires_payment_method"}),
        ("refund.updated", {"id": "re_1", "object": "refund", "payment_intent": "pi_1", "amount": 100}),
    )

    bodies = [
        orjson.dumps({"id": "evt_1", "type": name, "created": NOW, "data": {"object": intent | changed}})
        for name, changed in said
    ]
    return Sender(
        provider=stripe_without_network(),
        bodies=bodies,
        sign=stripe_headers,
        # The time is signed too; other signatures may stand beside it.
        proves=lambda sent, genuine: all(
            part in sent["Stripe-Signature"] for part in genuine["Stripe-Signature"].split(",")
        ),
    )


def _cashfree() -> Sender:
    payment = {
        "cf_payment_id": "1", "payment_status": "SUCCESS", "payment_amount": 5000.00, "payment_currency": "INR",
    }  # fmt: skip
    body = orjson.dumps(
        {"type": "PAYMENT_SUCCESS_WEBHOOK", "data": {"order": {"order_id": "ord_1"}, "payment": payment}}
    )

    return Sender(
        provider=cashfree_without_network(),
        bodies=[body],
        sign=cashfree_headers,
        # Base64 has several spellings of the same bytes.
        proves=lambda sent, genuine: (
            sent["x-webhook-timestamp"] == genuine["x-webhook-timestamp"]
            and base64.b64decode(sent["x-webhook-signature"]) == base64.b64decode(genuine["x-webhook-signature"])
        ),
    )
