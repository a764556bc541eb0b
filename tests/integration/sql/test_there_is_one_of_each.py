"""What may exist once only, and who cannot be in two places."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.support.rows import FIRST_SESSION, NOW, Connection, allocated_purchase, insert

HOUR = timedelta(hours=1)
EVENT = uuid4()
SUCCEEDED = {"status": "succeeded", "payment_id": "pay_1", "confirmed_at": NOW}
DIGEST = b"\x01" * 32
REFUND = {"entity_id": "rfnd_1", "event": "refund.processed", "status": "processed", "payment_id": "pay_1"}

# table, a row, what a second row must not share with it, the constraint
TWINS: list[tuple[str, Mapping[str, Any], str]] = [
    ("orders", {"provider_order_id": "order_1"}, "one_order_per_provider_order"),
    ("payments", SUCCEEDED, "one_order_per_payment"),
    ("payment_facts", {"provider_event_id": "evt_a"}, "one_fact_per_provider_event"),
    ("payment_facts", {"body_sha256": DIGEST}, "one_fact_per_body"),
    ("payment_facts", REFUND, "one_fact_per_change"),
    ("outbox", {"event_id": EVENT}, "an_event_is_published_once"),
    ("outbox", {"order_id": "ord_a", "order_seq": 1}, "one_event_per_order_seq"),
    ("idempotency_keys", {"claim": EVENT}, "one_key_per_claim"),
    ("student_course_purchases", {"order_id": "ord_a"}, "one_purchase_per_order"),
    ("notifications", {"event_id": EVENT}, "notifications_pkey"),
    ("dead_letters", {"kafka_offset": 1_000_000}, "one_row_per_record"),
    ("api_keys", {"key_sha256": DIGEST}, "one_key_per_digest"),
]


async def test_a_second_one_is_refused(connection: Connection) -> None:
    for table, shared, constraint in TWINS:
        await insert(connection, table, **shared)
        with pytest.raises(asyncpg.UniqueViolationError) as refused:
            await insert(connection, table, **shared)
        assert refused.value.constraint_name == constraint, (table, shared)


async def test_two_partial_refunds_of_one_payment_are_two_facts(connection: Connection) -> None:
    await insert(connection, "payment_facts", **REFUND)
    await insert(connection, "payment_facts", **REFUND | {"entity_id": "rfnd_2"})
    # Stripe tells every refund as charge.refunded of the one charge, with the total so far.
    charge = {"provider": "stripe", "entity_id": "ch_1", "event": "charge.refunded", "status": "succeeded"}
    await insert(connection, "payment_facts", **charge, cumulative=100)
    await insert(connection, "payment_facts", **charge, cumulative=200)
    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(connection, "payment_facts", **charge, cumulative=200)


async def test_verified_nonsense_is_kept_each_time_it_differs(connection: Connection) -> None:
    nothing: dict[str, Any] = {"order_id": None, "entity_id": None, "status": None, "provider_event_id": None}
    await insert(connection, "payment_facts", **nothing)
    await insert(connection, "payment_facts", **nothing)


async def test_a_task_of_a_kind_is_open_once_and_may_come_back_when_done(connection: Connection) -> None:
    order = await insert(connection, "orders")
    first = await insert(connection, "payment_tasks", order_id=order["order_id"], kind="verify")
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await insert(connection, "payment_tasks", order_id=order["order_id"], kind="verify")
    assert refused.value.constraint_name == "one_open_task"
    for payment in ("pay_2", "pay_3"):
        await insert(connection, "payment_tasks", order_id=order["order_id"], kind="refund", subject=payment)
    await connection.execute("UPDATE payment_tasks SET done_at = now() WHERE id = $1", first["id"])
    await insert(connection, "payment_tasks", order_id=order["order_id"], kind="verify")


async def test_a_purchase_has_one_live_allocation(connection: Connection) -> None:
    purchase, allocation = await allocated_purchase(connection)
    for status in ("approved", "pending"):
        with pytest.raises(asyncpg.UniqueViolationError) as refused:
            await insert(connection, "trainer_allocations", purchase_id=purchase, status=status)
        assert refused.value.constraint_name == "one_live_allocation_per_purchase"
    await connection.execute("UPDATE trainer_allocations SET status = 'cancelled' WHERE id = $1", allocation)
    await insert(connection, "trainer_allocations", purchase_id=purchase, status="cancelled")
    await insert(connection, "trainer_allocations", purchase_id=purchase, status="pending", trainer_id=None)


async def test_nobody_is_in_two_places(connection: Connection) -> None:
    held = {"starts_at": FIRST_SESSION, "ends_at": FIRST_SESSION + HOUR}
    await insert(connection, "tutoring_sessions", **held)
    half_later = {"starts_at": FIRST_SESSION + HOUR / 2, "ends_at": FIRST_SESSION + 3 * HOUR / 2}
    for someone_else, constraint in (
        ({"student_id": "student-2"}, "trainer_is_free"),
        ({"trainer_id": "trainer-2"}, "student_is_free"),
    ):
        for status in ("scheduled", "completed"):
            with pytest.raises(asyncpg.ExclusionViolationError) as refused:
                await insert(connection, "tutoring_sessions", **half_later | someone_else, status=status)
            assert refused.value.constraint_name == constraint
    await insert(connection, "tutoring_sessions", **half_later, status="cancelled")
    await insert(connection, "tutoring_sessions", **half_later, trainer_id="trainer-2", student_id="student-2")


async def test_sessions_may_touch_unless_the_trainer_travels_between_them(connection: Connection) -> None:
    await insert(connection, "tutoring_sessions", starts_at=FIRST_SESSION, ends_at=FIRST_SESSION + HOUR)
    after = {"starts_at": FIRST_SESSION + HOUR, "ends_at": FIRST_SESSION + 2 * HOUR}
    with pytest.raises(asyncpg.ExclusionViolationError) as refused:
        await insert(connection, "tutoring_sessions", **after, student_id="student-2", travel_minutes=15)
    assert refused.value.constraint_name == "trainer_is_free"
    # The travel is the trainer's: the student goes on to the next one at once.
    await insert(connection, "tutoring_sessions", **after, trainer_id="trainer-2", travel_minutes=15)
    await insert(connection, "tutoring_sessions", **after, student_id="student-3")


async def test_what_is_held_follows_a_moved_session(connection: Connection) -> None:
    row = await insert(connection, "tutoring_sessions", travel_minutes=20)
    held = await connection.fetchval(
        "UPDATE tutoring_sessions SET starts_at = $2, ends_at = $3 WHERE id = $1 RETURNING held",
        row["id"],
        FIRST_SESSION,
        FIRST_SESSION + HOUR,
    )
    assert held.lower == FIRST_SESSION - timedelta(minutes=20)
    assert held.upper == FIRST_SESSION + HOUR + timedelta(minutes=20)
