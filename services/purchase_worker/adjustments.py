"""What happened to a payment after it succeeded, and what that makes of its purchase.

An adjustment and its purchase come in any order. Each handler first writes its own row; then, in a statement of its
own, `apply_adjustments` brings the purchases up to the newest adjustment. Both hold the orders' locks, so whichever
comes second sees the other's row.
Tables: purchase_adjustments (the newest of each order, and what it made of the purchase), student_course_purchases
(status, sessions_total).
"""

from collections.abc import Iterable, Mapping, Sequence

from services.common.database import Row, Transaction
from services.common.events import PaymentAdjusted, PurchaseAdjusted, adjustment_event_id
from services.purchase_worker.terms import purchase_status_of, sessions_left

_KEEP_NEWEST = """
INSERT INTO purchase_adjustments AS kept
       (order_id, event_id, sequence, status, amount_minor, refunded_minor, currency, occurred_at)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::text[],
                     $8::timestamptz[])
ON CONFLICT (order_id) DO UPDATE
   SET event_id = excluded.event_id, sequence = excluded.sequence, status = excluded.status,
       amount_minor = excluded.amount_minor, refunded_minor = excluded.refunded_minor, currency = excluded.currency,
       occurred_at = excluded.occurred_at, received_at = clock_timestamp()
 WHERE kept.sequence < excluded.sequence
RETURNING order_id
"""
# Locked, so that the sessions counted in the statement after it stay as they are: they change under this lock.
_NEWEST = """
SELECT adjustment.order_id, adjustment.sequence, adjustment.status, adjustment.amount_minor, adjustment.refunded_minor,
       adjustment.purchase_status, adjustment.sessions_total,
       bought.id AS purchase_id, bought.student_id, bought.course_id, bought.purchase_tier, bought.applied_sequence
  FROM purchase_adjustments adjustment
  JOIN student_course_purchases bought USING (order_id)
 WHERE adjustment.order_id = ANY ($1::text[])
   FOR NO KEY UPDATE OF bought
"""
# An expired purchase stays expired, unless its money went back. What was used is never taken back.
_APPLY = """
WITH applied AS (
    UPDATE student_course_purchases bought
       SET status = CASE WHEN bought.status = 'expired' AND change.status <> 'revoked' THEN bought.status
                         ELSE change.status END,
           sessions_total = greatest(change.sessions_total, sessions_used(bought.id)),
           applied_sequence = change.sequence, updated_at = clock_timestamp()
      FROM unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[]) AS change (id, status, sessions_total, sequence)
     WHERE bought.id = change.id
    RETURNING bought.order_id, bought.status, bought.sessions_total
)
UPDATE purchase_adjustments adjustment
   SET purchase_status = applied.status, sessions_total = applied.sessions_total
  FROM applied
 WHERE adjustment.order_id = applied.order_id
RETURNING adjustment.order_id, adjustment.purchase_status, adjustment.sessions_total
"""


async def keep_newest(transaction: Transaction, adjustments: Iterable[PaymentAdjusted]) -> frozenset[PaymentAdjusted]:
    """Stores the newest of each order. Those no newer than what is stored are missing from the answer."""
    newest: dict[str, PaymentAdjusted] = {}
    for change in adjustments:
        if change.order_id not in newest or newest[change.order_id].sequence < change.sequence:
            newest[change.order_id] = change
    changes = list(newest.values())
    rows = await transaction.fetch(
        _KEEP_NEWEST,
        [change.order_id for change in changes],
        [change.event_id for change in changes],
        [change.sequence for change in changes],
        [change.status for change in changes],
        [change.amount_minor for change in changes],
        [change.refunded_minor for change in changes],
        [change.currency for change in changes],
        [change.occurred_at for change in changes],
    )
    return frozenset(newest[row["order_id"]] for row in rows)


async def apply_adjustments(transaction: Transaction, order_ids: Sequence[str]) -> Mapping[str, PurchaseAdjusted]:
    """Brings the purchases up to date. The newest change of each order that has a change and a purchase, whether it was
    applied now or before: its event follows from the stored rows alone, so that a repeated one is equal.
    """
    rows = await transaction.fetch(_NEWEST, order_ids)
    newer = [row for row in rows if row["sequence"] > row["applied_sequence"]]
    applied = await _apply(transaction, newer) if newer else {}
    return {row["order_id"]: _adjusted_from(row, applied.get(row["order_id"], row)) for row in rows}


async def _apply(transaction: Transaction, newer: Sequence[Row]) -> Mapping[str, Row]:
    statuses = [purchase_status_of(row["status"]) for row in newer]
    rows = await transaction.fetch(
        _APPLY,
        [row["purchase_id"] for row in newer],
        statuses,
        [
            sessions_left(
                row["purchase_tier"], status, amount_minor=row["amount_minor"], refunded_minor=row["refunded_minor"]
            )
            for row, status in zip(newer, statuses, strict=True)
        ],
        [row["sequence"] for row in newer],
    )
    return {row["order_id"]: row for row in rows}


def _adjusted_from(change: Row, made: Row) -> PurchaseAdjusted:
    """`made`: what the change made of the purchase, `purchase_status` and `sessions_total`."""
    return PurchaseAdjusted(
        event_id=adjustment_event_id("PurchaseAdjusted", change["order_id"], change["sequence"]),
        purchase_id=change["purchase_id"],
        order_id=change["order_id"],
        student_id=change["student_id"],
        course_id=change["course_id"],
        status=made["purchase_status"],
        sessions_total=made["sessions_total"],
        sequence=change["sequence"],
    )
