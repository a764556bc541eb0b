"""Stripe: payment intents, webhooks and refunds. An intent is both the order and the payment: its id stands for both.

The callback of its checkout is not signed, so that Stripe is asked. A webhook's header is `t=<seconds>,v1=<hex>,...`
over `t.body`; any v1 may fit, and t may be 300 s off in either direction.
Sources: Stripe's API reference (payment intents, refunds, idempotent requests), "Verify webhook signatures".
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import orjson
from pydantic import Field

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
    Proof,
    VerifiedPayment,
    check_hmac,
    time_of,
    unknown_payment,
)
from services.gateway_api.reading import invalid

NAME = "stripe"
TOLERANCE_S = 300
_SIGNATURES_MAX = 10
_is_intent = re.compile(r"pi_[A-Za-z0-9]{1,61}").fullmatch
_is_timestamp = re.compile(r"[0-9]{1,12}").fullmatch
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


class _Intent(Entity):
    kind: Literal["payment_intent"] = Field(alias="object")
    id: Id
    amount: Amount
    amount_received: Amount = 0
    currency: Currency
    status: str
    last_payment_error: dict[str, object] | None = None


class _Charge(Entity):
    kind: Literal["charge"] = Field(alias="object")
    id: Id
    payment_intent: Id
    amount: Amount
    amount_refunded: Amount
    currency: Currency


class _Refund(Entity):
    kind: Literal["refund"] = Field(alias="object")
    id: Id
    payment_intent: Id
    amount: Amount
    currency: Currency
    status: str


class _Dispute(Entity):
    kind: Literal["dispute"] = Field(alias="object")
    id: Id
    payment_intent: Id
    amount: Amount
    currency: Currency
    status: str


_Known = _Intent | _Charge | _Refund | _Dispute


class Stripe:
    """`clock` gives Unix seconds."""

    name = NAME

    def __init__(
        self, api: ProviderApi, *, webhook_secrets: Sequence[bytes], clock: Callable[[], float] = time.time
    ) -> None:
        self._api = api
        self._webhook_secrets = webhook_secrets
        self._clock = clock

    async def create_order(
        self, *, amount_minor: int, currency: str, receipt: str, notes: Mapping[str, str]
    ) -> ProviderOrder:
        form = {"amount": str(amount_minor), "currency": currency.lower()}
        form |= {f"metadata[{name}]": value for name, value in notes.items()}
        answered = await self._api.call("POST", "/v1/payment_intents", form=form, headers={"Idempotency-Key": receipt})
        intent_id, secret = id_of(member(answered.data, "id")), member(answered.data, "client_secret")
        if intent_id is None or not isinstance(secret, str):
            raise DependencyError("stripe answered without an id", dependency="provider")
        # The publishable key is the page's own affair: this one is for the page to know whose intent it is.
        return ProviderOrder(provider_order_id=intent_id, public_key="", client_secret=secret)

    def read_callback(self, fields: Mapping[str, object], _body: bytes) -> str:
        """Raises Problem 422 for something that is no intent's id."""
        intent_id = fields.get("payment_intent")
        if not isinstance(intent_id, str) or not _is_intent(intent_id):
            raise invalid(("payment_intent", "the id of a payment intent"))
        return intent_id

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedPayment:
        proof = self._check(headers.get("Stripe-Signature", ""), body)
        data = read_object(body)
        entity = _entity_of(member(data, "data", "object"))
        payment_id = _payment_id_of(entity)
        return VerifiedPayment(
            proof=proof,
            provider=NAME,
            source="webhook",
            event=event_name_of(data.get("type")),
            body=body,
            provider_event_id=id_of(data.get("id")),
            provider_order_id=payment_id,
            payment_id=payment_id,
            entity_id=entity.id if entity else None,
            meaning=_meaning_of(entity),
            amount_minor=_amount_of(entity),
            cumulative=(entity.amount_refunded or None) if isinstance(entity, _Charge) else None,
            currency=entity.currency if entity else None,
            occurred_at=time_of(data.get("created")),
        )

    async def fetch_order(self, provider_order_id: str, *, within_s: float) -> Sequence[VerifiedPayment]:
        return [await self.fetch_payment(provider_order_id, within_s=within_s)]

    async def fetch_payment(self, payment_id: str, *, within_s: float) -> VerifiedPayment:
        path = f"/v1/payment_intents/{payment_id}"
        answered = await self._api.call("GET", path, absent=frozenset({404}), within_s=within_s)
        if not answered.found:
            return unknown_payment(answered.proof, provider=NAME, payment_id=payment_id, answer=answered.data)
        return _fetched(answered)

    async def refund(self, payment_id: str, *, amount_minor: int | None, key: str, within_s: float) -> None:
        form = {"payment_intent": payment_id}
        if amount_minor is not None:
            form["amount"] = str(amount_minor)
        await self._api.call("POST", "/v1/refunds", form=form, headers={"Idempotency-Key": key}, within_s=within_s)

    def _check(self, header: str, body: bytes) -> Proof:
        """Raises InvalidSignatureError. The timestamp is signed, so an old message can't be given a new one."""
        parts = [part.strip().partition("=") for part in header.split(",")]
        times = [value for name, _, value in parts if name == "t"]
        if len(times) != 1 or not _is_timestamp(times[0]) or abs(self._clock() - int(times[0])) > TOLERANCE_S:
            raise InvalidSignatureError
        message = times[0].encode() + b"." + body
        for signature in [value for name, _, value in parts if name == "v1"][:_SIGNATURES_MAX]:
            try:
                return check_hmac(self._webhook_secrets, message, signature, how="webhook hmac")
            except InvalidSignatureError:
                continue
        raise InvalidSignatureError


def _entity_of(data: object) -> _Known | None:
    return (
        read_entity(_Intent, data)
        or read_entity(_Charge, data)
        or read_entity(_Refund, data)
        or read_entity(_Dispute, data)
    )


def _payment_id_of(entity: _Known | None) -> str | None:
    if entity is None:
        return None
    return entity.id if isinstance(entity, _Intent) else entity.payment_intent


def _meaning_of(entity: _Known | None) -> Meaning | None:
    match entity:
        case _Intent():
            return _meaning_of_intent(entity)
        case _Charge():
            return Meaning.CAPTURED
        case _Refund():
            return _REFUNDS.get(entity.status)
        case _Dispute():
            return _DISPUTES.get(entity.status)
        case None:
            return None


def _meaning_of_intent(intent: _Intent) -> Meaning | None:
    """An intent goes back to its beginning when a card is declined; the error tells that from a new one."""
    if intent.status == "requires_payment_method" and intent.last_payment_error:
        return Meaning.FAILED
    return _INTENTS.get(intent.status)


def _amount_of(entity: _Known | None) -> int | None:
    if isinstance(entity, _Intent) and entity.status == "succeeded":
        return entity.amount_received
    return entity.amount if entity is not None else None


def _fetched(answered: Answered) -> VerifiedPayment:
    intent = read_entity(_Intent, answered.data)
    if intent is None:
        raise DependencyError("stripe answered something else", dependency="provider")
    return VerifiedPayment(
        proof=answered.proof,
        provider=NAME,
        source="fetch",
        event="payment_intent.fetched",
        body=orjson.dumps(answered.data),
        provider_order_id=intent.id,
        payment_id=intent.id,
        entity_id=intent.id,
        meaning=_meaning_of(intent),
        amount_minor=_amount_of(intent),
        currency=intent.currency,
    )
