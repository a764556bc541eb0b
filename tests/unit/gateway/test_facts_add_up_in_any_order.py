"""The state of a payment depends on what is known, not on who was faster."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.events import Event, PaymentAdjusted, PaymentSucceeded
from services.common.validation import validate
from services.gateway_api.payments.changes import Change, Order, Payment, change_of
from services.gateway_api.payments.state import Fact, Price, derive_state
from services.gateway_api.payments.task_queue import NewTask
from services.gateway_api.providers.meanings import Meaning, Source

PRICE = Price(amount_minor=500_000, currency="INR")
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ORDER = Order(
    order_id="ord_1",
    provider="razorpay",
    student_id="student-1",
    course_id="course-0001",
    purchase_tier=10,
    price=PRICE,
    schedule='{"startDate": "2027-01-04", "timeSlot": "18:00", "weekdays": [1, 3], "timeZone": "Asia/Kolkata",'
    ' "durationMinutes": 60, "mode": "in_person", "preferredGender": null,'
    ' "location": {"latitude": 12.9, "longitude": 77.6}}',
    metadata='{"channel": "web"}',
)
UNPAID = Payment(status="created", payment_id=None, refunded_minor=0, sequence=0, confirmed_at=None)


def fact(meaning: Meaning | None, payment_id: str = "pay_1", **overrides: object) -> Fact:
    values: dict[str, object] = {"payment_id": payment_id, "entity_id": payment_id, "source": "webhook"}
    if meaning in {Meaning.CAPTURED, Meaning.AUTHORIZED, Meaning.FAILED}:
        values |= {"amount_minor": PRICE.amount_minor, "currency": "INR"}
    return Fact(meaning=meaning, **values | overrides)  # type: ignore[arg-type]


def refund(meaning: Meaning, refund_id: str, amount_minor: int, payment_id: str = "pay_1") -> Fact:
    return fact(meaning, payment_id, entity_id=refund_id, amount_minor=amount_minor, currency="INR")


def settled(reference: str, amount_minor: int) -> Fact:
    return fact(Meaning.SETTLED, entity_id=reference, source="staff", amount_minor=amount_minor, currency="INR")


SIGNED, CAPTURED = fact(Meaning.SIGNED, source="callback"), fact(Meaning.CAPTURED)
PARTIAL, REST = refund(Meaning.REFUND_PROCESSED, "rfnd_1", 200_000), refund(Meaning.REFUND_PROCESSED, "rfnd_2", 300_000)

OPEN, WON = fact(Meaning.DISPUTE_OPEN, entity_id="disp_1"), fact(Meaning.DISPUTE_WON, entity_id="disp_1")

CHEAP, UNKNOWN = fact(Meaning.CAPTURED, amount_minor=1), fact(Meaning.FAILED, source="fetch")
DEAR, SURPLUS = fact(Meaning.CAPTURED, amount_minor=600_000), refund(Meaning.REFUND_PROCESSED, "rfnd_0", 100_000)
SETTLED = settled("transfer-1", 200_000)
ACCEPTED, REJECTED = fact(Meaning.ACCEPTED, source="staff"), fact(Meaning.REJECTED, source="staff")


def take(facts: Sequence[Fact], before: Payment = UNPAID) -> Change:
    """One fact per commit, duplicates left out, as the database does."""
    known: list[Fact] = []
    payment, events, tasks = before, list[Event](), list[NewTask]()
    for one in facts:
        if one in known:
            continue
        change = change_of(ORDER, payment, known, [one], now=NOW, verify_in=timedelta(seconds=30))
        known.append(one)
        payment, events, tasks = change.payment, [*events, *change.events], [*tasks, *change.tasks]
    return Change(payment=payment, events=tuple(events), tasks=tuple(tasks))


STATES: list[tuple[str, list[Fact]]] = [
    ("created", []),
    ("created", [fact(Meaning.AUTHORIZED)]),
    ("created", [fact(Meaning.CLAIMED, source="callback")]),
    ("failed", [fact(Meaning.FAILED)]),
    ("created", [fact(Meaning.FAILED), fact(Meaning.AUTHORIZED, "pay_2")]),
    ("succeeded", [SIGNED]),
    ("succeeded", [CAPTURED]),
    ("succeeded", [fact(Meaning.FAILED), fact(Meaning.AUTHORIZED), CAPTURED]),
    ("succeeded", [CAPTURED, fact(Meaning.FAILED)]),
    ("succeeded", [SIGNED, fact(Meaning.FAILED, source="webhook")]),
    ("review", [SIGNED, fact(Meaning.FAILED, source="fetch")]),
    ("succeeded", [SIGNED, fact(Meaning.FAILED, source="fetch"), CAPTURED]),
    ("review", [fact(Meaning.CAPTURED, amount_minor=1)]),
    ("review", [fact(Meaning.CAPTURED, currency="USD")]),
    ("review", [SIGNED, fact(Meaning.CAPTURED, amount_minor=1)]),
    ("review", [SIGNED, fact(Meaning.AUTHORIZED, amount_minor=1)]),
    ("succeeded", [fact(Meaning.CAPTURED, "pay_0", amount_minor=1), CAPTURED]),
    ("created", [PARTIAL]),
    ("partially_refunded", [CAPTURED, PARTIAL]),
    ("partially_refunded", [CAPTURED, fact(Meaning.CAPTURED, cumulative=200_000)]),
    ("refunded", [CAPTURED, PARTIAL, REST]),
    ("refunded", [CAPTURED, PARTIAL, fact(Meaning.CAPTURED, cumulative=500_000)]),
    ("succeeded", [CAPTURED, PARTIAL, refund(Meaning.REFUND_FAILED, "rfnd_1", 200_000)]),
    ("succeeded", [CAPTURED, refund(Meaning.REFUND_PENDING, "rfnd_1", 200_000)]),
    ("disputed", [CAPTURED, OPEN]),
    ("succeeded", [CAPTURED, OPEN, WON]),
    ("disputed", [CAPTURED, OPEN, fact(Meaning.DISPUTE_WON, entity_id="disp_2")]),
    ("charged_back", [CAPTURED, fact(Meaning.DISPUTE_LOST, entity_id="disp_1"), PARTIAL]),
    ("succeeded", [CAPTURED, fact(None)]),
    ("succeeded", [CHEAP, ACCEPTED]),
    ("succeeded", [SIGNED, UNKNOWN, ACCEPTED]),
    ("succeeded", [CHEAP, ACCEPTED, fact(Meaning.REJECTED, source="staff")]),
    ("review", [CHEAP, REJECTED]),
    ("failed", [CHEAP, REJECTED, refund(Meaning.REFUND_PROCESSED, "rfnd_1", 1)]),
    ("failed", [CHEAP, fact(Meaning.CAPTURED, amount_minor=1, cumulative=1)]),
    ("disputed", [CHEAP, ACCEPTED, OPEN]),
    ("refunded", [CHEAP, ACCEPTED, refund(Meaning.REFUND_PROCESSED, "rfnd_1", 1)]),
    ("succeeded", [DEAR, ACCEPTED, SURPLUS]),
    ("partially_refunded", [DEAR, ACCEPTED, SURPLUS, PARTIAL]),
    ("refunded", [DEAR, ACCEPTED, SURPLUS, PARTIAL, REST]),
    ("created", [REJECTED]),
    ("partially_refunded", [CAPTURED, SETTLED]),
    ("refunded", [CAPTURED, SETTLED, REST]),
    ("refunded", [CAPTURED, SETTLED, PARTIAL, REST]),
    ("failed", [CHEAP, REJECTED, settled("a", 1)]),
]  # fmt: skip


@pytest.mark.parametrize(("status", "facts"), STATES)
def test_what_facts_add_up_to(status: str, facts: list[Fact]) -> None:
    assert derive_state(PRICE, facts, None).status == status
    assert derive_state(PRICE, facts[::-1], None).status == status


meanings = st.sampled_from(list(Meaning))
sources: st.SearchStrategy[Source] = st.sampled_from(["callback", "webhook", "fetch", "staff"])
any_fact = st.builds(
    Fact,
    payment_id=st.sampled_from(["pay_1", "pay_2", None]),
    entity_id=st.sampled_from(["a", "b", "pay_1", None]),
    meaning=st.none() | meanings,
    source=sources,
    amount_minor=st.sampled_from([None, 100_000, 400_000, 500_000, 600_000]),
    cumulative=st.sampled_from([None, 100_000, 500_000]),
    currency=st.sampled_from([None, "INR", "INR", "USD"]),
)


@st.composite
def two_orders(draw: st.DrawFn) -> tuple[list[Fact], list[Fact]]:
    """The same facts in two orders, each with some of them twice."""
    facts = draw(st.lists(any_fact, min_size=1, max_size=8))
    one, two = draw(st.permutations(facts)), draw(st.permutations(facts))
    return one + draw(st.lists(st.sampled_from(facts))), two + draw(st.lists(st.sampled_from(facts)))


@given(two_orders())
def test_every_order_with_duplicates_ends_in_one_state(orders: tuple[list[Fact], list[Fact]]) -> None:
    accepted = Payment(status="succeeded", payment_id="pay_1", refunded_minor=0, sequence=0, confirmed_at=NOW)
    one, two = (take(facts, accepted) for facts in orders)
    assert (one.payment.status, one.payment.refunded_minor) == (two.payment.status, two.payment.refunded_minor)


@given(two_orders())
def test_without_another_payment_every_order_ends_in_one_state(orders: tuple[list[Fact], list[Fact]]) -> None:
    """From the first fact on. Only a callback that beat the news of a wrong amount is a success that became a review,
    instead of a review from the start; both are a review, and once the money is back the one is refunded, while the
    other has never been anything.
    """
    one, two = (take([fact for fact in facts if fact.payment_id != "pay_2"]) for facts in orders)
    ends = {one.payment.status, two.payment.status}
    assert len(ends) == 1 or "review" in ends or ends == {"refunded", "failed"}
    if one.payment.payment_id == two.payment.payment_id:
        assert (one.payment.status, one.payment.refunded_minor) == (two.payment.status, two.payment.refunded_minor)


@given(st.lists(any_fact, max_size=10))
def test_a_payment_is_accepted_once_and_every_change_is_told_once(facts: list[Fact]) -> None:
    change = take(facts)
    succeeded = [event for event in change.events if isinstance(event, PaymentSucceeded)]
    adjusted = [event for event in change.events if isinstance(event, PaymentAdjusted)]
    assert len(succeeded) == (change.payment.payment_id is not None)
    assert [event.sequence for event in adjusted] == list(range(1, len(adjusted) + 1))
    assert change.payment.sequence == len(adjusted)
    told = [("succeeded", 0), *((event.status, event.refunded_minor) for event in adjusted)]
    assert all(before != after for before, after in pairwise(told))
    if succeeded:
        assert change.events[0] is succeeded[0]
        assert told[-1] == (change.payment.status, change.payment.refunded_minor)
    for event in change.events:
        validate(event)


@given(st.lists(any_fact, max_size=10))
def test_facts_of_one_commit_end_like_facts_of_several(facts: list[Fact]) -> None:
    distinct = list(dict.fromkeys(facts))
    together = change_of(ORDER, UNPAID, [], distinct, now=NOW, verify_in=timedelta(0))
    assert together.payment == take(distinct).payment
    assert together.events == take(distinct).events


def test_facts_of_another_payment_never_touch_the_order() -> None:
    other = [
        fact(Meaning.CAPTURED, "pay_2"),
        refund(Meaning.REFUND_PROCESSED, "rfnd_9", 500_000, "pay_2"),
        fact(Meaning.DISPUTE_LOST, "pay_2", entity_id="disp_9"),
    ]
    change = take([SIGNED, *other, CAPTURED])
    assert (change.payment.status, change.payment.payment_id, change.payment.refunded_minor) == (
        "succeeded",
        "pay_1",
        0,
    )
    assert {(task.kind, task.subject) for task in change.tasks} == {("verify", ""), ("refund", "pay_2")}


def test_what_is_rejected_goes_back_and_a_decision_is_told_once() -> None:
    freed = take([SIGNED, CHEAP, ACCEPTED])
    statuses = [event.status for event in freed.events if isinstance(event, PaymentAdjusted)]
    assert statuses == ["review", "succeeded"]
    rejected = take([SIGNED, CHEAP, REJECTED])
    assert ("refund", "pay_1") in {(task.kind, task.subject) for task in rejected.tasks}
    assert rejected.payment.status == "review"
    # Of what never came nothing has to come back.
    assert take([SIGNED, UNKNOWN, REJECTED]).payment.status == "refunded"
    assert take([CHEAP, ACCEPTED]).payment.confirmed_at == NOW


def test_a_success_that_the_provider_told_needs_no_verification() -> None:
    assert not take([CAPTURED, SIGNED]).tasks
    assert [task.kind for task in take([SIGNED, CAPTURED]).tasks] == ["verify"]


def test_a_refund_before_the_success_is_told_after_it() -> None:
    told = take([PARTIAL, REST, CAPTURED]).events
    assert [type(event) for event in told] == [PaymentSucceeded, PaymentAdjusted]
    assert isinstance(told[1], PaymentAdjusted)
    assert (told[1].status, told[1].refunded_minor, told[1].sequence) == ("refunded", 500_000, 1)


def test_what_was_taken_beyond_the_price_goes_back_without_a_lesson() -> None:
    told = [
        event for event in take([DEAR, ACCEPTED, SURPLUS, PARTIAL, REST]).events if isinstance(event, PaymentAdjusted)
    ]
    assert [(event.status, event.refunded_minor) for event in told] == [
        ("partially_refunded", 200_000),
        ("refunded", 500_000),
    ]


def test_the_event_tells_the_order() -> None:
    event = take([SIGNED]).events[0]
    assert isinstance(event, PaymentSucceeded)
    assert (event.payment_id, event.amount_minor, event.confirmed_at) == ("pay_1", 500_000, NOW)
    assert (event.schedule.latitude, event.schedule.weekdays, event.metadata) == (12.9, (1, 3), {"channel": "web"})
