"""One purchase per order, however often its payment is announced, by whomever, at once or years apart.

Table: student_course_purchases (added to, read).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.common.database import Row, Transaction
from services.common.events import PaymentSucceeded, PurchaseCreated, order_event_id, purchase_id_of
from services.purchase_worker.details import details_json, read_details
from services.purchase_worker.terms import expiry_of

# Everything that reads or writes an order's purchase and its adjustments holds this lock to the end of its transaction,
# so that of a payment and its refund the second always sees the first. In one order, so that two batches never
# wait for each other in a circle.
_LOCK = """
SELECT pg_advisory_xact_lock(key)
  FROM (SELECT DISTINCT hashtextextended('purchase ' || order_id, 0) AS key FROM unnest($1::text[]) AS given (order_id)
         ORDER BY key) AS ordered
"""
_INSERT = """
INSERT INTO student_course_purchases
       (id, order_id, student_id, course_id, purchase_tier, sessions_total, purchase_date, expiry_date, metadata)
SELECT id, order_id, student_id, course_id, purchase_tier, purchase_tier, purchase_date, expiry_date, metadata
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int[], $6::timestamptz[], $7::timestamptz[],
              $8::jsonb[])
       AS paid (id, order_id, student_id, course_id, purchase_tier, purchase_date, expiry_date, metadata)
ON CONFLICT DO NOTHING
RETURNING order_id
"""
# A statement of its own: the insert's snapshot does not show the row of a twin that committed meanwhile.
_READ = """
SELECT id, order_id, student_id, course_id, purchase_tier, purchase_date, expiry_date, metadata
  FROM student_course_purchases
 WHERE order_id = ANY ($1::text[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchases:
    """What is stored now, by order id, and which of it is `new` with this transaction."""

    created: Mapping[str, PurchaseCreated]
    new: frozenset[str]


async def lock_orders(transaction: Transaction, order_ids: Iterable[str]) -> None:
    """Until the end of the transaction."""
    await transaction.execute(_LOCK, sorted(set(order_ids)))


async def add_purchases(
    transaction: Transaction, payments: Sequence[PaymentSucceeded], expiry_days: Mapping[int, int]
) -> Purchases:
    """Adds what is missing; the first payment of an order wins. `expiry_days`: tier -> days. An order is missing from
    the answer only if something else has its purchase id.
    """
    inserted = await transaction.fetch(
        _INSERT,
        [purchase_id_of(paid.order_id) for paid in payments],
        [paid.order_id for paid in payments],
        [paid.student_id for paid in payments],
        [paid.course_id for paid in payments],
        [paid.purchase_tier for paid in payments],
        [paid.confirmed_at for paid in payments],
        [expiry_of(paid.confirmed_at, paid.schedule, expiry_days[paid.purchase_tier]) for paid in payments],
        [details_json(paid.schedule, paid.metadata) for paid in payments],
    )
    rows = await transaction.fetch(_READ, [paid.order_id for paid in payments])
    return Purchases(
        created={row["order_id"]: _created_from(row) for row in rows},
        new=frozenset(row["order_id"] for row in inserted),
    )


def _created_from(row: Row) -> PurchaseCreated:
    purchase_id: UUID = row["id"]
    schedule, metadata = read_details(row["metadata"])
    return PurchaseCreated(
        event_id=order_event_id("PurchaseCreated", row["order_id"]),
        purchase_id=purchase_id,
        order_id=row["order_id"],
        student_id=row["student_id"],
        course_id=row["course_id"],
        purchase_tier=row["purchase_tier"],
        purchase_date=row["purchase_date"],
        expiry_date=row["expiry_date"],
        schedule=schedule,
        metadata=metadata,
    )
