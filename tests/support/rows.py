"""A valid row of each table, and inserts that override what a test is about. As the owner, past the functions."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
FIRST_SESSION = datetime(2026, 12, 7, 12, 30, tzinfo=UTC)
_numbers = count(1)


def _purchase() -> dict[str, Any]:
    return {
        "order_id": f"ord_{next(_numbers)}",
        "student_id": "student-1",
        "course_id": "course-0001",
        "purchase_tier": 10,
        "sessions_total": 10,
        "purchase_date": NOW,
        "expiry_date": NOW + timedelta(days=180),
        "status": "active",
    }


def _session() -> dict[str, Any]:
    number = next(_numbers)
    starts_at = FIRST_SESSION + timedelta(days=number)
    return {
        "sequence_no": number,
        "trainer_id": "trainer-1",
        "student_id": "student-1",
        "course_id": "course-0001",
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(hours=1),
        "status": "scheduled",
    }


def _fact() -> dict[str, Any]:
    number = next(_numbers)
    return {
        "order_id": f"ord_{number}",
        "provider": "razorpay",
        "source": "webhook",
        "provider_event_id": f"evt_{number}",
        "entity_id": f"pay_{number}",
        "event": "payment.captured",
        "status": "captured",
        "body": b"{}",
        "body_sha256": hashlib.sha256(str(number).encode()).digest(),
        "verified_by": "webhook secret 1",
    }


VALID: Mapping[str, Callable[[], dict[str, Any]]] = {
    "courses": lambda: {"course_id": f"course-{next(_numbers)}", "calendar": "IN"},
    "course_prices": lambda: {"purchase_tier": 10, "amount_minor": 500_000, "currency": "INR"},
    "holidays": lambda: {
        "calendar": "IN-KA",
        "day": date(2027, 1, 1) + timedelta(days=next(_numbers)),
        "name": "a day",
    },
    "orders": lambda: {
        "order_id": f"ord_{next(_numbers)}",
        "provider": "razorpay",
        "provider_order_id": f"order_{next(_numbers)}",
        "student_id": "student-1",
        "course_id": "course-0001",
        "purchase_tier": 10,
        "amount_minor": 500_000,
        "currency": "INR",
    },
    "payments": lambda: {"provider": "razorpay", "status": "created", "amount_minor": 500_000, "currency": "INR"},
    "payment_facts": _fact,
    "outbox": lambda: {
        "order_id": f"ord_{next(_numbers)}",
        "order_seq": 1,
        "event_id": uuid4(),
        "type": "PaymentSucceeded",
        "version": 1,
        "payload": b"\x00",
    },
    "payment_tasks": lambda: {"kind": "reconcile"},
    "idempotency_keys": lambda: {
        "caller": "student-1",
        "route": "POST /api/v1/orders",
        "key": f"key-{next(_numbers)}",
        "fingerprint": b"\x00",
        "claim": uuid4(),
        "claimed_until": NOW,
    },
    "student_course_purchases": _purchase,
    "purchase_adjustments": lambda: {
        "order_id": f"ord_{next(_numbers)}",
        "event_id": uuid4(),
        "sequence": 1,
        "status": "refunded",
        "amount_minor": 500_000,
        "refunded_minor": 500_000,
        "currency": "INR",
        "occurred_at": NOW,
    },
    "notifications": lambda: {
        "event_id": uuid4(),
        "order_id": f"ord_{next(_numbers)}",
        "student_id": "student-1",
        "event_type": "PurchaseCreated",
        "status": "sent",
    },
    "worker_crashes": lambda: {
        "worker": "purchase-worker",
        "topic": "payment.succeeded",
        "kafka_partition": next(_numbers),
        "committed_offset": 5,
    },
    "trainers": lambda: {
        "trainer_id": f"trainer-{next(_numbers)}",
        "name": "Asha Rao",
        "time_zone": "Asia/Kolkata",
        "weekly_capacity_minutes": 1200,
    },
    "trainer_offers": lambda: {
        "course_id": "course-0001",
        "active": True,
        "online": True,
        "in_person": False,
        "working_slots": asyncpg.BitString.from_int(0, length=336),
        "breadth": 0.5,
        "weekly_capacity_minutes": 1200,
    },
    "trainer_time_off": lambda: {"starts_at": NOW, "ends_at": NOW + timedelta(days=1)},
    "trainer_departures": lambda: {"requested_by": "ops-1", "planned": 3},
    "trainer_departure_items": lambda: {"result": "ended"},
    "trainer_allocations": lambda: {
        "student_id": "student-1",
        "course_id": "course-0001",
        "trainer_id": "trainer-1",
        "status": "approved",
    },
    "tutoring_sessions": _session,
    "dead_letters": lambda: {
        "worker": "purchase-worker",
        "topic": "purchase-worker.dlq",
        "kafka_partition": 0,
        "kafka_offset": next(_numbers),
        "error_kind": "permanent",
        "error_class": "CheckViolationError",
        "fingerprint": "f1",
        "dead_at": NOW,
    },
    "audit_log": lambda: {"actor": "staff-1", "action": "allocation.approve", "target": "a-1"},
    "api_keys": lambda: {
        "id": f"key-{next(_numbers)}",
        "key_sha256": hashlib.sha256(str(next(_numbers)).encode()).digest(),
        "roles": ["viewer"],
        "created_by": "ops-1",
    },
}
# Which rows must be there first, and which of their columns becomes which of ours.
_PARENTS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "course_prices": [("courses", "course_id", "course_id")],
    "payments": [("orders", "order_id", "order_id")],
    "payment_tasks": [("orders", "order_id", "order_id")],
    "trainer_offers": [("trainers", "trainer_id", "trainer_id")],
    "trainer_time_off": [("trainers", "trainer_id", "trainer_id")],
    "trainer_departures": [("trainers", "trainer_id", "trainer_id")],
    "trainer_departure_items": [
        ("trainer_departures", "id", "departure_id"),
        ("student_course_purchases", "id", "purchase_id"),
    ],
    "trainer_allocations": [("student_course_purchases", "id", "purchase_id")],
    "tutoring_sessions": [("trainer_allocations", "id", "allocation_id")],
}


async def insert(connection: Connection, table: str, **overrides: object) -> asyncpg.Record:
    """The row as stored. A parent row is made when `overrides` name none."""
    values = VALID[table]() | overrides
    for parent, theirs, ours in _PARENTS.get(table, ()):
        if ours not in values:
            values[ours] = (await insert(connection, parent))[theirs]
    columns = ", ".join(values)
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    row = await connection.fetchrow(
        f"INSERT INTO {table} ({columns}) VALUES ({places}) RETURNING *",  # noqa: S608 - names of this file
        *values.values(),
    )
    assert row is not None
    return row


async def allocated_purchase(connection: Connection, **purchase: object) -> tuple[UUID, UUID]:
    """(purchase id, allocation id), approved, without sessions."""
    bought = await insert(connection, "student_course_purchases", **purchase)
    allocation = await insert(
        connection, "trainer_allocations", purchase_id=bought["id"], student_id=bought["student_id"]
    )
    return bought["id"], allocation["id"]
