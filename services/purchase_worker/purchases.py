"""One purchase per order, however often its payment is announced, by whomever, at once or years apart.

Table: student_course_purchases (added to, read).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.common.database import Row, Transaction
from services.common.events import PaymentSucceeded, PurchaseCreated, order_event_id, purchase_id_of
from services.purchase_worker.details import details_json, own_metadata, read_details
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
    wanted = [_created_by(paid, expiry_days[paid.purchase_tier]) for paid in payments]
    inserted = await transaction.fetch(
        _INSERT,
        [one.purchase_id for one in wanted],
        [one.order_id for one in wanted],
        [one.student_id for one in wanted],
        [one.course_id for one in wanted],
        [one.purchase_tier for one in wanted],
        [one.purchase_date for one in wanted],
        [one.expiry_date for one in wanted],
        [details_json(one.schedule, one.metadata) for one in wanted],
    )
    new = frozenset(row["order_id"] for row in inserted)
    times = Counter(one.order_id for one in wanted)
    # What was just stored is known; only of twins and of those that were there before the rows have to tell.
    created = {one.order_id: one for one in wanted if one.order_id in new and times[one.order_id] == 1}
    untold = [order_id for order_id in times if order_id not in created]
    if untold:
        rows = await transaction.fetch(_READ, untold)
        created |= {row["order_id"]: _created_from(row) for row in rows}
    return Purchases(created=created, new=new)


def _created_by(paid: PaymentSucceeded, days: int) -> PurchaseCreated:
    """Equal to what `_created_from` reads, once it is stored."""
    return PurchaseCreated(
        event_id=order_event_id("PurchaseCreated", paid.order_id),
        purchase_id=purchase_id_of(paid.order_id),
        order_id=paid.order_id,
        student_id=paid.student_id,
        course_id=paid.course_id,
        purchase_tier=paid.purchase_tier,
        purchase_date=paid.confirmed_at,
        expiry_date=expiry_of(paid.confirmed_at, paid.schedule, days),
        schedule=paid.schedule,
        metadata=own_metadata(paid.metadata),
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
