"""What the facts about an order's payment add up to. Pure: no clock, no database, no provider.

Facts are only ever added and the state is always derived from all of them, so the order in which they arrive cannot
matter. One thing is fixed once and never derived again: which payment was accepted. Facts about any other payment of
the order never touch its state; a second one that took money is surplus, and goes back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Source = Literal["callback", "webhook", "fetch"]
Status = Literal[
    "created", "succeeded", "failed", "review", "partially_refunded", "refunded", "disputed", "charged_back"
]


class Meaning(StrEnum):
    """What a fact says, in our words: the value of payment_facts.status.

    SIGNED is a callback's genuine pair of ids, which counts as success; CLAIMED is the same under the policy
    `capture`, which lets only the provider's own word count.
    """

    CAPTURED = "captured"
    SIGNED = "signed"
    CLAIMED = "claimed"
    AUTHORIZED = "authorized"
    FAILED = "failed"
    REFUND_PENDING = "refund_pending"
    REFUND_PROCESSED = "refund_processed"
    REFUND_FAILED = "refund_failed"
    DISPUTE_OPEN = "dispute_open"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"


_ABOUT_PAYMENT = frozenset({Meaning.CAPTURED, Meaning.AUTHORIZED})
_SUCCESS = frozenset({Meaning.CAPTURED, Meaning.SIGNED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What the order asked for. `currency` is a code in capitals."""

    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One row of payment_facts, as far as the state depends on it. `cumulative`: refunded of the payment so far."""

    payment_id: str | None
    entity_id: str | None
    meaning: Meaning | None
    source: Source
    amount_minor: int | None = None
    cumulative: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`accepted`: the payment that pays the order. `surplus`: other payments that took money. `proven`: the provider
    itself has said that the accepted payment was captured with the right amount.
    """

    status: Status
    accepted: str | None
    refunded_minor: int
    surplus: frozenset[str]
    proven: bool


def derive_state(price: Price, facts: Sequence[Fact], accepted: str | None) -> State:
    """`facts` in the order in which they were stored: without an `accepted` payment it is the first acceptable one."""
    if accepted is None:
        accepted = next((one for one in _paid(facts) if not _differs(price, _of(facts, one))), None)
    surplus = frozenset(_paid(facts)) - {accepted} if accepted is not None else frozenset[str]()
    if accepted is None:
        return State(
            status=_status_before_success(facts), accepted=None, refunded_minor=0, surplus=surplus, proven=False
        )
    own = _of(facts, accepted)
    refunded = min(_refunded(own), price.amount_minor)
    return State(
        status=_status_after_success(price, own, refunded),
        accepted=accepted,
        refunded_minor=refunded,
        surplus=surplus,
        proven=any(fact.meaning is Meaning.CAPTURED for fact in own) and not _differs(price, own),
    )


def _paid(facts: Sequence[Fact]) -> Iterator[str]:
    """Ids of payments with a success, in the order of the facts."""
    for fact in facts:
        if fact.meaning in _SUCCESS and fact.payment_id is not None:
            yield fact.payment_id


def _of(facts: Sequence[Fact], payment_id: str) -> list[Fact]:
    return [fact for fact in facts if fact.payment_id == payment_id]


def _differs(price: Price, own: Sequence[Fact]) -> bool:
    """Whether the provider named another amount or currency for this payment. What it left out does not differ."""
    return any(
        fact.amount_minor not in {None, price.amount_minor} or fact.currency not in {None, price.currency}
        for fact in own
        if fact.meaning in _ABOUT_PAYMENT
    )


def _status_before_success(facts: Sequence[Fact]) -> Status:
    """A success that is not acceptable is for a person. A failed payment may still be authorised days later."""
    meanings = {fact.meaning for fact in facts}
    if meanings & _SUCCESS:
        return "review"
    if Meaning.FAILED in meanings and Meaning.AUTHORIZED not in meanings:
        return "failed"
    return "created"


def _status_after_success(price: Price, own: Sequence[Fact], refunded: int) -> Status:
    """The gravest first: what revokes a purchase, what freezes it, what reduces it."""
    disputes = set(_disputes(own))
    if Meaning.DISPUTE_LOST in disputes:
        return "charged_back"
    if refunded >= price.amount_minor:
        return "refunded"
    if Meaning.DISPUTE_OPEN in disputes:
        return "disputed"
    if _differs(price, own) or _is_denied(own):
        return "review"
    return "partially_refunded" if refunded > 0 else "succeeded"


def _disputes(own: Sequence[Fact]) -> Iterator[Meaning]:
    """Of each dispute how it stands. It ends once, so its end counts in whatever order the facts came."""
    ids = {fact.entity_id for fact in own if fact.meaning in {Meaning.DISPUTE_OPEN, Meaning.DISPUTE_LOST}}
    for dispute_id in ids:
        known = {fact.meaning for fact in own if fact.entity_id == dispute_id}
        ends = (Meaning.DISPUTE_LOST, Meaning.DISPUTE_WON, Meaning.DISPUTE_OPEN)
        yield next(end for end in ends if end in known)


def _is_denied(own: Sequence[Fact]) -> bool:
    """The signature said success, and asked about it the provider says failure. A webhook `failed` may be an old one
    of a payment that succeeded later, so only what was fetched counts, and a capture outweighs it.
    """
    captured = any(fact.meaning is Meaning.CAPTURED for fact in own)
    return not captured and any(fact.meaning is Meaning.FAILED and fact.source == "fetch" for fact in own)


def _refunded(own: Sequence[Fact]) -> int:
    """Refunds are known one by one, or as the payment's total, or both; either may be behind the other."""
    processed = {fact.entity_id: fact.amount_minor or 0 for fact in own if fact.meaning is Meaning.REFUND_PROCESSED}
    failed = {fact.entity_id: fact.amount_minor or 0 for fact in own if fact.meaning is Meaning.REFUND_FAILED}
    one_by_one = sum(amount for refund_id, amount in processed.items() if refund_id not in failed)
    total = max((fact.cumulative or 0 for fact in own), default=0)
    return max(one_by_one, total - sum(failed.values()), 0)
