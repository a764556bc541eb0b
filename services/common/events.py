"""The events that travel through Kafka, one frozen dataclass each, and the ids computed from what they are about.

An event emitted twice is the same event: its id is a uuid5 of its type and subject, never random. The Avro
schemas stand in schemas/<event>/<version>.avsc; codec.py turns one into the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid5

NAMESPACE = UUID("6d1d3f0e-6f0c-5c1e-9a55-0d4b8d5f7c11")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When and how a student wants to learn. `time_slot` is local "HH:MM" in `time_zone`; ISO weekdays, 1 is Monday."""

    start_date: date
    time_slot: str
    weekdays: tuple[int, ...]
    time_zone: str
    duration_minutes: int
    mode: str
    preferred_gender: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    flexibility: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSucceeded:
    event_id: UUID
    order_id: str
    payment_id: str
    provider: str
    student_id: str
    course_id: str
    purchase_tier: int
    amount_minor: int
    currency: str
    confirmed_at: datetime
    schedule: Schedule
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentAdjusted:
    """A refund, dispute or review changed a payment. `refunded_minor`: total so far; `sequence` grows per order."""

    event_id: UUID
    order_id: str
    status: str
    amount_minor: int
    refunded_minor: int
    currency: str
    sequence: int
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseCreated:
    event_id: UUID
    purchase_id: UUID
    order_id: str
    student_id: str
    course_id: str
    purchase_tier: int
    purchase_date: datetime
    expiry_date: datetime
    schedule: Schedule
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseAdjusted:
    event_id: UUID
    purchase_id: UUID
    order_id: str
    student_id: str
    course_id: str
    status: str
    sessions_total: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerAssigned:
    event_id: UUID
    allocation_id: UUID
    purchase_id: UUID
    order_id: str
    student_id: str
    course_id: str
    trainer_id: str
    session_count: int
    first_session_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationPending:
    event_id: UUID
    allocation_id: UUID
    purchase_id: UUID
    order_id: str
    student_id: str
    course_id: str
    reason: str


Event = PaymentSucceeded | PaymentAdjusted | PurchaseCreated | PurchaseAdjusted | TrainerAssigned | AllocationPending
EVENT_TYPES: Mapping[str, type[Event]] = {
    "PaymentSucceeded": PaymentSucceeded,
    "PaymentAdjusted": PaymentAdjusted,
    "PurchaseCreated": PurchaseCreated,
    "PurchaseAdjusted": PurchaseAdjusted,
    "TrainerAssigned": TrainerAssigned,
    "AllocationPending": AllocationPending,
}


def order_event_id(event_type: str, order_id: str) -> UUID:
    """For PaymentSucceeded and PurchaseCreated: one per order."""
    return uuid5(NAMESPACE, f"{event_type}|{order_id}")


def adjustment_event_id(event_type: str, order_id: str, sequence: int) -> UUID:
    """For PaymentAdjusted and PurchaseAdjusted: one per change of an order."""
    return uuid5(NAMESPACE, f"{event_type}|{order_id}|{sequence}")


def allocation_event_id(event_type: str, allocation_id: UUID, revision: int) -> UUID:
    """For TrainerAssigned and AllocationPending: one per decision; a reassignment is a new revision."""
    return uuid5(NAMESPACE, f"{event_type}|{allocation_id}|{revision}")


def allocation_event(decision: Mapping[str, Any]) -> TrainerAssigned | AllocationPending:
    """What a decision about an allocation tells: `decision` is a row of sql/'s assign_trainer and its siblings, of an
    allocation that is approved or pending.
    """
    about: dict[str, Any] = {
        name: decision[name] for name in ("allocation_id", "purchase_id", "order_id", "student_id", "course_id")
    }
    if decision["status"] == "pending":
        event_id = allocation_event_id("AllocationPending", decision["allocation_id"], decision["revision"])
        return AllocationPending(event_id=event_id, reason=decision["filter"], **about)
    return TrainerAssigned(
        event_id=allocation_event_id("TrainerAssigned", decision["allocation_id"], decision["revision"]),
        trainer_id=decision["trainer_id"],
        session_count=decision["session_count"],
        first_session_at=decision["first_session_at"],
        **about,
    )


def purchase_id_of(order_id: str) -> UUID:
    return uuid5(NAMESPACE, f"purchase|{order_id}")
