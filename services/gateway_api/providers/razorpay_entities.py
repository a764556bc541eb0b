"""What Razorpay tells about: payments, refunds, disputes, and what each means for us."""

from collections.abc import Mapping
from typing import Any

from services.gateway_api.providers.entities import Amount, Currency, Entity, Id, member, read_entity
from services.gateway_api.providers.meanings import Meaning

_PAYMENTS: Mapping[str, Meaning] = {
    "authorized": Meaning.AUTHORIZED,
    "captured": Meaning.CAPTURED,
    "refunded": Meaning.CAPTURED,
    "failed": Meaning.FAILED,
}
_REFUNDS: Mapping[str, Meaning] = {
    "pending": Meaning.REFUND_PENDING,
    "processed": Meaning.REFUND_PROCESSED,
    "failed": Meaning.REFUND_FAILED,
}
_DISPUTES: Mapping[str, Meaning] = {
    "open": Meaning.DISPUTE_OPEN,
    "under_review": Meaning.DISPUTE_OPEN,
    "won": Meaning.DISPUTE_WON,
    "lost": Meaning.DISPUTE_LOST,
}


class Payment(Entity):
    id: Id
    order_id: Id | None = None
    amount: Amount
    currency: Currency
    status: str
    amount_refunded: Amount | None = None


class Refund(Entity):
    id: Id
    payment_id: Id
    amount: Amount
    currency: Currency
    status: str


class Dispute(Entity):
    id: Id
    payment_id: Id
    amount: Amount
    currency: Currency
    amount_deducted: Amount = 0
    status: str


Known = Payment | Refund | Dispute


def read_payload(payload: object) -> tuple[Payment | None, Known | None]:
    """Of a webhook: the payment, and what the event is about, which is never the payment when there is more."""
    payment = read_entity(Payment, member(payload, "payment", "entity"))
    refund = read_entity(Refund, member(payload, "refund", "entity"))
    dispute = read_entity(Dispute, member(payload, "dispute", "entity"))
    return payment, refund or dispute or payment


def told_by(entity: Known | None) -> dict[str, Any]:
    """As the fields of a VerifiedPayment."""
    if entity is None:
        return {}
    return {
        "payment_id": entity.id if isinstance(entity, Payment) else entity.payment_id,
        "entity_id": entity.id,
        "meaning": _meaning_of(entity),
        "amount_minor": entity.amount,
        "cumulative": (entity.amount_refunded or None) if isinstance(entity, Payment) else None,
        "currency": entity.currency,
    }


def _meaning_of(entity: Known) -> Meaning | None:
    """Of the entity, not of the event's name: the entity is newer when the two disagree."""
    match entity:
        case Payment():
            return _PAYMENTS.get(entity.status)
        case Refund():
            return _REFUNDS.get(entity.status)
        case Dispute(status="closed"):
            return Meaning.DISPUTE_LOST if entity.amount_deducted else Meaning.DISPUTE_WON
        case Dispute():
            return _DISPUTES.get(entity.status)
