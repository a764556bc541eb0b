"""What Cashfree tells about: payments, refunds, disputes, and what each means for us. Amounts are rupees."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BeforeValidator, StringConstraints

from services.gateway_api.providers.entities import Currency, Entity, member, read_entity
from services.gateway_api.providers.meanings import Meaning

is_order_id = re.compile(r"[A-Za-z0-9_-]{3,45}").fullmatch
_PAYMENTS: Mapping[str, Meaning] = {"SUCCESS": Meaning.CAPTURED, "FAILED": Meaning.FAILED, "VOID": Meaning.FAILED}
_REFUNDS: Mapping[str, Meaning] = {
    "SUCCESS": Meaning.REFUND_PROCESSED,
    "PENDING": Meaning.REFUND_PENDING,
    "ONHOLD": Meaning.REFUND_PENDING,
    "FAILED": Meaning.REFUND_FAILED,
    "CANCELLED": Meaning.REFUND_FAILED,
}


def _text(value: object) -> object:
    """Ids were numbers before 2025-01-01."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _minor(value: object) -> object:
    """Rupees with a point, as JSON has them, to paise. Their shortest notation: 499.99 is that and nothing near it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        minor = Decimal(str(value)).scaleb(2)
    except InvalidOperation:
        return value
    return int(minor) if minor == minor.to_integral_value() and 0 <= minor <= 10**15 else None


_Id = Annotated[str, BeforeValidator(_text), StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_OrderId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{3,45}$")]
_Minor = Annotated[int, BeforeValidator(_minor)]


class Payment(Entity):
    cf_payment_id: _Id
    payment_status: str
    payment_amount: _Minor
    payment_currency: Currency


class Refund(Entity):
    order_id: _OrderId
    cf_refund_id: _Id
    refund_status: str
    refund_amount: _Minor
    refund_currency: Currency


class Dispute(Entity):
    dispute_id: _Id
    dispute_status: str
    dispute_amount: _Minor


def entity_of(data: object) -> Entity | None:
    refund = read_entity(Refund, member(data, "refund"))
    return refund or read_entity(Dispute, member(data, "dispute")) or read_entity(Payment, member(data, "payment"))


def told_by(entity: Entity | None, order_id: object) -> dict[str, Any]:
    """As the fields of a VerifiedPayment."""
    known = order_id if isinstance(order_id, str) and is_order_id(order_id) else None
    match entity:
        case Payment():
            meaning = _PAYMENTS.get(entity.payment_status)
            told = (entity.cf_payment_id, meaning, entity.payment_amount, entity.payment_currency)
        case Refund():
            known, meaning = entity.order_id, _REFUNDS.get(entity.refund_status)
            told = (entity.cf_refund_id, meaning, entity.refund_amount, entity.refund_currency)
        case Dispute():
            told = (entity.dispute_id, _meaning_of_dispute(entity.dispute_status), entity.dispute_amount, "INR")
        case _:
            return {"provider_order_id": known, "payment_id": known}
    names = ("entity_id", "meaning", "amount_minor", "currency")
    return {"provider_order_id": known, "payment_id": known, **dict(zip(names, told, strict=True))}


def _meaning_of_dispute(status: str) -> Meaning:
    """DISPUTE_, CHARGEBACK_ or PRE_ARBITRATION_ with what became of it."""
    if status.endswith("_WON"):
        return Meaning.DISPUTE_WON
    return Meaning.DISPUTE_LOST if status.endswith(("_LOST", "_ACCEPTED")) else Meaning.DISPUTE_OPEN
