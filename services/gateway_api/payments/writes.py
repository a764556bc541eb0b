"""Writing facts with what follows from them, in the caller's transaction.

The payment rows are locked first, in the order of their ids; the facts are read by a later statement. In one statement
a fact that someone committed while we waited for the lock would be invisible, and a refund lost.
Tables: orders (read), payments, payment_facts, payment_tasks, and outbox through common.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from services.common.codec import Codec
from services.common.database import Row, Transaction
from services.common.outbox import add_events
from services.gateway_api.payments.changes import Change, Payment, change_of
from services.gateway_api.payments.reads import read_paying, with_orders
from services.gateway_api.payments.rows import Placed, Recorded, Told, fact_of, order_of, payment_of, recorded_of
from services.gateway_api.payments.state import Fact
from services.gateway_api.payments.task_queue import OPEN_TASKS, columns_of
from services.gateway_api.providers import VerifiedPayment
from services.gateway_api.providers.meanings import Meaning

log = structlog.get_logger()
_LOCK = """
SELECT orders.provider, orders.provider_order_id, orders.order_id, orders.student_id, orders.course_id,
       orders.purchase_tier, orders.amount_minor, orders.currency, orders.schedule, orders.metadata, payments.status,
       payments.payment_id, payments.refunded_minor, payments.sequence, payments.confirmed_at
  FROM unnest($1::text[], $2::text[]) AS wanted (provider, provider_order_id)
  JOIN orders ON orders.provider = wanted.provider AND orders.provider_order_id = wanted.provider_order_id
  JOIN payments ON payments.order_id = orders.order_id
 ORDER BY orders.order_id
   FOR UPDATE OF payments
"""
_LOCK_FREE = _LOCK.rstrip() + " SKIP LOCKED\n"
# A fact that came before its order was known belongs to it from now on. OFFSET 0 keeps the planner at one look into an
# index for each order; it would read the whole table while its statistics lag behind.
_STORE = """
WITH added AS (
    INSERT INTO payment_facts (order_id, provider, source, provider_event_id, provider_order_id, payment_id, entity_id,
                               event, status, amount_minor, cumulative, currency, body, body_sha256, verified_by,
                               occurred_at)
    SELECT order_id, provider, source, provider_event_id, provider_order_id, payment_id, entity_id, event, status,
           amount_minor, cumulative, currency, body, body_sha256, verified_by, occurred_at
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                  $9::text[], $10::bigint[], $11::bigint[], $12::text[], $13::bytea[], $14::bytea[], $15::text[],
                  $16::timestamptz[])
           WITH ORDINALITY AS told (order_id, provider, source, provider_event_id, provider_order_id, payment_id,
                                    entity_id, event, status, amount_minor, cumulative, currency, body, body_sha256,
                                    verified_by, occurred_at, position)
     ORDER BY position
        ON CONFLICT DO NOTHING
    RETURNING id, order_id, payment_id, entity_id, status, source, amount_minor, cumulative, currency, provider,
              body_sha256
)
SELECT id, order_id, payment_id, entity_id, status, source, amount_minor, cumulative, currency, provider,
       body_sha256, true AS is_new
  FROM added
UNION ALL
SELECT fact.id, wanted.order_id, fact.payment_id, fact.entity_id, fact.status, fact.source, fact.amount_minor,
       fact.cumulative, fact.currency, fact.provider, NULL, false
  FROM (SELECT DISTINCT order_id FROM unnest($1::text[]) AS told (order_id)) AS wanted
 CROSS JOIN LATERAL (SELECT * FROM payment_facts WHERE order_id = wanted.order_id OFFSET 0) AS fact
UNION ALL
SELECT fact.id, wanted.order_id, fact.payment_id, fact.entity_id, fact.status, fact.source, fact.amount_minor,
       fact.cumulative, fact.currency, fact.provider, NULL, false
  FROM (SELECT DISTINCT order_id, provider, provider_order_id
          FROM unnest($1::text[], $2::text[], $5::text[]) AS told (order_id, provider, provider_order_id)) AS wanted
 CROSS JOIN LATERAL (SELECT * FROM payment_facts
                      WHERE order_id IS NULL AND provider = wanted.provider
                        AND provider_order_id = wanted.provider_order_id OFFSET 0) AS fact
 WHERE wanted.order_id IS NOT NULL
 ORDER BY id
"""
# What follows from the facts, with the tasks, in one statement: a confirmation waits for each.
_CHANGE = f"""
WITH opened AS ({OPEN_TASKS})
UPDATE payments
   SET status = changed.status, payment_id = changed.payment_id, refunded_minor = changed.refunded_minor,
       sequence = changed.sequence, confirmed_at = changed.confirmed_at, updated_at = clock_timestamp()
  FROM unnest($5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::timestamptz[])
       AS changed (order_id, status, payment_id, refunded_minor, sequence, confirmed_at)
 WHERE payments.order_id = changed.order_id
"""  # noqa: S608 - of two constants
_Key = tuple[str, str | None]


class Writer:
    def __init__(self, codec: Codec, *, verify_in: timedelta) -> None:
        self._codec = codec
        self._verify_in = verify_in

    async def write(self, transaction: Transaction, told: Sequence[Told], *, wait: bool) -> list[Recorded | None]:
        """One for each of `told`. Without `wait`: None for one whose order is not known, or whose payment row someone
        else holds. With it the row is waited for, and a provider's fact about no order of ours is kept as well. A
        payment that pays another order puts this one into review.
        """
        told = await with_orders(transaction, told)
        rows = await _lock(transaction, told, wait=wait)
        # Beside each its order's row, if it is known and ours.
        placed = [(one, rows.get(_key(one))) for one in told]
        kept = [(one, row) for one, row in placed if row is not None or (wait and _is_kept_without_order(one.fact))]
        stored = await _store(transaction, kept) if kept else []
        # Asked for by those who wait only: in a batch the index says so, and they come here afterwards.
        paying = await read_paying(transaction, stored) if wait else []
        before = {row["order_id"]: payment_of(row) for row in rows.values()}
        changes = self._changes(rows.values(), before, stored, paying)
        await self._write_changes(transaction, before, changes, kept)
        _tell_strangers(stored)
        return recorded_of(placed, before, stored, changes, wait=wait)

    def _changes(
        self, rows: Iterable[Row], before: Mapping[str, Payment], stored: Sequence[Row], paying: Sequence[Row]
    ) -> dict[str, Change]:
        """Order id -> what changes, of those with a new fact."""
        known: dict[str, list[Fact]] = {}
        new: dict[str, list[Fact]] = {}
        for fact in stored:
            if fact["order_id"] is not None:
                (new if fact["is_new"] else known).setdefault(fact["order_id"], []).append(fact_of(fact))
        now = datetime.now(UTC)
        changes: dict[str, Change] = {}
        for row in rows:
            order_id = row["order_id"]
            if order_id in new:
                elsewhere = [
                    one["payment_id"]
                    for one in paying
                    if one["provider"] == row["provider"] and one["order_id"] != order_id
                ]
                changes[order_id] = change_of(
                    order_of(row),
                    before[order_id],
                    known.get(order_id, ()),
                    new[order_id],
                    now=now,
                    verify_in=self._verify_in,
                    elsewhere=elsewhere,
                )
        return changes

    async def _write_changes(
        self, transaction: Transaction, before: Mapping[str, Payment], changes: Mapping[str, Change], kept: Placed
    ) -> None:
        changed = {order_id: one.payment for order_id, one in changes.items() if one.payment != before[order_id]}
        tasks = [task for change in changes.values() for task in change.tasks]
        if changed or tasks:
            payments = changed.values()
            await transaction.execute(
                _CHANGE,
                *columns_of(tasks),
                list(changed),
                [payment.status for payment in payments],
                [payment.payment_id for payment in payments],
                [payment.refunded_minor for payment in payments],
                [payment.sequence for payment in payments],
                [payment.confirmed_at for payment in payments],
            )
        # Of several facts the first one's trace.
        traces = {row["order_id"]: one.traceparent for one, row in reversed(kept) if row is not None}
        events = [(event, traces[order_id]) for order_id, change in changes.items() for event in change.events]
        if events:
            await add_events(transaction, events, self._codec)
        orders = {row["order_id"]: row for _, row in kept if row is not None}
        for order_id, payment in changed.items():
            if payment.status == "review" != before[order_id].status:
                log.error(
                    "payment_needs_a_person",
                    orderId=order_id,
                    studentId=orders[order_id]["student_id"],
                    courseId=orders[order_id]["course_id"],
                    paymentId=payment.payment_id,
                    reason="review",
                )
        for one, _ in kept:
            if one.fact.meaning is Meaning.REFUND_FAILED:
                log.error("refund_failed", provider=one.fact.provider, paymentId=one.fact.payment_id)


def _is_kept_without_order(fact: VerifiedPayment) -> bool:
    """Whether a fact about no order of ours is kept: what a provider told by itself, and money that it took."""
    return fact.source == "webhook" or (fact.source == "fetch" and fact.meaning is Meaning.CAPTURED)


def _tell_strangers(stored: Sequence[Row]) -> None:
    for row in stored:
        if row["order_id"] is None and row["status"] == Meaning.CAPTURED:
            log.error("capture_without_order", provider=row["provider"], paymentId=row["payment_id"])


async def _lock(transaction: Transaction, told: Sequence[Told], *, wait: bool) -> dict[_Key, Row]:
    keys = sorted({(one.fact.provider, one.fact.provider_order_id) for one in told if one.fact.provider_order_id})
    if not keys:
        return {}
    rows = await transaction.fetch(
        _LOCK if wait else _LOCK_FREE, [provider for provider, _ in keys], [order_id for _, order_id in keys]
    )
    return {(row["provider"], row["provider_order_id"]): row for row in rows}


async def _store(transaction: Transaction, kept: Placed) -> list[Row]:
    """Every fact of the orders, oldest first; `is_new` and `body_sha256` of those that were added now."""
    facts = [one.fact for one, _ in kept]
    return await transaction.fetch(
        _STORE,
        [row["order_id"] if row is not None else None for _, row in kept],
        [fact.provider for fact in facts],
        [fact.source for fact in facts],
        [fact.provider_event_id for fact in facts],
        [fact.provider_order_id for fact in facts],
        [fact.payment_id for fact in facts],
        [fact.entity_id for fact in facts],
        [fact.event for fact in facts],
        [fact.meaning for fact in facts],
        [fact.amount_minor for fact in facts],
        [fact.cumulative for fact in facts],
        [fact.currency for fact in facts],
        [fact.body for fact in facts],
        [fact.body_sha256 for fact in facts],
        [str(fact.proof) for fact in facts],
        [fact.occurred_at for fact in facts],
    )


def _key(one: Told) -> _Key:
    return one.fact.provider, one.fact.provider_order_id
