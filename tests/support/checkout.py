"""A student at the sandbox's checkout, and the provider's webhooks as the gateway gets them."""

from typing import Any

import orjson

from services.sandbox.razorpay.events import sign
from services.sandbox.stripe.events import sign as stripe_signature
from tests.support.gateway import Gateway

CONFIRM = "/api/v1/payments/confirm"
Json = dict[str, Any]


async def pay(gateway: Gateway, order: Json, **payer: object) -> Json:
    """The fields of the callback."""
    url = f"{gateway.settings.razorpay_base_url}/checkout/{order['providerOrderId']}/pay"
    async with gateway.http.post(url, json=payer) as answer:
        assert answer.status == 200, await answer.text()
        told: Json = await answer.json()
        return told


async def confirm(gateway: Gateway, fields: Json) -> tuple[int, Any]:
    return await gateway.call("POST", CONFIRM, json=fields)


def signed_callback(gateway: Gateway, provider_order_id: str, payment_id: str) -> Json:
    """Of a payment that the provider need not know."""
    message = f"{provider_order_id}|{payment_id}".encode()
    return {
        "razorpay_order_id": provider_order_id,
        "razorpay_payment_id": payment_id,
        "razorpay_signature": sign(gateway.accounts.razorpay.key_secret, message),
    }


def payment_entity(order: Json, payment_id: str = "pay_1", **overrides: object) -> Json:
    return {
        "id": payment_id,
        "entity": "payment",
        "order_id": order["providerOrderId"],
        "amount": order["amountMinor"],
        "currency": order["currency"],
        "status": "captured",
        "amount_refunded": 0,
        "notes": [],
    } | overrides


def refund_entity(payment_id: str, refund_id: str, amount: int, status: str = "processed") -> Json:
    return {"id": refund_id, "payment_id": payment_id, "amount": amount, "currency": "INR", "status": status}


def dispute_entity(payment_id: str, status: str, dispute_id: str = "disp_1") -> Json:
    return {"id": dispute_id, "payment_id": payment_id, "amount": 100, "currency": "INR", "status": status}


async def send_webhook(gateway: Gateway, event: str, *, event_id: str = "", **entities: Json) -> tuple[int, Any]:
    payload = {kind: {"entity": entity} for kind, entity in entities.items()}
    return await send_body(gateway, orjson.dumps({"event": event, "payload": payload}), event_id=event_id)


async def send_body(gateway: Gateway, body: bytes, *, event_id: str = "") -> tuple[int, Any]:
    headers = {"X-Razorpay-Signature": sign(gateway.accounts.razorpay.webhook_secret, body)}
    if event_id:
        headers["X-Razorpay-Event-Id"] = event_id
    return await gateway.call("POST", "/api/v1/webhooks/razorpay", data=body, headers=headers)


async def send_stripe_webhook(
    gateway: Gateway, event: str, entity: Json, *, at: int, event_id: str = ""
) -> tuple[int, Any]:
    event_id = event_id or f"evt_{event}".replace(".", "_")
    body = orjson.dumps({"id": event_id, "type": event, "data": {"object": entity}})
    headers = {"Stripe-Signature": stripe_signature(gateway.accounts.stripe, body, at=at)}
    return await gateway.call("POST", "/api/v1/webhooks/stripe", data=body, headers=headers)
