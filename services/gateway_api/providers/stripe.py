"""Stripe: payment intents, webhooks and refunds. An intent is both the order and the payment: its id stands for both.

The callback of its checkout is not signed, so that Stripe is asked. A webhook's header is `t=<seconds>,v1=<hex>,...`
over `t.body`; any v1 may fit, and t may be 300 s off in either direction.
Sources: Stripe's API reference (payment intents, refunds, idempotent requests), "Verify webhook signatures".
"""

import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

import orjson

from services.common.errors import DependencyError
from services.gateway_api.providers.calls import Answered, ProviderApi
from services.gateway_api.providers.entities import event_name_of, id_of, member, read_entity, read_object
from services.gateway_api.providers.lists import read_items, unless_refused
from services.gateway_api.providers.protocol import ProviderOrder, ProviderRefusedError
from services.gateway_api.providers.stripe_entities import Dispute, Intent, Known, Refund, read_known, told_by
from services.gateway_api.providers.verified import (
    InvalidSignatureError,
    Proof,
    VerifiedPayment,
    check_hmac,
    is_unknown,
    time_of,
    unknown_payment,
)
from services.gateway_api.web.reading import invalid

NAME = "stripe"
TOLERANCE_S = 300
_SIGNATURES_MAX = 10
_PAGE_ITEMS = 100
# Whose reason matters.
_REFUSED = frozenset({400})
_is_intent = re.compile(r"pi_[A-Za-z0-9]{1,61}").fullmatch
_is_timestamp = re.compile(r"[0-9]{1,12}").fullmatch


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
        return VerifiedPayment(
            proof=proof,
            provider=NAME,
            source="webhook",
            event=event_name_of(data.get("type")),
            body=body,
            provider_event_id=id_of(data.get("id")),
            **told_by(read_known(member(data, "data", "object"))),
            occurred_at=time_of(data.get("created")),
        )

    async def fetch_order(self, provider_order_id: str, *, within_s: float) -> Sequence[VerifiedPayment]:
        fact = await self.fetch_payment(provider_order_id, within_s=within_s)
        if is_unknown(fact):
            # We made it, so another account is asked: that says nothing about the payment.
            raise ProviderRefusedError(NAME, 404)
        return [fact]

    async def fetch_payment(self, payment_id: str, *, within_s: float) -> VerifiedPayment:
        path = f"/v1/payment_intents/{payment_id}"
        answered = await self._api.call("GET", path, absent=frozenset({404}), within_s=within_s)
        if not answered.found:
            return unknown_payment(answered.proof, provider=NAME, payment_id=payment_id, answer=answered.data)
        return _fetched(answered, Intent, answered.data)

    async def refund(
        self, payment_id: str, *, amount_minor: int | None, key: str, within_s: float
    ) -> VerifiedPayment | None:
        form = {"payment_intent": payment_id}
        if amount_minor is not None:
            form["amount"] = str(amount_minor)
        headers = {"Idempotency-Key": key}
        answered = await self._api.call(
            "POST", "/v1/refunds", form=form, headers=headers, absent=_REFUSED, within_s=within_s
        )
        if not answered.found:
            is_back = member(answered.data, "error", "code") == "charge_already_refunded"
            if not is_back or amount_minor is not None:
                raise ProviderRefusedError(NAME, 400)
            return None
        return _fetched(answered, Refund, answered.data)

    async def list_facts(
        self, since: datetime, until: datetime
    ) -> AsyncIterator[VerifiedPayment | ProviderRefusedError]:
        window = f"created[gte]={int(since.timestamp())}&created[lte]={int(until.timestamp())}&limit={_PAGE_ITEMS}"
        lists: tuple[tuple[str, type[Known]], ...] = (
            ("payment_intents", Intent),
            ("refunds", Refund),
            ("disputes", Dispute),
        )
        for path, model in lists:
            async for fact in unless_refused(self._listed(f"/v1/{path}?{window}", model)):
                yield fact

    async def _listed(self, path: str, model: type[Known]) -> AsyncIterator[VerifiedPayment]:
        after = ""
        while True:
            answered = await self._api.call("GET", path + after)
            items, facts = read_items(NAME, member(answered.data, "data"), partial(_fetched, answered, model))
            for fact in facts:
                yield fact
            if not items or member(answered.data, "has_more") is not True:
                break
            last = id_of(member(items[-1], "id"))
            if last is None:
                raise DependencyError("stripe answered a list without ids", dependency="provider")
            after = f"&starting_after={last}"

    def _check(self, header: str, body: bytes) -> Proof:
        """Raises InvalidSignatureError. The timestamp is signed, so an old message can't be given a new one."""
        parts = [part.partition("=") for part in header.split(",")]
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


def _fetched(answered: Answered, model: type[Known], item: object) -> VerifiedPayment:
    entity = read_entity(model, item)
    if entity is None:
        raise DependencyError("stripe answered something else", dependency="provider")
    return VerifiedPayment(
        proof=answered.proof,
        provider=NAME,
        source="fetch",
        event=f"{entity.kind}.fetched",
        body=orjson.dumps(item),
        **told_by(entity),
    )
