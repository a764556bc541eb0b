"""What the facts about an order's payment add up to. Pure: no clock, no database, no provider.

Facts are only ever added and the state is always derived from all of them, so the order in which they arrive cannot
matter. One thing is fixed once and never derived again: which payment was accepted. Facts about any other payment of
the order never touch its state; a second one that took money goes back. What a person decides about a payment in
review is a fact like any other, and so is money that staff sent back past the provider, which counts beside the
provider's refunds. Should the provider refund the same money later, more went back than was owed. Both happened, so
both count, but never more than the payment took: a payment that is back stays so, whatever comes of it again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from services.gateway_api.providers.meanings import Meaning, Source

Status = Literal[
    "created", "succeeded", "failed", "review", "partially_refunded", "refunded", "disputed", "charged_back"
]


_ABOUT_PAYMENT = frozenset({Meaning.CAPTURED, Meaning.AUTHORIZED})
_SUCCESS = frozenset({Meaning.CAPTURED, Meaning.SIGNED})
_GOES_BACK = frozenset({Meaning.REFUND_PENDING, Meaning.REFUND_PROCESSED, Meaning.REFUND_FAILED, Meaning.SETTLED})
_DISPUTE_ENDS = (Meaning.DISPUTE_LOST, Meaning.DISPUTE_WON, Meaning.DISPUTE_OPEN)
_DISPUTE = frozenset(_DISPUTE_ENDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What the order asked for, or what of a payment is left. `currency` is a code in capitals."""

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


def derive_state(price: Price, facts: Sequence[Fact], accepted: str | None, elsewhere: Collection[str] = ()) -> State:
    """`facts` in the order in which they were stored: without an `accepted` payment it is the first acceptable one. Not
    one that pays another order (`elsewhere`): which of the two it is of, a person decides.
    """
    paid = _paid(price, facts)
    if accepted is None:
        accepted = next((one for one, own in paid.items() if own.is_acceptable and one not in elsewhere), None)
    if accepted is None:
        owed = {one: own.failures for one, own in paid.items() if own.is_rejected}
        status = _status_before_success(facts, paid)
        return State(status=status, accepted=None, refunded_minor=0, owed=owed, proven=False)
    own = paid.get(accepted) or _Own(price, _of(facts, accepted))
    refunded = own.refunded_of(price)
    return State(
        status=_status_after_success(own, refunded),
        accepted=accepted,
        refunded_minor=refunded,
        owed={one: other.failures for one, other in paid.items() if one != accepted or other.is_rejected},
        proven=own.has(Meaning.CAPTURED) and not own.differs,
    )


def payments_to_decide(price: Price, facts: Sequence[Fact]) -> list[str]:
    """Those that took money which is neither back nor on its way, in the order in which that became known."""
    return [one for one, own in _paid(price, facts).items() if not own.is_rejected and not own.is_back]


def left_of(price: Price, facts: Sequence[Fact], payment_id: str) -> Price:
    """What of this payment's money has neither gone back nor is on its way at the provider, in its own currency."""
    own = _Own(price, _of(facts, payment_id))
    left = 0 if own.is_back else max(own.taken - own.refunded - own.pending, 0)
    return Price(amount_minor=left, currency=own.currency)


class _Own:
    """What the facts about one payment say, in whatever order they came; each is looked at once.

    `differs`: the provider named another amount or currency; what it left out does not differ. `taken`: before the
    provider has told an amount, the order's. `refunded`: refunds are known one by one, or as the payment's total, or
    both; either may be behind the other. `pending`: on its way at the provider. All in the payment's own `currency`.
    """

    __slots__ = ("_denied", "_disputes", "_failed", "_meanings", "currency", "differs", "pending", "refunded", "taken")

    def __init__(self, price: Price, facts: Iterable[Fact]) -> None:
        self._meanings: set[Meaning | None] = set()
        self._denied = self.differs = False
        self._disputes: dict[str | None, set[Meaning]] = {}
        back: dict[Meaning, dict[str | None, int]] = {}
        self.taken, self.currency, total = 0, "", 0
        for fact in facts:
            meaning, amount = fact.meaning, fact.amount_minor or 0
            self._meanings.add(meaning)
            total = max(total, fact.cumulative or 0)
            if meaning in _ABOUT_PAYMENT:
                self.differs |= _differs(price, fact)
                if meaning is Meaning.CAPTURED and amount:
                    known = (amount, fact.currency or price.currency)
                    self.taken, self.currency = max((self.taken, self.currency), known)
            elif meaning is Meaning.FAILED:
                # A webhook's may be an old one, of a payment that succeeded later.
                self._denied |= fact.source == "fetch"
            elif meaning in _DISPUTE:
                self._disputes.setdefault(fact.entity_id, set()).add(meaning)
            elif meaning in _GOES_BACK:
                # The highest, should the amounts of one refund differ, so that their order cannot matter.
                amounts = back.setdefault(meaning, {})
                amounts[fact.entity_id] = max(amounts.get(fact.entity_id, 0), amount)
        if not self.taken:
            self.taken, self.currency = price.amount_minor, price.currency
        failed = self._failed = back.get(Meaning.REFUND_FAILED, {})
        processed, pending = (
            {one: amount for one, amount in back.get(meaning, {}).items() if one not in failed}
            for meaning in (Meaning.REFUND_PROCESSED, Meaning.REFUND_PENDING)
        )
        by_provider = max(sum(processed.values()), total - sum(failed.values()), 0)
        self.pending = max(sum((pending | processed).values()) - by_provider, 0)
        self.refunded = by_provider + sum(back.get(Meaning.SETTLED, {}).values())

    def has(self, meaning: Meaning) -> bool:
        return meaning in self._meanings

    def refunded_of(self, price: Price) -> int:
        """In the order's currency, never above the price. Of a payment in another one the same share, rounded down."""
        if self.currency != price.currency:
            return price.amount_minor * min(self.refunded, self.taken) // self.taken
        # What was taken beyond the price buys nothing: it goes back first, and the course stays whole.
        return min(max(self.refunded - max(self.taken - price.amount_minor, 0), 0), price.amount_minor)

    @property
    def is_rejected(self) -> bool:
        """A person's yes outweighs a person's no, in whatever order they came."""
        return self.has(Meaning.REJECTED) and not self.has(Meaning.ACCEPTED)

    @property
    def is_acceptable(self) -> bool:
        """Whether it may pay the order."""
        return self.has(Meaning.ACCEPTED) or not (self.differs or self.is_rejected)

    @property
    def is_denied(self) -> bool:
        """The signature said success, and asked about it the provider says failure. A capture outweighs it."""
        return self._denied and not self.has(Meaning.CAPTURED)

    @property
    def is_back(self) -> bool:
        """Whether all that it took was given back. Of one that was rejected and took nothing, nothing is left."""
        return (self.is_rejected and self.is_denied) or self.refunded >= self.taken

    @property
    def failures(self) -> frozenset[str]:
        """Its refunds that failed, as long as its money is not back."""
        return frozenset() if self.is_back else frozenset(one for one in self._failed if one)

    @property
    def dispute(self) -> Meaning | None:
        """How its disputes stand, the gravest. Each ends once, so its end counts in whatever order the facts came; one
        of which only the good end is known has never begun here.
        """
        if not self._disputes:
            return None
        ends = {next(end for end in _DISPUTE_ENDS if end in known) for known in self._disputes.values()}
        return next((end for end in (Meaning.DISPUTE_LOST, Meaning.DISPUTE_OPEN) if end in ends), None)


def _paid(price: Price, facts: Sequence[Fact]) -> dict[str, _Own]:
    """The payments with a success, in the order in which that became known."""
    ids = dict.fromkeys([fact.payment_id for fact in facts if fact.meaning in _SUCCESS])
    return {one: _Own(price, _of(facts, one)) for one in ids if one is not None}


def _of(facts: Sequence[Fact], payment_id: str) -> list[Fact]:
    return [fact for fact in facts if fact.payment_id == payment_id]


def _differs(price: Price, fact: Fact) -> bool:
    return fact.amount_minor not in {None, price.amount_minor} or fact.currency not in {None, price.currency}


def _status_before_success(facts: Sequence[Fact], paid: Mapping[str, _Own]) -> Status:
    """A success that is not acceptable is for a person, until the money is back. A failed payment may still be
    authorised days later.
    """
    if any(not own.is_back for own in paid.values()):
        return "review"
    meanings = {fact.meaning for fact in facts}
    if meanings & _SUCCESS:
        return "failed"
    if Meaning.FAILED in meanings and Meaning.AUTHORIZED not in meanings:
        return "failed"
    return "created"


def _status_after_success(own: _Own, refunded: int) -> Status:
    """The gravest first: what revokes a purchase, what freezes it, what reduces it."""
    if own.dispute is Meaning.DISPUTE_LOST:
        return "charged_back"
    if own.is_back:
        return "refunded"
    if own.dispute is Meaning.DISPUTE_OPEN:
        return "disputed"
    if own.is_rejected or (not own.has(Meaning.ACCEPTED) and (own.differs or own.is_denied)):
        return "review"
    return "partially_refunded" if refunded > 0 else "succeeded"
