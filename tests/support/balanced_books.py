"""Evidence of a small system in which everything went right, to be broken in one place by a test."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

from services.common.events import (
    NAMESPACE,
    AllocationPending,
    Event,
    PaymentSucceeded,
    PurchaseCreated,
    TrainerAssigned,
    allocation_event_id,
    order_event_id,
    purchase_id_of,
)
from services.sandbox.ledger.evidence import (
    AllocationRow,
    Answer,
    DatabaseEvidence,
    EventRecord,
    Evidence,
    Hop,
    KafkaEvidence,
    NotificationRow,
    OutboxRow,
    PaymentRow,
    Poison,
    PurchaseRow,
)
from tests.support.events import payment_succeeded

CONFIRMED_AT = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
NOW_MS = 1_800_000_000_000
ASSIGNED, PENDING, DEAD, RETRIED = "ord_assigned", "ord_pending", "ord_dead", "ord_retried"
BOUGHT = (ASSIGNED, PENDING, RETRIED)
POISON = Poison(origin=("payment.succeeded", 0, 99), value=b"nonsense")


def allocation_id_of(order_id: str) -> UUID:
    return uuid5(NAMESPACE, f"allocation of {order_id}")


def hop(order_id: str, attempt: int, **overrides: object) -> Hop:
    """Of the purchase worker: due 2 s after the failure that brought it there."""
    failed_ms = NOW_MS + 2_000 * (attempt - 1)
    fields: dict[str, object] = {
        "worker": "purchase-worker",
        "tier": f"{2**attempt}s",
        "origin": ("payment.succeeded", 1, sum(order_id.encode())),
        "order_id": order_id,
        "event_id": order_event_id("PaymentSucceeded", order_id),
        "attempt": attempt,
        "due_ms": failed_ms + 2_000,
        "failed_ms": failed_ms,
        "error_kind": "transient",
        "error_class": "DeadlockDetectedError",
        "value": b"",
    }
    return Hop(**fields | overrides)  # type: ignore[arg-type]


def balanced_books() -> Evidence:
    """Four confirmed payments: one assigned, one pending, one dead-lettered, one assigned after a retry; one poison."""
    payments = [payment_succeeded(order_id) for order_id in (*BOUGHT, DEAD)]
    events: list[Event] = [*payments, *(_purchase_created(order_id) for order_id in BOUGHT), *_decisions()]
    letters = [hop(DEAD, 3, tier=None, due_ms=None, failed_ms=NOW_MS + 6_010), _poison_letter()]
    return Evidence(
        answers=[
            Answer(
                order_id=event.order_id,
                status=200,
                payment_id=event.payment_id,
                confirmed_at=CONFIRMED_AT,
                replayed=False,
                latency_ms=4,
            )
            for event in payments
        ],
        database=DatabaseEvidence(
            payments=[_payment_row(event) for event in payments],
            outbox=[OutboxRow(order_id=event.order_id, event=event, published=True) for event in payments],
            purchases=[_purchase_row(order_id) for order_id in BOUGHT],
            allocations=[_allocation_row(order_id) for order_id in BOUGHT],
            notifications=[
                NotificationRow(event_id=event.event_id, channel="push", status="sent", done_ms=NOW_MS)
                for event in events
                if not isinstance(event, PaymentSucceeded)
            ],
        ),
        kafka=KafkaEvidence(
            events=[EventRecord(event=event, timestamp_ms=NOW_MS + 2_020) for event in events],
            poison=[POISON],
            hops=[hop(RETRIED, 1), hop(DEAD, 1), hop(DEAD, 2, failed_ms=NOW_MS + 2_030), hop(DEAD, 3)],
            dead_letters=letters,
            lag={"purchase-worker": 0},
        ),
    )


def _payment_row(event: PaymentSucceeded) -> PaymentRow:
    return PaymentRow(
        order_id=event.order_id, status="succeeded", payment_id=event.payment_id, confirmed_at=CONFIRMED_AT
    )


def _purchase_row(order_id: str) -> PurchaseRow:
    return PurchaseRow(
        purchase_id=purchase_id_of(order_id),
        order_id=order_id,
        student_id="student-1",
        course_id="course-0001",
        purchase_tier=10,
        sessions_total=10,
        status="active",
        purchase_date=CONFIRMED_AT,
    )


def _allocation_row(order_id: str) -> AllocationRow:
    pending = order_id == PENDING
    return AllocationRow(
        allocation_id=allocation_id_of(order_id),
        purchase_id=purchase_id_of(order_id),
        status="pending" if pending else "approved",
        trainer_id=None if pending else "trainer-00001",
        reason="slot" if pending else None,
        sessions=0 if pending else 10,
    )


def _purchase_created(order_id: str) -> PurchaseCreated:
    paid = payment_succeeded(order_id)
    return PurchaseCreated(
        event_id=order_event_id("PurchaseCreated", order_id),
        purchase_id=purchase_id_of(order_id),
        order_id=order_id,
        student_id=paid.student_id,
        course_id=paid.course_id,
        purchase_tier=paid.purchase_tier,
        purchase_date=paid.confirmed_at,
        expiry_date=paid.confirmed_at,
        schedule=paid.schedule,
    )


def _decisions() -> list[Event]:
    decisions: list[Event] = []
    for order_id in BOUGHT:
        allocation_id = allocation_id_of(order_id)
        about = {
            "allocation_id": allocation_id,
            "purchase_id": purchase_id_of(order_id),
            "order_id": order_id,
            "student_id": "student-1",
            "course_id": "course-0001",
        }
        if order_id == PENDING:
            event_id = allocation_event_id("AllocationPending", allocation_id, 1)
            decisions.append(AllocationPending(event_id=event_id, reason="slot", **about))  # type: ignore[arg-type]
        else:
            event_id = allocation_event_id("TrainerAssigned", allocation_id, 1)
            assigned = {"trainer_id": "trainer-00001", "session_count": 10, "first_session_at": CONFIRMED_AT}
            decisions.append(TrainerAssigned(event_id=event_id, **about, **assigned))  # type: ignore[arg-type]
    return decisions


def _poison_letter() -> Hop:
    return Hop(
        worker="purchase-worker",
        tier=None,
        origin=POISON.origin,
        order_id=None,
        event_id=None,
        attempt=0,
        due_ms=None,
        failed_ms=NOW_MS,
        error_kind="poison",
        error_class="BadFrame",
        value=POISON.value,
    )
