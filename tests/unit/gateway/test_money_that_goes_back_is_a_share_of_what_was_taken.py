"""A payment is compared with itself: in its own currency, whichever way its money went back."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.gateway_api.payments.state import Fact, Price, State, derive_state, left_of
from services.gateway_api.providers.meanings import Meaning

PRICE = Price(amount_minor=500_000, currency="INR")
amounts = st.integers(min_value=1, max_value=10**6)
ways = st.sampled_from([Meaning.REFUND_PROCESSED, Meaning.SETTLED])


def fact(meaning: Meaning, entity_id: str, amount_minor: int | None = None, currency: str = "USD") -> Fact:
    return Fact(
        payment_id="pay_1",
        entity_id=entity_id,
        meaning=meaning,
        source="webhook",
        amount_minor=amount_minor,
        currency=currency,
    )


def taken(amount_minor: int, currency: str = "USD") -> list[Fact]:
    """Captured, and accepted by a person."""
    return [fact(Meaning.CAPTURED, "pay_1", amount_minor, currency), fact(Meaning.ACCEPTED, "pay_1")]


def state_of(facts: Sequence[Fact]) -> State:
    return derive_state(PRICE, facts, "pay_1")


@given(amounts, st.lists(st.tuples(ways, amounts), max_size=4))
def test_of_another_currency_the_same_share_of_the_price_counts(minor: int, refunds: list[tuple[Meaning, int]]) -> None:
    facts = taken(minor) + [fact(way, str(number), back) for number, (way, back) in enumerate(refunds)]
    back = min(sum(amount for _, amount in refunds), minor)
    state = state_of(facts)
    # Rounded down, so that no started minor unit costs a lesson, and never above what the order asked for.
    assert state.refunded_minor * minor <= PRICE.amount_minor * back < (state.refunded_minor + 1) * minor
    assert (state.refunded_minor == PRICE.amount_minor) is (back == minor) is (state.status == "refunded")
    assert left_of(PRICE, facts, "pay_1") == Price(amount_minor=minor - back, currency="USD")


def test_a_refund_of_half_the_dollars_is_half_the_rupees() -> None:
    half = state_of([*taken(6_000), fact(Meaning.REFUND_PROCESSED, "rfnd_1", 3_000)])
    assert (half.status, half.refunded_minor) == ("partially_refunded", 250_000)
    # More minor units than the order asked for, and still no more than was taken.
    yen = taken(900_000, "JPY")
    part = state_of([*yen, fact(Meaning.SETTLED, "transfer", 90_000, "JPY")])
    assert (part.status, part.refunded_minor) == ("partially_refunded", 50_000)


@given(st.lists(st.tuples(ways, amounts), max_size=4))
def test_in_the_currency_of_the_order_both_ways_add_up(refunds: list[tuple[Meaning, int]]) -> None:
    facts = taken(PRICE.amount_minor, "INR")
    facts += [fact(way, str(number), back, "INR") for number, (way, back) in enumerate(refunds)]
    back = min(sum(amount for _, amount in refunds), PRICE.amount_minor)
    assert state_of(facts).refunded_minor == back
    assert left_of(PRICE, facts, "pay_1").amount_minor == PRICE.amount_minor - back


@given(amounts)
def test_a_payment_that_was_settled_stays_back_whatever_the_provider_tells_later(minor: int) -> None:
    settled = [*taken(PRICE.amount_minor, "INR"), fact(Meaning.SETTLED, "transfer", PRICE.amount_minor, "INR")]
    before = state_of(settled)
    assert (before.status, before.refunded_minor) == ("refunded", PRICE.amount_minor)
    for later in (Meaning.REFUND_PENDING, Meaning.REFUND_PROCESSED, Meaning.REFUND_FAILED):
        assert state_of([*settled, fact(later, "rfnd_1", minor, "INR")]) == before


def test_a_transfer_after_a_refund_that_failed_counts_once_should_it_arrive_after_all() -> None:
    of_one = [fact(meaning, "rfnd_1", 200_000, "INR") for meaning in (Meaning.REFUND_FAILED, Meaning.REFUND_PROCESSED)]
    settled = fact(Meaning.SETTLED, "transfer", 200_000, "INR")
    for facts in ([of_one[0], settled, of_one[1]], [of_one[1], settled, of_one[0]]):
        assert state_of([*taken(PRICE.amount_minor, "INR"), *facts]).refunded_minor == 200_000


def test_what_the_provider_has_begun_to_send_is_not_left() -> None:
    begun = [*taken(PRICE.amount_minor, "INR"), fact(Meaning.REFUND_PENDING, "rfnd_1", 200_000, "INR")]
    assert left_of(PRICE, begun, "pay_1").amount_minor == 300_000
    done = [*begun, fact(Meaning.REFUND_PROCESSED, "rfnd_1", 200_000, "INR")]
    assert left_of(PRICE, done, "pay_1").amount_minor == 300_000
    failed = [*begun, fact(Meaning.REFUND_FAILED, "rfnd_1", 200_000, "INR")]
    assert left_of(PRICE, failed, "pay_1").amount_minor == 500_000
