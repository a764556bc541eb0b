"""Cashfree: orders, payments, refunds, webhooks. docs/adding-a-provider.md walks through this file.

An order has our own id there and at most one successful payment, so that the order's id stands for the payment too, as
an intent's does at Stripe. Nothing that the browser brings is signed: Cashfree is asked. A webhook's signature is
base64 of HMAC-SHA256 over timestamp and raw body, nothing between them, with the secret of the API.
Sources: Cashfree's API reference 2025-01-01 (orders, payments, refunds), "Payloads and signatures".
"""

import base64
import binascii
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import orjson
from pydantic import BeforeValidator, StringConstraints

from services.common.errors import DependencyError
from services.gateway_api.limits import PROVIDER_CALL_S
from services.gateway_api.payments import Meaning
from services.gateway_api.providers.calls import Answered, ProviderApi
from services.gateway_api.providers.entities import Currency, Entity, event_name_of, member, read_entity, read_object
from services.gateway_api.providers.protocol import ProviderOrder
from services.gateway_api.providers.verified import InvalidSignatureError, VerifiedPayment, check_hmac, unknown_payment
from services.gateway_api.reading import invalid

NAME = "cashfree"
_VERSION = "2025-01-01"
# Cashfree wants a number even of students who gave none, and says so in its reference.
_NO_PHONE = "9999999999"
_is_order_id = re.compile(r"[A-Za-z0-9_-]{3,45}").fullmatch
# Digits, so that nothing can be moved from the body into the timestamp.
_is_timestamp = re.compile(r"[0-9]{10,16}").fullmatch
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


class _Payment(Entity):
    cf_payment_id: _Id
    payment_status: str
    payment_amount: _Minor
    payment_currency: Currency


class _Refund(Entity):
    order_id: _OrderId
    cf_refund_id: _Id
    refund_status: str
    refund_amount: _Minor
    refund_currency: Currency


class _Dispute(Entity):
    dispute_id: _Id
    dispute_status: str
    dispute_amount: _Minor


class Cashfree:
    """Secrets: the first is current, all are accepted."""

    name = NAME

    def __init__(self, api: ProviderApi, *, client_id: str, client_secrets: Sequence[bytes]) -> None:
        self._api = api
        self._client_id = client_id
        self._client_secrets = client_secrets

    async def create_order(
        self, *, amount_minor: int, currency: str, receipt: str, notes: Mapping[str, str]
    ) -> ProviderOrder:
        customer = {"customer_id": notes.get("studentId", receipt), "customer_phone": _NO_PHONE}
        wanted: dict[str, object] = {
            "order_id": receipt,
            "order_amount": _major(amount_minor),
            "order_currency": currency,
        }
        wanted |= {"customer_details": customer, "order_tags": dict(notes)}
        answered = await self._call("POST", "/pg/orders", json=wanted, key=receipt)
        order_id, session = member(answered.data, "order_id"), member(answered.data, "payment_session_id")
        if order_id != receipt or not isinstance(session, str):
            raise DependencyError("cashfree answered with another order", dependency="provider")
        return ProviderOrder(provider_order_id=receipt, public_key=self._client_id, client_secret=session)

    def read_callback(self, fields: Mapping[str, object], _body: bytes) -> str:
        """Raises Problem 422 for something that is no order's id."""
        order_id = fields.get("order_id")
        if not isinstance(order_id, str) or not _is_order_id(order_id):
            raise invalid(("order_id", "the id of an order"))
        return order_id

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedPayment:
        timestamp = headers.get("x-webhook-timestamp", "")
        if not _is_timestamp(timestamp):
            raise InvalidSignatureError
        signature = _hex_of(headers.get("x-webhook-signature", ""))
        proof = check_hmac(self._client_secrets, timestamp.encode() + body, signature, how="webhook hmac")
        data = read_object(body)
        order_id = member(data, "data", "order", "order_id") or member(data, "data", "order_details", "order_id")
        return VerifiedPayment(
            proof=proof,
            provider=NAME,
            source="webhook",
            event=event_name_of(data.get("type")),
            body=body,
            **_told_by(_entity_of(data.get("data")), order_id),
        )

    async def fetch_order(self, provider_order_id: str, *, within_s: float) -> Sequence[VerifiedPayment]:
        answered = await self._call("GET", f"/pg/orders/{provider_order_id}/payments", within_s=within_s)
        items = answered.data if isinstance(answered.data, list) else []
        return [_fetched(answered, _Payment, item, provider_order_id) for item in items]

    async def fetch_payment(self, payment_id: str, *, within_s: float) -> VerifiedPayment:
        """The attempt that succeeded, else the last one."""
        found = await self.fetch_order(payment_id, within_s=within_s)
        if not found:
            answered = await self._call("GET", f"/pg/orders/{payment_id}", within_s=within_s, absent=True)
            return unknown_payment(answered.proof, provider=NAME, payment_id=payment_id, answer=answered.data)
        return next((fact for fact in found if fact.meaning is Meaning.CAPTURED), found[-1])

    async def refund(self, payment_id: str, *, amount_minor: int | None, key: str, within_s: float) -> VerifiedPayment:
        """Cashfree wants an amount always; what is left is what was captured without the refunds so far."""
        if amount_minor is None:
            amount_minor = await self._left(payment_id, within_s=within_s)
        wanted = {"refund_id": key.replace("-", ""), "refund_amount": _major(amount_minor)}
        path = f"/pg/orders/{payment_id}/refunds"
        answered = await self._call("POST", path, json=wanted, key=key, within_s=within_s)
        return _fetched(answered, _Refund, answered.data, payment_id)

    async def list_facts(self, since: datetime, until: datetime) -> AsyncIterator[VerifiedPayment]:  # noqa: ARG002
        """Nothing: Cashfree lists payments of one order only, and the reconciler asks about each that is open."""
        nothing: tuple[VerifiedPayment, ...] = ()
        for fact in nothing:
            yield fact

    async def _left(self, order_id: str, *, within_s: float) -> int:
        paid = await self.fetch_payment(order_id, within_s=within_s)
        answered = await self._call("GET", f"/pg/orders/{order_id}/refunds", within_s=within_s)
        items = answered.data if isinstance(answered.data, list) else []
        refunds = [_fetched(answered, _Refund, item, order_id) for item in items]
        gone = sum(refund.amount_minor or 0 for refund in refunds if refund.meaning is not Meaning.REFUND_FAILED)
        return (paid.amount_minor or 0) - gone

    async def _call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        key: str | None = None,
        within_s: float = PROVIDER_CALL_S,
        absent: bool = False,
    ) -> Answered:
        headers = {
            "x-api-version": _VERSION,
            "x-client-id": self._client_id,
            "x-client-secret": self._client_secrets[0].decode(),
        }
        if key is not None:
            headers["x-idempotency-key"] = key
        missing = frozenset({404}) if absent else frozenset[int]()
        return await self._api.call(method, path, headers=headers, json=json, absent=missing, within_s=within_s)


def _major(amount_minor: int) -> int | float:
    """As a JSON number with two places at most."""
    return amount_minor // 100 if amount_minor % 100 == 0 else float(Decimal(amount_minor).scaleb(-2))


def _hex_of(signature: str) -> str:
    try:
        return base64.b64decode(signature, validate=True).hex()
    except (binascii.Error, ValueError):
        raise InvalidSignatureError from None


def _entity_of(data: object) -> Entity | None:
    refund = read_entity(_Refund, member(data, "refund"))
    return refund or read_entity(_Dispute, member(data, "dispute")) or read_entity(_Payment, member(data, "payment"))


def _told_by(entity: Entity | None, order_id: object) -> dict[str, Any]:
    """As the fields of a VerifiedPayment."""
    known = order_id if isinstance(order_id, str) and _is_order_id(order_id) else None
    match entity:
        case _Payment():
            meaning = _PAYMENTS.get(entity.payment_status)
            told = (entity.cf_payment_id, meaning, entity.payment_amount, entity.payment_currency)
        case _Refund():
            known, meaning = entity.order_id, _REFUNDS.get(entity.refund_status)
            told = (entity.cf_refund_id, meaning, entity.refund_amount, entity.refund_currency)
        case _Dispute():
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


def _fetched(answered: Answered, model: type[Entity], item: object, order_id: str) -> VerifiedPayment:
    entity = read_entity(model, item)
    if entity is None:
        raise DependencyError("cashfree answered something else", dependency="provider")
    return VerifiedPayment(
        proof=answered.proof,
        provider=NAME,
        source="fetch",
        event=f"{model.__name__[1:].lower()}.fetched",
        body=orjson.dumps(item),
        **_told_by(entity, order_id),
    )
