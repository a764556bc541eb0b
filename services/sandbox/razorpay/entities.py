"""Orders, payments and refunds, with the JSON of Razorpay's API. Amounts in minor units, times in Unix seconds."""

import secrets
import string
from dataclasses import dataclass, field
from typing import Any, Literal

_ALPHABET = string.ascii_letters + string.digits
_ID_CHARACTERS = 14
Json = dict[str, Any]
PaymentStatus = Literal["created", "authorized", "captured", "refunded", "failed"]


def new_id(prefix: str) -> str:
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARACTERS))


@dataclass(slots=True, kw_only=True)
class Order:
    id: str
    amount: int
    currency: str
    receipt: str | None
    notes: dict[str, str]
    created_at: int
    amount_paid: int = 0
    attempts: int = 0

    @property
    def status(self) -> str:
        """`paid` stays after a refund, as with the real one."""
        if self.amount_paid >= self.amount:
            return "paid"
        return "attempted" if self.attempts else "created"

    def to_json(self) -> Json:
        return {
            "id": self.id,
            "entity": "order",
            "amount": self.amount,
            "amount_paid": self.amount_paid,
            "amount_due": self.amount - self.amount_paid,
            "currency": self.currency,
            "receipt": self.receipt,
            "offer_id": None,
            "status": self.status,
            "attempts": self.attempts,
            "notes": notes_json(self.notes),
            "created_at": self.created_at,
        }


@dataclass(slots=True, kw_only=True)
class Refund:
    id: str
    payment_id: str
    amount: int
    currency: str
    receipt: str | None
    notes: dict[str, str]
    created_at: int
    status: Literal["pending", "processed", "failed"] = "processed"

    def to_json(self) -> Json:
        return {
            "id": self.id,
            "entity": "refund",
            "amount": self.amount,
            "currency": self.currency,
            "payment_id": self.payment_id,
            "notes": notes_json(self.notes),
            "receipt": self.receipt,
            "acquirer_data": {"arn": None},
            "created_at": self.created_at,
            "batch_id": None,
            "status": self.status,
            "speed_processed": "normal",
            "speed_requested": "normal",
        }


@dataclass(slots=True, kw_only=True)
class Payment:
    id: str
    order_id: str
    amount: int
    currency: str
    method: str
    created_at: int
    status: PaymentStatus = "created"
    refunds: list[Refund] = field(default_factory=list)

    @property
    def amount_refunded(self) -> int:
        return sum(refund.amount for refund in self.refunds if refund.status == "processed")

    def to_json(self) -> Json:
        refunded, failed = self.amount_refunded, self.status == "failed"
        return {
            "id": self.id,
            "entity": "payment",
            "amount": self.amount,
            "currency": self.currency,
            "status": self.status,
            "order_id": self.order_id,
            "invoice_id": None,
            "international": False,
            "method": self.method,
            "amount_refunded": refunded,
            "refund_status": None if refunded == 0 else "full" if refunded >= self.amount else "partial",
            "captured": self.status in {"captured", "refunded"},
            "description": None,
            "card_id": None,
            "bank": None,
            "wallet": None,
            "vpa": "student@sandbox" if self.method == "upi" else None,
            "email": "student@example.com",
            "contact": "+910000000000",
            "notes": [],
            "fee": None,
            "tax": None,
            "error_code": "BAD_REQUEST_ERROR" if failed else None,
            "error_description": "The bank declined the payment." if failed else None,
            "error_source": "bank" if failed else None,
            "error_step": "payment_authorization" if failed else None,
            "error_reason": "payment_failed" if failed else None,
            "acquirer_data": {},
            "created_at": self.created_at,
        }


def collection_json(items: list[Json]) -> Json:
    return {"entity": "collection", "count": len(items), "items": items}


def notes_json(notes: dict[str, str]) -> Json | list[Json]:
    """Empty notes are `[]`, not `{}`: a habit of Razorpay's that parsers must survive."""
    return dict(notes) if notes else []
