"""What the facts about an order's payment add up to. Pure: no clock, no database, no provider.

Facts are only ever added and the state is always derived from all of them, so the order in which they arrive cannot
matter. One thing is fixed once and never derived again: which payment was accepted. Facts about any other payment of
the order never touch its state; a second one that took money goes back. What a person decides about a payment in
review is a fact like any other.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Source = Literal["callback", "webhook", "fetch", "staff"]
Status = Literal[
    "created", "succeeded", "failed", "review", "partially_refunded", "refunded", "disputed", "charged_back"
]


class Meaning(StrEnum):
    """What a fact says, in our words: the value of payment_facts.status.

    SIGNED is a callback's genuine pair of ids, which counts as success; CLAIMED is the same under the policy
    `capture`, which lets only the provider's own word count. ACCEPTED and REJECTED are a person's decision about a
    payment in review: it pays the order as it is, or it goes back.
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
    ACCEPTED = "accepted"
    REJECTED = "rejected"


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
    """`accepted`: the payment that pays the order. `owed`: the payments that are to go back, because another one pays
    the order or a person has decided so; of each the refunds that failed, as long as its money is not back. `proven`:
    the provider itself has said that the accepted payment was captured with the right amount.
    """

    status: Status
    accepted: str | None
    refunded_minor: int
    owed: Mapping[str, frozenset[str]]
    proven: bool


def derive_state(price: Price, facts: Sequence[Fact], accepted: str | None) -> State:
    """`facts` in the order in which they were stored: without an `accepted` payment it is the first acceptable one."""
    if accepted is None:
        accepted = next((one for one in _paid(facts) if _is_acceptable(price, _of(facts, one))), None)
    rejected = frozenset(one for one in _paid(facts) if _is_rejected(_of(facts, one)))
    if accepted is None:
        status = _status_before_success(price, facts)
        owed = _failures(price, facts, rejected)
        return State(status=status, accepted=None, refunded_minor=0, owed=owed, proven=False)
    own = _of(facts, accepted)
    refunded = min(_refunded(own), price.amount_minor)
    return State(
        status=_status_after_success(price, own, refunded),
        accepted=accepted,
        refunded_minor=refunded,
        owed=_failures(price, facts, (frozenset(_paid(facts)) - {accepted}) | rejected),
        proven=_has(own, Meaning.CAPTURED) and not _differs(price, own),
    )


def payments_to_decide(price: Price, facts: Sequence[Fact]) -> list[str]:
    """Those that took money which is neither back nor on its way, in the order in which that became known."""
    paid = {one: _of(facts, one) for one in _paid(facts)}
    return [one for one, own in paid.items() if not _is_rejected(own) and not _is_back(price, own)]


def left_of(price: Price, facts: Sequence[Fact], payment_id: str) -> int:
    """What of this payment's money has not gone back."""
    own = _of(facts, payment_id)
    return 0 if _is_back(price, own) else _taken(price, own) - _refunded(own)


def _failures(price: Price, facts: Sequence[Fact], owed: Collection[str]) -> dict[str, frozenset[str]]:
    failures = dict[str, frozenset[str]]()
    for payment_id in owed:
        own = _of(facts, payment_id)
        failed = {fact.entity_id for fact in own if fact.meaning is Meaning.REFUND_FAILED and fact.entity_id}
        failures[payment_id] = frozenset() if _is_back(price, own) else frozenset(failed)
    return failures


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


def _is_acceptable(price: Price, own: Sequence[Fact]) -> bool:
    """Whether a payment may pay the order. A person's yes outweighs a person's no, in whatever order they came."""
    return _has(own, Meaning.ACCEPTED) or not (_differs(price, own) or _is_rejected(own))


def _is_rejected(own: Sequence[Fact]) -> bool:
    return _has(own, Meaning.REJECTED) and not _has(own, Meaning.ACCEPTED)


def _has(own: Sequence[Fact], meaning: Meaning) -> bool:
    return any(fact.meaning is meaning for fact in own)


def _status_before_success(price: Price, facts: Sequence[Fact]) -> Status:
    """A success that is not acceptable is for a person, until the money is back. A failed payment may still be
    authorised days later.
    """
    meanings = {fact.meaning for fact in facts}
    if any(not _is_back(price, _of(facts, one)) for one in _paid(facts)):
        return "review"
    if meanings & _SUCCESS:
        return "failed"
    if Meaning.FAILED in meanings and Meaning.AUTHORIZED not in meanings:
        return "failed"
    return "created"


def _status_after_success(price: Price, own: Sequence[Fact], refunded: int) -> Status:
    """The gravest first: what revokes a purchase, what freezes it, what reduces it."""
    disputes = set(_disputes(own))
    if Meaning.DISPUTE_LOST in disputes:
        return "charged_back"
    if _is_back(price, own):
        return "refunded"
    if Meaning.DISPUTE_OPEN in disputes:
        return "disputed"
    if _is_rejected(own) or (not _has(own, Meaning.ACCEPTED) and (_differs(price, own) or _is_denied(own))):
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
    captured = _has(own, Meaning.CAPTURED)
    return not captured and any(fact.meaning is Meaning.FAILED and fact.source == "fetch" for fact in own)


def _is_back(price: Price, own: Sequence[Fact]) -> bool:
    """Whether all that this payment took was given back. Of one that was rejected and took nothing, nothing is left."""
    if _is_rejected(own) and _is_denied(own):
        return True
    return _refunded(own) >= _taken(price, own)


def _taken(price: Price, own: Sequence[Fact]) -> int:
    """Before the provider has told an amount, the order's."""
    taken = max((fact.amount_minor or 0 for fact in own if fact.meaning is Meaning.CAPTURED), default=0)
    return taken or price.amount_minor


def _refunded(own: Sequence[Fact]) -> int:
    """Refunds are known one by one, or as the payment's total, or both; either may be behind the other."""
    processed, failed = _amounts(own, Meaning.REFUND_PROCESSED), _amounts(own, Meaning.REFUND_FAILED)
    one_by_one = sum(amount for refund_id, amount in processed.items() if refund_id not in failed)
    total = max((fact.cumulative or 0 for fact in own), default=0)
    return max(one_by_one, total - sum(failed.values()), 0)


def _amounts(own: Sequence[Fact], meaning: Meaning) -> Mapping[str | None, int]:
    """Refund id -> its amount; the highest, should they differ, so that their order cannot matter."""
    amounts = dict[str | None, int]()
    for fact in own:
        if fact.meaning is meaning:
            amounts[fact.entity_id] = max(amounts.get(fact.entity_id, 0), fact.amount_minor or 0)
    return amounts
