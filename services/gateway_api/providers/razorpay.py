"""Razorpay: orders, the signed callback of its checkout, webhooks, payments and refunds.

The callback's signature is hex HMAC-SHA256 of `order_id|payment_id` with the key secret: it proves the pair, neither
amount nor capture. A webhook's is of the raw body with the webhook secret; its event-id header is not signed.
Sources: Razorpay's API reference (orders, payments, refunds), "Validate and test webhooks", "Integrate with standard
checkout".
"""

import base64
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import count

import orjson

from services.common.errors import DependencyError
from services.gateway_api.providers.calls import Answered, ProviderApi
from services.gateway_api.providers.entities import event_name_of, id_of, member, read_entity, read_object
from services.gateway_api.providers.lists import read_items, unless_refused
from services.gateway_api.providers.meanings import Meaning
from services.gateway_api.providers.protocol import ProviderOrder, ProviderRefusedError
from services.gateway_api.providers.razorpay_entities import Dispute, Known, Payment, Refund, read_payload, told_by
from services.gateway_api.providers.verified import (
    InvalidSignatureError,
    VerifiedPayment,
    check_hmac,
    is_provider_id,
    time_of,
    unknown_payment,
)

NAME = "razorpay"
# As is every other fault of a request there; only the words tell what it is.
_ABSENT = frozenset({400})
_NO_SUCH_ID = "does not exist"
_PAGE_ITEMS = 100
_is_event_id = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch


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
        payment, entity = read_payload(payload)
        return VerifiedPayment(
            proof=proof,
            provider=NAME,
            source="webhook",
            event=event_name_of(data.get("event")),
            body=body,
            provider_event_id=event_id if _is_event_id(event_id) else None,
            provider_order_id=(payment.order_id if payment else None)
            or id_of(member(payload, "order", "entity", "id")),
            **told_by(entity),
            occurred_at=time_of(data.get("created_at")),
        )

    async def fetch_order(self, provider_order_id: str, *, within_s: float) -> Sequence[VerifiedPayment]:
        answered = await self._api.call("GET", f"/v1/orders/{provider_order_id}/payments", within_s=within_s)
        _, facts = read_items(NAME, member(answered.data, "items"), partial(_fetched, answered, Payment))
        return facts

    async def fetch_payment(self, payment_id: str, *, within_s: float) -> VerifiedPayment:
        answered = await self._api.call("GET", f"/v1/payments/{payment_id}", absent=_ABSENT, within_s=within_s)
        if not answered.found:
            if _NO_SUCH_ID not in str(member(answered.data, "error", "description")):
                raise ProviderRefusedError(NAME, 400)
            return unknown_payment(answered.proof, provider=NAME, payment_id=payment_id, answer=answered.data)
        return _fetched(answered, Payment, answered.data)

    async def refund(self, payment_id: str, *, amount_minor: int | None, key: str, within_s: float) -> VerifiedPayment:
        wanted = {} if amount_minor is None else {"amount": amount_minor}
        headers = {"X-Refund-Idempotency": key}
        answered = await self._api.call(
            "POST", f"/v1/payments/{payment_id}/refund", json=wanted, headers=headers, within_s=within_s
        )
        return _fetched(answered, Refund, answered.data)

    async def list_facts(
        self, since: datetime, until: datetime
    ) -> AsyncIterator[VerifiedPayment | ProviderRefusedError]:
        window = f"from={int(since.timestamp())}&to={int(until.timestamp())}&count={_PAGE_ITEMS}"
        lists: tuple[tuple[str, type[Known]], ...] = (("payments", Payment), ("refunds", Refund), ("disputes", Dispute))
        for path, model in lists:
            async for fact in unless_refused(self._listed(f"/v1/{path}?{window}", model)):
                yield fact

    async def _listed(self, path: str, model: type[Known]) -> AsyncIterator[VerifiedPayment]:
        for skip in count(0, _PAGE_ITEMS):
            answered = await self._api.call("GET", f"{path}&skip={skip}")
            items, facts = read_items(NAME, member(answered.data, "items"), partial(_fetched, answered, model))
            for fact in facts:
                yield fact
            if len(items) < _PAGE_ITEMS:
                break


def basic_auth(key_id: str, secret: bytes) -> str:
    return "Basic " + base64.b64encode(key_id.encode() + b":" + secret).decode()


def _fetched(answered: Answered, model: type[Known], item: object) -> VerifiedPayment:
    entity = read_entity(model, item)
    if entity is None:
        raise DependencyError("razorpay answered something else", dependency="provider")
    return VerifiedPayment(
        proof=answered.proof,
        provider=NAME,
        source="fetch",
        event=f"{model.__name__.lower()}.fetched",
        body=orjson.dumps(item),
        provider_order_id=entity.order_id if isinstance(entity, Payment) else None,
        **told_by(entity),
    )


def _required_id(answered: Answered) -> str:
    found = id_of(member(answered.data, "id"))
    if found is None:
        raise DependencyError("razorpay answered without an id", dependency="provider")
    return found
