"""What was found, as plain values. Rows carry only what a rule or a figure needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.common.events import Event

Origin = tuple[str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the confirm route, as a client saw it. `latency_ms`: from the moment it was meant to be sent."""

    order_id: str
    status: int
    forged: bool = False
    payment_id: str | None = None
    confirmed_at: datetime | None = None
    replayed: bool | None = None
    latency_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRow:
    order_id: str
    status: str
    payment_id: str | None
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    order_id: str
    event: Event
    published: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRow:
    purchase_id: UUID
    order_id: str
    student_id: str
    course_id: str
    purchase_tier: int
    sessions_total: int
    status: str
    purchase_date: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRow:
    """`sessions`: those not cancelled. `reason`: the word that says why a pending one is pending."""

    allocation_id: UUID
    purchase_id: UUID
    status: str
    trainer_id: str | None
    reason: str | None
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Two sessions of one person (`who`: trainer or student id) at the same time."""

    who: str
    order_id: str
    other_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationRow:
    """`done_ms`: Unix milliseconds of its last change."""

    event_id: UUID
    channel: str
    status: str
    done_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """A record of a main topic that is an event."""

    event: Event
    timestamp_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """A record on a tier (`due_ms` set) or among the dead letters. `attempt`: retries used when it was written."""

    worker: str
    tier: str | None
    origin: Origin
    order_id: str | None
    event_id: UUID | None
    attempt: int
    due_ms: int | None
    failed_ms: int | None
    error_kind: str | None
    error_class: str | None
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """A record of a main topic that is no event."""

    origin: Origin
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseEvidence:
    payments: Sequence[PaymentRow] = ()
    outbox: Sequence[OutboxRow] = ()
    purchases: Sequence[PurchaseRow] = ()
    allocations: Sequence[AllocationRow] = ()
    overlaps: Sequence[Overlap] = ()
    notifications: Sequence[NotificationRow] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaEvidence:
    """`lag`: consumer group -> records that it has not finished, zero groups included."""

    events: Sequence[EventRecord] = ()
    poison: Sequence[Poison] = ()
    hops: Sequence[Hop] = ()
    dead_letters: Sequence[Hop] = ()
    lag: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    answers: Sequence[Answer]
    database: DatabaseEvidence
    kafka: KafkaEvidence
