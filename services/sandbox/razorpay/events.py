"""The provider's webhooks: envelope, signature, headers."""

import hashlib
import hmac
import time

import orjson

from services.sandbox.accounts import RazorpayAccount
from services.sandbox.razorpay.entities import Json, Order, Payment, Refund, new_id
from services.sandbox.webhooks import Webhook, WebhookSender


class RazorpayEvents:
    """Sends nothing for an account without a webhook address."""

    def __init__(self, account: RazorpayAccount, sender: WebhookSender) -> None:
        self._account = account
        self._sender = sender

    def payment_changed(self, payment: Payment, order: Order, *, delay_s: float = 0.0) -> None:
        """`payment.<status>`, and `order.paid` beside the capture, each as an event of its own."""
        entities = {"payment": payment.to_json()}
        self._send(f"payment.{payment.status}", entities, delay_s)
        if payment.status == "captured":
            self._send("order.paid", {**entities, "order": order.to_json()}, delay_s)

    def refund_changed(self, refund: Refund, payment: Payment) -> None:
        entities = {"refund": refund.to_json(), "payment": payment.to_json()}
        if refund.status == "failed":
            self._send("refund.failed", entities, 0)
            return
        self._send("refund.created", entities, 0)
        self._send("refund.processed", entities, 0)

    def dispute_changed(self, dispute: Json, payment: Payment, change: str) -> None:
        self._send(f"payment.dispute.{change}", {"payment": payment.to_json(), "dispute": dispute}, 0)

    def _send(self, name: str, entities: dict[str, Json], delay_s: float) -> None:
        if not self._account.webhook_url:
            return
        body = orjson.dumps(
            {
                "entity": "event",
                "account_id": "acc_sandbox0000000",
                "event": name,
                "contains": list(entities),
                "payload": {kind: {"entity": entity} for kind, entity in entities.items()},
                "created_at": int(time.time()),
            }
        )
        headers = {
            "Content-Type": "application/json",
            "X-Razorpay-Event-Id": new_id(""),
            "X-Razorpay-Signature": sign(self._account.webhook_secret, body),
        }
        self._sender.send(Webhook(url=self._account.webhook_url, body=body, headers=headers, delay_s=delay_s))


def sign(secret: bytes, message: bytes) -> str:
    """Lowercase hex HMAC-SHA256: of the raw body for a webhook, of `order_id|payment_id` for a callback."""
    return hmac.new(secret, message, hashlib.sha256).hexdigest()
