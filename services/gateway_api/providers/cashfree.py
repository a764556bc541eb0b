"""Cashfree: orders, payments, refunds, webhooks. docs/adding-a-provider.md walks through this file.

An order has our own id there and at most one successful payment, so that the order's id stands for the payment too, as
an intent's does at Stripe. Nothing that the browser brings is signed: Cashfree is asked. A webhook's signature is
base64 of HMAC-SHA256 over timestamp and raw body, nothing between them, with the secret of the API.
Sources: Cashfree's API reference 2025-01-01 (orders, payments, refunds, reconciliation), "Payloads and signatures".
"""

import base64
import binascii
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import orjson

from services.common.errors import DependencyError
from services.gateway_api.limits import PROVIDER_CALL_S
from services.gateway_api.providers.calls import Answered, ProviderApi
from services.gateway_api.providers.cashfree_entities import Payment, Refund, entity_of, is_order_id, told_by
from services.gateway_api.providers.entities import Entity, event_name_of, member, read_entity, read_object
from services.gateway_api.providers.lists import Listed, read_items, unless_refused
from services.gateway_api.providers.meanings import Meaning
from services.gateway_api.providers.protocol import ProviderOrder, ProviderRefusedError
from services.gateway_api.providers.verified import InvalidSignatureError, VerifiedPayment, check_hmac, unknown_payment
from services.gateway_api.web.reading import invalid

NAME = "cashfree"
_VERSION = "2025-01-01"
_PAGE_ITEMS = 100
# Cashfree wants a number even of students who gave none, and says so in its reference.
_NO_PHONE = "9999999999"
# Digits, so that nothing can be moved from the body into the timestamp.
_is_timestamp = re.compile(r"[0-9]{10,16}").fullmatch


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
        if not isinstance(order_id, str) or not is_order_id(order_id):
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
            **told_by(entity_of(data.get("data")), order_id),
        )

    async def fetch_order(self, provider_order_id: str, *, within_s: float) -> Sequence[VerifiedPayment]:
        return (await self._attempts(provider_order_id, within_s=within_s))[1]

    async def fetch_payment(self, payment_id: str, *, within_s: float) -> VerifiedPayment:
        """The attempt that succeeded, else the last one."""
        items, found = await self._attempts(payment_id, within_s=within_s)
        if not items:
            answered = await self._call("GET", f"/pg/orders/{payment_id}", within_s=within_s, absent=True)
            return unknown_payment(answered.proof, provider=NAME, payment_id=payment_id, answer=answered.data)
        captured = next((fact for fact in found if fact.meaning is Meaning.CAPTURED), None)
        if captured is None and len(found) < len(items):
            # The one that succeeded may be among those that cannot be read.
            raise _no_sense()
        return captured or found[-1]

    async def refund(
        self, payment_id: str, *, amount_minor: int | None, key: str, within_s: float
    ) -> VerifiedPayment | None:
        """Cashfree wants an amount always; what is left is what was captured without the refunds so far."""
        if amount_minor is None:
            amount_minor = await self._left(payment_id, within_s=within_s)
            if amount_minor <= 0:
                return None
        wanted = {"refund_id": key.replace("-", ""), "refund_amount": _major(amount_minor)}
        path = f"/pg/orders/{payment_id}/refunds"
        answered = await self._call("POST", path, json=wanted, key=key, within_s=within_s)
        return _fetched(answered, Refund, answered.data, payment_id)

    async def list_facts(
        self, since: datetime, until: datetime
    ) -> AsyncIterator[VerifiedPayment | ProviderRefusedError]:
        """The reconciliation lists what happened in that time; its orders are then asked about, for it does not have
        Cashfree's ids of refunds. Disputes have no list: webhooks alone tell of them.
        """
        asked = set[str]()
        page: dict[str, object] = {"limit": _PAGE_ITEMS}
        while True:
            wanted = {
                "pagination": page,
                "filters": {"start_date": since.isoformat(), "end_date": until.isoformat()},
            }
            answered = await self._call("POST", "/pg/recon", json=wanted)
            events = member(answered.data, "data")
            orders = {order_id for event in _list_of(events) if (order_id := _order_id_in(event)) is not None}
            for order_id in sorted(orders - asked):
                async for fact in unless_refused(self._of_order(order_id)):
                    yield fact
            asked |= orders
            page["cursor"] = member(answered.data, "cursor")
            if not events or not page["cursor"]:
                break

    async def _of_order(self, order_id: str) -> AsyncIterator[VerifiedPayment]:
        for fact in await self.fetch_order(order_id, within_s=PROVIDER_CALL_S):
            yield fact
        for fact in (await self._refunds(order_id))[1]:
            yield fact

    async def _left(self, order_id: str, *, within_s: float) -> int:
        paid = await self.fetch_payment(order_id, within_s=within_s)
        items, refunds = await self._refunds(order_id, within_s=within_s)
        if len(refunds) < len(items):
            raise _no_sense()
        gone = sum(refund.amount_minor or 0 for refund in refunds if refund.meaning is not Meaning.REFUND_FAILED)
        return (paid.amount_minor or 0) - gone

    async def _attempts(self, order_id: str, *, within_s: float) -> Listed:
        answered = await self._call("GET", f"/pg/orders/{order_id}/payments", within_s=within_s)
        return read_items(NAME, answered.data, lambda item: _fetched(answered, Payment, item, order_id))

    async def _refunds(self, order_id: str, *, within_s: float = PROVIDER_CALL_S) -> Listed:
        answered = await self._call("GET", f"/pg/orders/{order_id}/refunds", within_s=within_s)
        return read_items(NAME, answered.data, lambda item: _fetched(answered, Refund, item, order_id))

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


def _list_of(data: object) -> list[object]:
    return data if isinstance(data, list) else []


def _order_id_in(event: object) -> str | None:
    """Beside the event's other fields, or in a group of its own since 2026-01-01."""
    order_id = member(event, "order_id") or member(event, "order_details", "order_id")
    return order_id if isinstance(order_id, str) and is_order_id(order_id) else None


def _fetched(answered: Answered, model: type[Entity], item: object, order_id: str) -> VerifiedPayment:
    entity = read_entity(model, item)
    if entity is None:
        raise _no_sense()
    return VerifiedPayment(
        proof=answered.proof,
        provider=NAME,
        source="fetch",
        event=f"{model.__name__.lower()}.fetched",
        body=orjson.dumps(item),
        **told_by(entity, order_id),
    )


def _no_sense() -> DependencyError:
    return DependencyError("cashfree answered something else", dependency="provider")
