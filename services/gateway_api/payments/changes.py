"""From an order, its stored payment and its facts to what has to be written: state, events, tasks. Pure.

New facts are taken one after the other, also when they share a commit, so that each change is one PaymentAdjusted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import orjson

from services.common.events import (
    Event,
    PaymentAdjusted,
    PaymentSucceeded,
    Schedule,
    adjustment_event_id,
    order_event_id,
)
from services.gateway_api.payments.state import Fact, Price, State, Status, derive_state
from services.gateway_api.payments.task_queue import NewTask, refund_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A row of orders, as far as events tell it. `schedule` and `metadata` are JSON texts."""

    order_id: str
    provider: str
    student_id: str
    course_id: str
    purchase_tier: int
    price: Price
    schedule: str
    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A row of payments, before or after."""

    status: Status
    payment_id: str | None
    refunded_minor: int
    sequence: int
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    payment: Payment
    events: tuple[Event, ...]
    tasks: tuple[NewTask, ...]


def change_of(
    order: Order,
    before: Payment,
    known: Sequence[Fact],
    new: Sequence[Fact],
    *,
    now: datetime,
    verify_in: timedelta,
    elsewhere: Collection[str] = (),
) -> Change:
    """`known` are stored already, `new` come in this order. A payment that was accepted on a signature alone is to be
    verified; one that took money beside the accepted one, or was rejected, is to go back, anew after each refund that
    failed. `elsewhere`: payments that pay other orders.
    """
    payment, facts = before, list(known)
    events: list[Event] = []
    state: State | None = None
    for fact in new:
        facts.append(fact)
        state = derive_state(order.price, facts, payment.payment_id, elsewhere)
        payment, told = _step(order, payment, state, now)
        events += told
    tasks: list[NewTask] = []
    if state is not None:
        accepted_now = before.payment_id is None and state.accepted is not None
        if accepted_now and not state.proven:
            tasks.append(NewTask(order_id=order.order_id, kind="verify", due_in=verify_in))
        for owed, failed in sorted(state.owed.items()):
            tasks += refund_tasks(order.order_id, owed, failed)
    return Change(payment=payment, events=tuple(events), tasks=tuple(tasks))


def _step(order: Order, before: Payment, state: State, now: datetime) -> tuple[Payment, list[Event]]:
    events: list[Event] = []
    confirmed_at = before.confirmed_at
    told: tuple[Status, int] = (before.status, before.refunded_minor)
    if before.payment_id is None and state.accepted is not None:
        confirmed_at = now
        events.append(_succeeded(order, state.accepted, now))
        told = ("succeeded", 0)
    is_adjusted = state.accepted is not None and told != (state.status, state.refunded_minor)
    after = Payment(
        status=state.status,
        payment_id=state.accepted,
        refunded_minor=state.refunded_minor,
        sequence=before.sequence + is_adjusted,
        confirmed_at=confirmed_at,
    )
    if is_adjusted:
        events.append(_adjusted(order, after, now))
    return after, events


def _succeeded(order: Order, payment_id: str, now: datetime) -> PaymentSucceeded:
    return PaymentSucceeded(
        event_id=order_event_id("PaymentSucceeded", order.order_id),
        order_id=order.order_id,
        payment_id=payment_id,
        provider=order.provider,
        student_id=order.student_id,
        course_id=order.course_id,
        purchase_tier=order.purchase_tier,
        amount_minor=order.price.amount_minor,
        currency=order.price.currency,
        confirmed_at=now,
        schedule=_schedule_of(orjson.loads(order.schedule)),
        metadata=orjson.loads(order.metadata),
    )


def _adjusted(order: Order, after: Payment, now: datetime) -> PaymentAdjusted:
    return PaymentAdjusted(
        event_id=adjustment_event_id("PaymentAdjusted", order.order_id, after.sequence),
        order_id=order.order_id,
        status=after.status,
        amount_minor=order.price.amount_minor,
        refunded_minor=after.refunded_minor,
        currency=order.price.currency,
        sequence=after.sequence,
        occurred_at=now,
    )


def _schedule_of(body: Mapping[str, Any]) -> Schedule:
    """From the order body's object."""
    location = body.get("location")
    return Schedule(
        start_date=date.fromisoformat(body["startDate"]),
        time_slot=body["timeSlot"],
        weekdays=tuple(body["weekdays"]),
        time_zone=body["timeZone"],
        duration_minutes=body["durationMinutes"],
        mode=body["mode"],
        preferred_gender=body.get("preferredGender"),
        latitude=location["latitude"] if location else None,
        longitude=location["longitude"] if location else None,
        flexibility=tuple(body.get("flexibility", ())),
    )
