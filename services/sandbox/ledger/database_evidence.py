"""Reads what PostgreSQL holds, in one snapshot."""

from services.common.codec import Codec, EncodedEvent
from services.common.database import Database, Row, Transaction
from services.sandbox.ledger.evidence import (
    AllocationRow,
    DatabaseEvidence,
    NotificationRow,
    OutboxRow,
    Overlap,
    PaymentRow,
    PurchaseRow,
)

_PAYMENTS = "SELECT order_id, status, payment_id, confirmed_at FROM payments ORDER BY order_id"
_OUTBOX = "SELECT order_id, type, version, payload, published_at IS NOT NULL AS published FROM outbox ORDER BY id"
_PURCHASES = """
    SELECT id AS purchase_id, order_id, student_id, course_id, purchase_tier, sessions_total, status, purchase_date
    FROM student_course_purchases ORDER BY order_id
"""
_ALLOCATIONS = """
    SELECT a.id AS allocation_id, a.purchase_id, a.status, a.trainer_id, a.reason ->> 'filter' AS reason,
           count(s.id) FILTER (WHERE s.status <> 'cancelled') AS sessions
    FROM trainer_allocations a LEFT JOIN tutoring_sessions s ON s.allocation_id = a.id
    GROUP BY a.id ORDER BY a.id
"""
# The exclusion constraints should make this empty; it asks the rows themselves.
_OVERLAPS = """
    WITH held AS (
        SELECT s.trainer_id, s.student_id, s.starts_at, s.ends_at, p.order_id
        FROM tutoring_sessions s
        JOIN trainer_allocations a ON a.id = s.allocation_id
        JOIN student_course_purchases p ON p.id = a.purchase_id
        WHERE s.status <> 'cancelled'
    ), person AS (
        SELECT 'trainer ' || trainer_id AS who, starts_at, ends_at, order_id FROM held
        UNION ALL SELECT 'student ' || student_id, starts_at, ends_at, order_id FROM held
    ), neighbour AS (
        SELECT who, order_id, starts_at,
               max(ends_at) OVER before AS busy_until, lag(order_id) OVER before AS other_order_id
        FROM person
        WINDOW before AS (PARTITION BY who ORDER BY starts_at, order_id
                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    )
    SELECT who, order_id, other_order_id FROM neighbour WHERE starts_at < busy_until ORDER BY who, order_id
"""
_NOTIFICATIONS = """
    SELECT event_id, channel, status, (extract(epoch FROM updated_at) * 1000)::bigint AS done_ms
    FROM notifications ORDER BY event_id
"""


async def read_database_evidence(database: Database, codec: Codec) -> DatabaseEvidence:
    """Raises RecordError kinds. `database` must be allowed to read every table."""
    async with database.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        return DatabaseEvidence(
            payments=[PaymentRow(**row) for row in await connection.fetch(_PAYMENTS)],
            outbox=[_outbox_row(row, codec) for row in await connection.fetch(_OUTBOX)],
            purchases=[PurchaseRow(**row) for row in await connection.fetch(_PURCHASES)],
            allocations=[AllocationRow(**row) for row in await connection.fetch(_ALLOCATIONS)],
            overlaps=[Overlap(**row) for row in await connection.fetch(_OVERLAPS)],
            notifications=[NotificationRow(**row) for row in await connection.fetch(_NOTIFICATIONS)],
        )


async def count_unpublished(connection: Transaction) -> int:
    """Outbox rows that wait for Kafka."""
    count: int = await connection.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")
    return count


def _outbox_row(row: Row, codec: Codec) -> OutboxRow:
    encoded = EncodedEvent(type=row["type"], version=row["version"], body=row["payload"])
    return OutboxRow(order_id=row["order_id"], event=codec.decode_body(encoded), published=row["published"])
