"""Payment intents, with the JSON of Stripe's API. Amounts in minor units, times in seconds."""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Literal

from services.sandbox.limits import ORDERS_MAX

Json = dict[str, Any]
IntentStatus = Literal["requires_payment_method", "processing", "succeeded", "canceled"]


def new_id(prefix: str) -> str:
    return prefix + secrets.token_hex(12)


@dataclass(slots=True, kw_only=True)
class Intent:
    amount: int
    currency: str
    metadata: dict[str, str]
    id: str = field(default_factory=lambda: new_id("pi_"))
    charge_id: str = field(default_factory=lambda: new_id("ch_"))
    created: int = field(default_factory=lambda: int(time.time()))
    status: IntentStatus = "requires_payment_method"
    amount_refunded: int = 0
    declined: bool = False

    def to_json(self) -> Json:
        paid = self.status == "succeeded"
        error = {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}
        return {
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_received": self.amount if paid else 0,
            "currency": self.currency,
            "status": self.status,
            "client_secret": f"{self.id}_secret_sandbox",
            "metadata": dict(self.metadata),
            "latest_charge": self.charge_id if paid or self.declined else None,
            "last_payment_error": error if self.declined and not paid else None,
            "livemode": False,
            "created": self.created,
        }

    def charge_json(self) -> Json:
        return {
            "id": self.charge_id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount,
            "amount_refunded": self.amount_refunded,
            "captured": True,
            "currency": self.currency,
            "payment_intent": self.id,
            "metadata": dict(self.metadata),
            "paid": True,
            "refunded": self.amount_refunded >= self.amount,
            "status": "succeeded",
            "livemode": False,
            "created": self.created,
        }


@dataclass(slots=True)
class Intents:
    """Of one account; the oldest are forgotten above a limit."""

    by_id: OrderedDict[str, Intent] = field(default_factory=OrderedDict)
    refunds: list[Json] = field(default_factory=list)
    disputes: dict[str, Json] = field(default_factory=dict)

    def add(self, intent: Intent) -> None:
        self.by_id[intent.id] = intent
        if len(self.by_id) > ORDERS_MAX:
            self.by_id.popitem(last=False)
