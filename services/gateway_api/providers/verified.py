"""What a provider really said: the only shape in which payment data can reach SQL.

A VerifiedPayment wants a Proof, and a Proof comes from nothing but a check that succeeded: of an HMAC, an answer of
the provider's own API, or a token of staff. Everything here works on bytes. Every failure to parse is an invalid
signature, because whoever sends nonsense has no secret; the official SDKs raise TypeError and KeyError on it instead.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Self

import aiohttp
import orjson

from services.gateway_api.providers.meanings import Meaning, Source

# Ids are parts of what is signed: one with a separator inside would let two different pairs share a signature.
is_provider_id = re.compile(r"[A-Za-z0-9_]{1,64}").fullmatch
_is_digest = re.compile(r"[0-9a-f]{64}").fullmatch
_UNKNOWN = "payment.unknown"
_SECONDS_MAX = 4_102_444_800  # the year 2100


class InvalidSignatureError(Exception):
    """What came is not from the provider. Says nothing more: the sender may be guessing."""


class Proof:
    """What made a message genuine. `position` of the secret that did, from 1; 0 where none was needed."""

    __slots__ = ("how", "position")
    how: str
    position: int

    def __new__(cls) -> Self:
        raise TypeError("a Proof comes from check_hmac(), proof_of_answer() or proof_of_person()")

    def __str__(self) -> str:
        return f"{self.how} {self.position}" if self.position else self.how


def check_hmac(secrets: Sequence[bytes], message: bytes, signature: object, *, how: str) -> Proof:
    """`signature` is lowercase hex of HMAC-SHA256. Every live secret is tried: a rotation keeps two for a day.

    Raises InvalidSignatureError. Sources: Razorpay "Validate and test webhooks", Stripe "Verify webhook signatures".
    """
    if isinstance(signature, str) and _is_digest(signature):
        given = bytes.fromhex(signature)
        for position, secret in enumerate(secrets, start=1):
            if hmac.compare_digest(hmac.digest(secret, message, hashlib.sha256), given):
                return _proof(how, position)
    raise InvalidSignatureError


def proof_of_answer(answer: aiohttp.ClientResponse) -> Proof:
    """Of an answer of the provider's API, about what we asked: we chose the address and sent our key."""
    if answer.status not in {200, 400, 404}:
        raise ValueError(f"{answer.status} proves nothing")
    return _proof("fetched", 0)


def proof_of_person(subject: str) -> Proof:
    """Of a decision of staff: the guard has checked token and role before the route that asks for this ran."""
    return _proof(f"staff {subject}", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPayment:
    """A fact that is about to be stored. `body`: exactly as it came. `entity_id`: the payment, refund or dispute that
    it is about; `payment_id`: the payment that that belongs to. What could not be read in a genuine message is None.
    """

    proof: Proof
    provider: str
    source: Source
    event: str
    body: bytes
    provider_event_id: str | None = None
    provider_order_id: str | None = None
    payment_id: str | None = None
    entity_id: str | None = None
    meaning: Meaning | None = None
    amount_minor: int | None = None
    cumulative: int | None = None
    currency: str | None = None
    occurred_at: datetime | None = None
    body_sha256: bytes = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.proof, Proof):
            raise TypeError("only what was verified becomes a VerifiedPayment")
        object.__setattr__(self, "body_sha256", hashlib.sha256(self.body).digest())


def unknown_payment(proof: Proof, *, provider: str, payment_id: str, answer: object) -> VerifiedPayment:
    """The provider does not know a payment that someone had a signature for: the secret may be in wrong hands."""
    return VerifiedPayment(
        proof=proof,
        provider=provider,
        source="fetch",
        event=_UNKNOWN,
        # The answer alone is the same for every such payment, and would be a duplicate.
        body=orjson.dumps({"asked": payment_id, "answer": answer}),
        payment_id=payment_id,
        entity_id=payment_id,
        meaning=Meaning.FAILED,
    )


def is_unknown(fact: VerifiedPayment) -> bool:
    """Whether the provider said that there is no such payment, not what became of it."""
    return fact.event == _UNKNOWN


def is_of_order(fact: VerifiedPayment, provider_order_id: str) -> bool:
    """Whether what was fetched about a payment may count for this order. One that is unknown is nobody's."""
    return fact.provider_order_id == provider_order_id or is_unknown(fact)


def as_about_order(fact: VerifiedPayment, provider_order_id: str) -> VerifiedPayment:
    """What was fetched about a payment means this for the order that someone had a signature for. It failed when the
    payment is not known, or exists and pays something else.
    """
    if is_unknown(fact):
        return replace(fact, provider_order_id=provider_order_id)
    if is_of_order(fact, provider_order_id):
        return fact
    return replace(
        fact,
        event="payment.of_another_order",
        # The answer alone may be known already, as the other order's.
        body=orjson.dumps({"asked": provider_order_id, "answer": fact.body.decode(errors="replace")}),
        provider_order_id=provider_order_id,
        meaning=Meaning.FAILED,
        amount_minor=None,
        cumulative=None,
        currency=None,
    )


def never_captured(fact: VerifiedPayment) -> VerifiedPayment:
    """Of an authorisation that was asked about until there was no use in asking."""
    return replace(
        fact,
        event="payment.never_captured",
        body=orjson.dumps({"asked": fact.payment_id, "answer": fact.body.decode(errors="replace")}),
        meaning=Meaning.FAILED,
    )


def time_of(seconds: object) -> datetime | None:
    """Unix seconds as providers write them; None for anything that is no such number."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 < seconds < _SECONDS_MAX:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _proof(how: str, position: int) -> Proof:
    proof = object.__new__(Proof)
    proof.how = how
    proof.position = position
    return proof
