"""From the answer to the event: each 200 is a confirmed payment, each confirmed payment is one event in Kafka."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from uuid import UUID

from services.common.events import Event, PaymentSucceeded
from services.sandbox.ledger.evidence import Evidence, PaymentRow
from services.sandbox.ledger.violations import Check, Violation


def answers_are_kept(evidence: Evidence) -> Iterator[Violation]:
    """Each 200 is a payment with the same payment id and confirmation time; only one answer says it was the first."""
    payments = {row.order_id: row for row in evidence.database.payments}
    firsts: Counter[str] = Counter()
    for answer in evidence.answers:
        if answer.status != 200:
            continue
        if answer.forged:
            yield Violation(check=Check.DIFFERENT, order_id=answer.order_id, what="a forged callback was accepted")
        payment = payments.get(answer.order_id)
        if payment is None or payment.confirmed_at is None:
            yield Violation(check=Check.LOST, order_id=answer.order_id, what="answered 200, but is not confirmed")
        elif (payment.payment_id, payment.confirmed_at) != (answer.payment_id, answer.confirmed_at):
            yield Violation(
                check=Check.DIFFERENT, order_id=answer.order_id, what="the answer names another payment or time"
            )
        firsts[answer.order_id] += answer.replayed is False
    for order_id, count in firsts.items():
        if count > 1:
            yield Violation(check=Check.DUPLICATED, order_id=order_id, what=f"{count} answers say replayed: false")


def payments_have_one_event(evidence: Evidence) -> Iterator[Violation]:
    """Exactly one PaymentSucceeded in the outbox for a confirmed payment, none for another."""
    confirmed = _confirmed(evidence)
    rows = [row.event for row in evidence.database.outbox if isinstance(row.event, PaymentSucceeded)]
    count = Counter(event.order_id for event in rows)
    for order_id in confirmed:
        if count[order_id] == 0:
            yield Violation(check=Check.LOST, order_id=order_id, what="confirmed, but has no event in the outbox")
        elif count[order_id] > 1:
            yield Violation(check=Check.DUPLICATED, order_id=order_id, what="has several events in the outbox")
    for event in rows:
        payment = confirmed.get(event.order_id)
        if payment is None:
            yield Violation(check=Check.DUPLICATED, order_id=event.order_id, what="an event without a payment")
        elif (event.payment_id, event.confirmed_at) != (payment.payment_id, payment.confirmed_at):
            yield Violation(
                check=Check.DIFFERENT, order_id=event.order_id, what="the event names another payment or time"
            )


def outbox_is_in_kafka(evidence: Evidence) -> Iterator[Violation]:
    """Each outbox row is published and has an equal record."""
    stored: defaultdict[UUID, list[Event]] = defaultdict(list)
    for record in evidence.kafka.events:
        stored[record.event.event_id].append(record.event)
    for row in evidence.database.outbox:
        name = type(row.event).__name__
        if not row.published:
            yield Violation(check=Check.UNFINISHED, order_id=row.order_id, what=f"{name} waits in the outbox")
        elif row.event not in stored[row.event.event_id]:
            yield Violation(check=Check.LOST, order_id=row.order_id, what=f"{name} is published, but not in Kafka")


def equal_ids_are_equal_events(evidence: Evidence) -> Iterator[Violation]:
    """An event may be in Kafka several times, but each time it is the same."""
    first: dict[UUID, Event] = {}
    for record in evidence.kafka.events:
        event = record.event
        if first.setdefault(event.event_id, event) != event:
            name = type(event).__name__
            yield Violation(check=Check.DIFFERENT, order_id=event.order_id, what=f"two different {name} of one id")


def _confirmed(evidence: Evidence) -> Mapping[str, PaymentRow]:
    return {row.order_id: row for row in evidence.database.payments if row.confirmed_at is not None}
