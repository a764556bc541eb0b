"""Stripe's webhooks: `Stripe-Signature: t=<seconds>,v1=<hex>` over `t.body`."""

import hashlib
import hmac
import time

import orjson

from services.sandbox.accounts import StripeAccount
from services.sandbox.stripe.intents import Json, new_id
from services.sandbox.webhooks import Webhook, WebhookSender


class StripeEvents:
    """Sends nothing for an account without a webhook address."""

    def __init__(self, account: StripeAccount, sender: WebhookSender) -> None:
        self._account = account
        self._sender = sender

    def send(self, name: str, entity: Json, *, delay_s: float = 0.0) -> None:
        """`name` as in `payment_intent.succeeded`, `charge.refunded`."""
        if not self._account.webhook_url:
            return
        now = int(time.time())
        body = orjson.dumps(
            {
                "id": new_id("evt_"),
                "object": "event",
                "type": name,
                "data": {"object": entity},
                "livemode": False,
                "pending_webhooks": 1,
                "created": now,
            }
        )
        headers = {"Content-Type": "application/json", "Stripe-Signature": sign(self._account, body, at=now)}
        self._sender.send(Webhook(url=self._account.webhook_url, body=body, headers=headers, delay_s=delay_s))


def sign(account: StripeAccount, body: bytes, *, at: int) -> str:
    message = f"{at}.".encode() + body
    return f"t={at},v1={hmac.new(account.webhook_secret, message, hashlib.sha256).hexdigest()}"
