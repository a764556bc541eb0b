"""Balanced books pass; each break in one place is found, under its own name, with the order that it concerns."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.common.events import PaymentSucceeded
from services.sandbox.ledger.checker import RULES, check
from services.sandbox.ledger.evidence import Answer, Evidence, Overlap
from services.sandbox.ledger.figures import make_ledger
from services.sandbox.ledger.violations import Check
from tests.support.balanced_books import (
    ASSIGNED,
    DEAD,
    NOW_MS,
    PENDING,
    RETRIED,
    balanced_books,
    hop,
)

Break = Callable[[Evidence], Evidence]


def _database(books: Evidence, **changes: Any) -> Evidence:  # noqa: ANN401 - fields of one dataclass
    return replace(books, database=replace(books.database, **changes))


def _kafka(books: Evidence, **changes: Any) -> Evidence:  # noqa: ANN401 - fields of one dataclass
    return replace(books, kafka=replace(books.kafka, **changes))


def _without(rows: Sequence[Any], order_id: str) -> list[Any]:
    return [row for row in rows if row.order_id != order_id]


def _changed(rows: Sequence[Any], order_id: str, **changes: object) -> list[Any]:
    return [replace(row, **changes) if row.order_id == order_id else row for row in rows]


def _without_events(books: Evidence, name: str, order_id: str) -> Evidence:
    kept = [
        record
        for record in books.kafka.events
        if (type(record.event).__name__, record.event.order_id) != (name, order_id)
    ]
    return _kafka(books, events=kept)


def _with_another_copy(books: Evidence) -> Evidence:
    first = books.kafka.events[0]
    assert isinstance(first.event, PaymentSucceeded)
    other = replace(first, event=replace(first.event, amount_minor=1))
    return _kafka(books, events=[*books.kafka.events, other])


def _with_answer(books: Evidence, answer: Answer) -> Evidence:
    return replace(books, answers=[*books.answers, answer])


def _first_answer_again(books: Evidence) -> Evidence:
    return _with_answer(books, books.answers[0])


def _allocation_with_sessions(books: Evidence, index: int, sessions: int) -> Evidence:
    rows = list(books.database.allocations)
    rows[index] = replace(rows[index], sessions=sessions)
    return _database(books, allocations=rows)


def _confirmed_later(books: Evidence) -> Evidence:
    later = books.answers[0].confirmed_at
    assert later is not None
    return _database(
        books, payments=_changed(books.database.payments, ASSIGNED, confirmed_at=later + timedelta(microseconds=1))
    )


BREAKS: dict[str, tuple[Break, Check, str | None]] = {
    "a payment vanishes after its 200": (
        lambda b: _database(b, payments=_without(b.database.payments, ASSIGNED)), Check.LOST, ASSIGNED),
    "the confirmation time moves by a microsecond": (_confirmed_later, Check.DIFFERENT, ASSIGNED),
    "two answers are the first": (_first_answer_again, Check.DUPLICATED, ASSIGNED),
    "a forged callback is accepted": (
        lambda b: _with_answer(b, replace(b.answers[0], forged=True, replayed=True)), Check.DIFFERENT, ASSIGNED),
    "a payment has no outbox row": (
        lambda b: _database(b, outbox=_without(b.database.outbox, PENDING)), Check.LOST, PENDING),
    "a payment has two outbox rows": (
        lambda b: _database(b, outbox=[*b.database.outbox, b.database.outbox[0]]), Check.DUPLICATED, ASSIGNED),
    "an outbox row stays behind": (
        lambda b: _database(b, outbox=_changed(b.database.outbox, PENDING, published=False)),
        Check.UNFINISHED, PENDING),
    "a published row is not in Kafka": (
        lambda b: _without_events(b, "PaymentSucceeded", DEAD), Check.LOST, DEAD),
    "an event is in Kafka twice with different content": (_with_another_copy, Check.DIFFERENT, ASSIGNED),
    "a purchase vanishes": (
        lambda b: _database(b, purchases=_without(b.database.purchases, RETRIED)), Check.LOST, RETRIED),
    "a dead letter vanishes": (
        lambda b: _kafka(b, dead_letters=_without(b.kafka.dead_letters, DEAD)), Check.LOST, DEAD),
    "a purchase comes from nothing": (
        lambda b: _database(b, purchases=[*b.database.purchases, replace(b.database.purchases[0], order_id="ord_x")]),
        Check.DUPLICATED, "ord_x"),
    "a purchase is there twice": (
        lambda b: _database(b, purchases=[*b.database.purchases, b.database.purchases[0]]),
        Check.DUPLICATED, ASSIGNED),
    "a purchase has another tier than its payment": (
        lambda b: _database(b, purchases=_changed(b.database.purchases, ASSIGNED, purchase_tier=20)),
        Check.DIFFERENT, ASSIGNED),
    "an allocation vanishes": (
        lambda b: _database(b, allocations=b.database.allocations[1:]), Check.LOST, ASSIGNED),
    "an allocation is there twice": (
        lambda b: _database(b, allocations=[*b.database.allocations, b.database.allocations[0]]),
        Check.DUPLICATED, ASSIGNED),
    "a revoked purchase keeps its trainer": (
        lambda b: _database(b, purchases=_changed(b.database.purchases, ASSIGNED, status="revoked")),
        Check.DUPLICATED, ASSIGNED),
    "a session is missing": (lambda b: _allocation_with_sessions(b, 0, 9), Check.LOST, ASSIGNED),
    "a session too many": (lambda b: _allocation_with_sessions(b, 0, 11), Check.DUPLICATED, ASSIGNED),
    "a pending purchase has sessions": (lambda b: _allocation_with_sessions(b, 1, 10), Check.DUPLICATED, PENDING),
    "a trainer is booked twice": (
        lambda b: _database(b, overlaps=[Overlap(who="trainer-1", order_id=ASSIGNED, other_order_id=RETRIED)]),
        Check.DOUBLE_BOOKED, ASSIGNED),
    "a purchase is not announced": (
        lambda b: _without_events(b, "PurchaseCreated", PENDING), Check.LOST, PENDING),
    "an assignment is not announced": (
        lambda b: _without_events(b, "TrainerAssigned", ASSIGNED), Check.LOST, ASSIGNED),
    "nobody is told": (lambda b: _database(b, notifications=b.database.notifications[1:]), Check.LOST, ASSIGNED),
    "somebody is told twice": (
        lambda b: _database(b, notifications=[*b.database.notifications, b.database.notifications[0]]),
        Check.DUPLICATED, ASSIGNED),
    "a fourth retry": (lambda b: _kafka(b, hops=[*b.kafka.hops, hop(RETRIED, 4)]), Check.DUPLICATED, RETRIED),
    "a retry before its time": (
        lambda b: _kafka(b, hops=[*b.kafka.hops, hop(RETRIED, 2, failed_ms=NOW_MS + 1_900)]), Check.EARLY, RETRIED),
    "poison is dropped": (lambda b: _kafka(b, dead_letters=b.kafka.dead_letters[:1]), Check.LOST, None),
    "poison is changed": (
        lambda b: _kafka(b, dead_letters=[
            b.kafka.dead_letters[0], replace(b.kafka.dead_letters[1], value=b"other")]),
        Check.DIFFERENT, None),
    "a group is behind": (lambda b: _kafka(b, lag={"notifier": 3}), Check.UNFINISHED, None),
}  # fmt: skip


def test_balanced_books_pass() -> None:
    books = balanced_books()
    violations = check(books)
    assert violations == []
    ledger = make_ledger(books, violations)
    assert ledger.balanced
    counts = ledger.counts
    assert (counts.confirmed, counts.purchases, counts.dead_lettered, counts.poison, counts.retried) == (4, 3, 1, 1, 2)
    assert (counts.allocations_approved, counts.allocations_pending, counts.sessions) == (2, 1, 20)
    assert ledger.dead_letters["purchase-worker", "poison", "BadFrame"] == 1


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_found(name: str) -> None:
    break_books, expected, order_id = BREAKS[name]
    violations = check(break_books(balanced_books()))
    assert (expected, order_id) in {(violation.check, violation.order_id) for violation in violations}
    assert not make_ledger(break_books(balanced_books()), violations).balanced


def test_every_rule_has_a_break_that_it_finds() -> None:
    broken = [break_books(balanced_books()) for break_books, _, _ in BREAKS.values()]
    for rule in RULES:
        assert any(list(rule(books)) for books in broken), rule.__name__


def test_duplicate_records_and_answers_change_nothing() -> None:
    books = balanced_books()
    doubled = _kafka(
        replace(books, answers=[*books.answers, *(replace(answer, replayed=True) for answer in books.answers)]),
        events=[*books.kafka.events, *books.kafka.events],
        dead_letters=[*books.kafka.dead_letters, *books.kafka.dead_letters],
    )
    assert check(doubled) == []
    counts, expected = make_ledger(doubled, []).counts, make_ledger(books, []).counts
    assert counts == expected


def test_a_retry_that_failed_twice_since_its_process_died_is_not_early() -> None:
    """Its second failure comes before the other copy of the record is due, which has not been tried at all yet."""
    books = balanced_books()
    again = [
        hop(RETRIED, 1, due_ms=NOW_MS + 9_000),
        hop(RETRIED, 2, failed_ms=NOW_MS + 2_040),
        hop(RETRIED, 2, failed_ms=NOW_MS + 5_000),
    ]
    assert check(_kafka(books, hops=[*books.kafka.hops, *again])) == []


def test_lateness_is_measured_from_the_due_time() -> None:
    late = {(row.worker, row.tier): list(row.late_ms) for row in make_ledger(balanced_books(), []).retries}
    assert late["purchase-worker", "2s"] == [20, 30]
    assert late["purchase-worker", "8s"] == [10]
