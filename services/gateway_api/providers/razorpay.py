"""Razorpay: orders, the signed callback of its checkout, webhooks, payments and refunds.

The callback's signature is hex HMAC-SHA256 of `order_id|payment_id` with the key secret: it proves the pair, neither
amount nor capture. A webhook's is of the raw body with the webhook secret; its event-id header is not signed.
Sources: Razorpay's API reference (orders, payments, refunds), "Validate and test webhooks", "Integrate with standard
checkout".
"""

import base64
import re
from collections.abc import Mapping, Sequence

import orjson

from services.common.errors import DependencyError
from services.gateway_api.payments import Meaning
from services.gateway_api.providers.calls import Answered, ProviderApi
from services.gateway_api.providers.entities import (
    Amount,
    Currency,
    Entity,
    Id,
    event_name_of,
    id_of,
    member,
    read_entity,
    read_object,
)
from services.gateway_api.providers.protocol import ProviderOrder
from services.gateway_api.providers.verified import (
    InvalidSignatureError,
    VerifiedPayment,
    check_hmac,
    is_provider_id,
    time_of,
    unknown_payment,
)

NAME = "razorpay"
# "The id provided does not exist" is a 400 there.
_ABSENT = frozenset({400, 404})
_is_event_id = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
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


class _Payment(Entity):
    id: Id
    order_id: Id | None = None
    amount: Amount
    currency: Currency
    status: str
    amount_refunded: Amount | None = None


class _Refund(Entity):
    id: Id
    payment_id: Id
    amount: Amount
    currency: Currency
    status: str


class _Dispute(Entity):
    id: Id
    payment_id: Id
    amount: Amount
    currency: Currency
    amount_deducted: Amount = 0
    status: str


class Razorpay:
    """Secrets: the first is current, all are accepted."""

    name = NAME

    def __init__(
        self, api: ProviderApi, *, key_id: str, key_secrets: Sequence[bytes], webhook_secrets: Sequence[bytes]
    ) -> None:
        self._api = api
        self._key_id = key_id
        self._key_secrets = key_secrets
        self._webhook_secrets = webhook_secrets

    async def create_order(
        self, *, amount_minor: int, currency: str, receipt: str, notes: Mapping[str, str]
    ) -> ProviderOrder:
        wanted = {
            "amount": amount_minor,
            "currency": currency,
            "receipt": receipt,
            "notes": dict(notes),
            # A repeated receipt gets the order that it made the first time.
            "unique_receipt": True,
        }
        answered = await self._api.call("POST", "/v1/orders", json=wanted)
        return ProviderOrder(provider_order_id=_required_id(answered), public_key=self._key_id, client_secret=None)

    def read_callback(self, fields: Mapping[str, object], body: bytes) -> VerifiedPayment:
        order_id, payment_id = fields.get("razorpay_order_id"), fields.get("razorpay_payment_id")
        if not (isinstance(order_id, str) and is_provider_id(order_id)):
            raise InvalidSignatureError
        if not (isinstance(payment_id, str) and is_provider_id(payment_id)):
            raise InvalidSignatureError
        message = f"{order_id}|{payment_id}".encode()
        return VerifiedPayment(
            proof=check_hmac(self._key_secrets, message, fields.get("razorpay_signature"), how="callback hmac"),
            provider=NAME,
            source="callback",
            event="callback",
            body=body,
            provider_order_id=order_id,
            payment_id=payment_id,
            entity_id=payment_id,
            meaning=Meaning.SIGNED,
        )

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedPayment:
        proof = check_hmac(self._webhook_secrets, body, headers.get("X-Razorpay-Signature"), how="webhook hmac")
        data = read_object(body)
        event_id = headers.get("X-Razorpay-Event-Id", "")
        payload = member(data, "payload")
        payment = read_entity(_Payment, member(payload, "payment", "entity"))
        refund = read_entity(_Refund, member(payload, "refund", "entity"))
        dispute = read_entity(_Dispute, member(payload, "dispute", "entity"))
        entity = refund or dispute or payment
        return VerifiedPayment(
            proof=proof,
            provider=NAME,
            source="webhook",
            event=event_name_of(data.get("event")),
            body=body,
            provider_event_id=event_id if _is_event_id(event_id) else None,
            provider_order_id=(payment.order_id if payment else None)
            or id_of(member(payload, "order", "entity", "id")),
            payment_id=_payment_id_of(entity),
            entity_id=entity.id if entity else None,
            meaning=_meaning_of(entity),
            amount_minor=entity.amount if entity else None,
            cumulative=_cumulative_of(entity),
            currency=entity.currency if entity else None,
            occurred_at=time_of(data.get("created_at")),
        )

    async def fetch_order(self, provider_order_id: str, *, within_s: float) -> Sequence[VerifiedPayment]:
        answered = await self._api.call("GET", f"/v1/orders/{provider_order_id}/payments", within_s=within_s)
        items = member(answered.data, "items")
        return [_fetched(answered, item) for item in items] if isinstance(items, list) else []

    async def fetch_payment(self, payment_id: str, *, within_s: float) -> VerifiedPayment:
        answered = await self._api.call("GET", f"/v1/payments/{payment_id}", absent=_ABSENT, within_s=within_s)
        if not answered.found:
            return unknown_payment(answered.proof, provider=NAME, payment_id=payment_id, answer=answered.data)
        return _fetched(answered, answered.data)

    async def refund(self, payment_id: str, *, amount_minor: int | None, key: str, within_s: float) -> None:
        wanted = {} if amount_minor is None else {"amount": amount_minor}
        headers = {"X-Refund-Idempotency": key}
        await self._api.call(
            "POST", f"/v1/payments/{payment_id}/refund", json=wanted, headers=headers, within_s=within_s
        )


def basic_auth(key_id: str, secret: bytes) -> str:
    return "Basic " + base64.b64encode(key_id.encode() + b":" + secret).decode()


def _meaning_of(entity: _Payment | _Refund | _Dispute | None) -> Meaning | None:
    """Of the entity, not of the event's name: the entity is newer when the two disagree."""
    match entity:
        case _Payment():
            return _PAYMENTS.get(entity.status)
        case _Refund():
            return _REFUNDS.get(entity.status)
        case _Dispute(status="closed"):
            return Meaning.DISPUTE_LOST if entity.amount_deducted else Meaning.DISPUTE_WON
        case _Dispute():
            return _DISPUTES.get(entity.status)
        case None:
            return None


def _payment_id_of(entity: _Payment | _Refund | _Dispute | None) -> str | None:
    if entity is None:
        return None
    return entity.id if isinstance(entity, _Payment) else entity.payment_id


def _cumulative_of(entity: _Payment | _Refund | _Dispute | None) -> int | None:
    return (entity.amount_refunded or None) if isinstance(entity, _Payment) else None


def _fetched(answered: Answered, item: object) -> VerifiedPayment:
    payment = read_entity(_Payment, item)
    if payment is None:
        raise DependencyError("razorpay answered something else", dependency="provider")
    return VerifiedPayment(
        proof=answered.proof,
        provider=NAME,
        source="fetch",
        event="payment.fetched",
        body=orjson.dumps(item),
        provider_order_id=payment.order_id,
        payment_id=payment.id,
        entity_id=payment.id,
        meaning=_meaning_of(payment),
        amount_minor=payment.amount,
        cumulative=_cumulative_of(payment),
        currency=payment.currency,
    )


def _required_id(answered: Answered) -> str:
    found = id_of(member(answered.data, "id"))
    if found is None:
        raise DependencyError("razorpay answered without an id", dependency="provider")
    return found
