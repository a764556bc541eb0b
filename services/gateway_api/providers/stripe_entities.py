"""What Stripe tells about: intents, charges, refunds, disputes, and what each means for us."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from services.gateway_api.providers.entities import Amount, Currency, Entity, Id, read_entity
from services.gateway_api.providers.meanings import Meaning

_INTENTS: Mapping[str, Meaning] = {
    "requires_capture": Meaning.AUTHORIZED,
    "succeeded": Meaning.CAPTURED,
    "canceled": Meaning.FAILED,
}
_REFUNDS: Mapping[str, Meaning] = {
    "pending": Meaning.REFUND_PENDING,
    "requires_action": Meaning.REFUND_PENDING,
    "succeeded": Meaning.REFUND_PROCESSED,
    "failed": Meaning.REFUND_FAILED,
    "canceled": Meaning.REFUND_FAILED,
}
_DISPUTES: Mapping[str, Meaning] = {
    "needs_response": Meaning.DISPUTE_OPEN,
    "under_review": Meaning.DISPUTE_OPEN,
    "won": Meaning.DISPUTE_WON,
    "lost": Meaning.DISPUTE_LOST,
}


class Intent(Entity):
    kind: Literal["payment_intent"] = Field(alias="object")
    id: Id
    amount: Amount
    amount_received: Amount = 0
    currency: Currency
    status: str
    last_payment_error: dict[str, object] | None = None


class Charge(Entity):
    """One try at an intent: `failed` when the card was declined, `succeeded` but not captured while it is reserved."""

    kind: Literal["charge"] = Field(alias="object")
    id: Id
    payment_intent: Id
    amount: Amount
    amount_captured: Amount
    amount_refunded: Amount
    captured: bool
    currency: Currency
    status: str


class Refund(Entity):
    kind: Literal["refund"] = Field(alias="object")
    id: Id
    payment_intent: Id
    amount: Amount
    currency: Currency
    status: str


class Dispute(Entity):
    kind: Literal["dispute"] = Field(alias="object")
    id: Id
    payment_intent: Id
    amount: Amount
    currency: Currency
    status: str


Known = Intent | Charge | Refund | Dispute


def read_known(data: object) -> Known | None:
    """An object of the API tells its kind in a field."""
    return (
        read_entity(Intent, data)
        or read_entity(Charge, data)
        or read_entity(Refund, data)
        or read_entity(Dispute, data)
    )


def told_by(entity: Known | None) -> dict[str, Any]:
    """As the fields of a VerifiedPayment. An intent is both the order and the payment."""
    if entity is None:
        return {}
    payment_id = entity.id if isinstance(entity, Intent) else entity.payment_intent
    return {
        "provider_order_id": payment_id,
        "payment_id": payment_id,
        "entity_id": entity.id,
        "meaning": _meaning_of(entity),
        "amount_minor": _amount_of(entity),
        "cumulative": (entity.amount_refunded or None) if isinstance(entity, Charge) else None,
        "currency": entity.currency,
    }


def _meaning_of(entity: Known) -> Meaning | None:
    match entity:
        case Intent():
            return _meaning_of_intent(entity)
        case Charge():
            return _meaning_of_charge(entity)
        case Refund():
            return _REFUNDS.get(entity.status)
        case Dispute():
            return _DISPUTES.get(entity.status)


def _meaning_of_intent(intent: Intent) -> Meaning | None:
    """An intent goes back to its beginning when a card is declined; the error tells that from a new one."""
    if intent.status == "requires_payment_method" and intent.last_payment_error:
        return Meaning.FAILED
    return _INTENTS.get(intent.status)


def _meaning_of_charge(charge: Charge) -> Meaning | None:
    if charge.status == "succeeded":
        return Meaning.CAPTURED if charge.captured else Meaning.AUTHORIZED
    return Meaning.FAILED if charge.status == "failed" else None


def _amount_of(entity: Known) -> int:
    if isinstance(entity, Intent) and entity.status == "succeeded":
        return entity.amount_received
    if isinstance(entity, Charge) and entity.captured:
        return entity.amount_captured
    return entity.amount
