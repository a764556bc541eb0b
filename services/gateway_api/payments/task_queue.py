"""What must happen later about a payment: a row with a due time, claimed by a lease, never a timer in memory.

verify      a payment was accepted on a signature: ask the provider whether amount, currency and state are so
reconcile   an order is not paid: ask the provider whether it is after all
refund      a payment took money that pays nothing, or staff want some of it back: send it back; the row's id is the
            provider's idempotency key
Tables: payment_tasks; payment_facts (read).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from services.common.database import Database, Transaction
from services.gateway_api.limits import REFUND_AGAIN_MAX_S, REFUND_AGAIN_S

Kind = Literal["verify", "reconcile", "refund"]
# The subject of a refund that a person wants; no payment has such an id.
BY_STAFF = "by-staff"
# Between a payment and the refund of it that failed.
_AFTER = "#"
# A task is opened once: a repeated fact must not send money back again. Asked row by row, which finds an index: as NOT
# EXISTS it was a hash of the whole table.
OPEN_TASKS = """
INSERT INTO payment_tasks (order_id, kind, subject, due_at)
SELECT order_id, kind, subject, clock_timestamp() + due_in
  FROM unnest($1::text[], $2::text[], $3::text[], $4::interval[]) AS wanted (order_id, kind, subject, due_in)
 WHERE (SELECT true FROM payment_tasks known
         WHERE known.order_id = wanted.order_id AND known.kind = wanted.kind AND known.subject = wanted.subject
         LIMIT 1) IS NULL
    ON CONFLICT DO NOTHING
"""
# Beside those that facts open. One at a time for an order: its amount was checked against what is left.
_OPEN_BY_STAFF = """
INSERT INTO payment_tasks (order_id, kind, subject, detail)
SELECT $1, 'refund', $2, jsonb_build_object('paymentId', $3::text, 'amountMinor', $4::bigint)
 WHERE NOT EXISTS (SELECT FROM payment_tasks
                    WHERE order_id = $1 AND kind = 'refund' AND done_at IS NULL AND split_part(subject, '#', 1) = $3)
    ON CONFLICT DO NOTHING
RETURNING id
"""
# Held until the commit: nobody claims one meanwhile.
_HOLD_REFUNDS = """
SELECT COALESCE(bool_or(held.lease_until > clock_timestamp()), false)
  FROM (SELECT lease_until FROM payment_tasks
         WHERE order_id = $1 AND kind = 'refund' AND done_at IS NULL
           AND COALESCE(detail->>'paymentId', split_part(subject, '#', 1)) = $2
           FOR UPDATE) AS held
"""
# Those that were given up too. One of a part is over when as much was settled since it was opened.
_END_SETTLED = """
UPDATE payment_tasks task
   SET done_at = COALESCE(done_at, clock_timestamp()), lease_until = NULL, lease_token = NULL, last_error = NULL,
       detail = detail || jsonb_build_object('settledBy', $3::text, 'lastError', last_error)
 WHERE order_id = $1 AND kind = 'refund' AND (done_at IS NULL OR last_error IS NOT NULL)
   AND COALESCE(detail->>'paymentId', split_part(subject, '#', 1)) = $2
   AND ($4 OR (detail->>'amountMinor')::bigint <= (
            SELECT sum(said.amount_minor) FROM payment_facts said
             WHERE said.order_id = $1 AND said.payment_id = $2 AND said.status = 'settled'
               AND said.received_at > task.created_at))
"""
_IS_LEFT_BY_STAFF = """
SELECT EXISTS (SELECT FROM payment_tasks
                WHERE order_id = $1 AND kind = 'refund' AND done_at IS NULL AND subject = $3
                  AND detail->>'paymentId' = $2)
"""
_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM payment_tasks
     WHERE done_at IS NULL AND due_at <= now() AND (lease_until IS NULL OR lease_until < now())
     ORDER BY due_at
     LIMIT $3
       FOR UPDATE SKIP LOCKED
)
UPDATE payment_tasks task
   SET lease_until = now() + $2::interval, lease_token = $1, attempts = attempts + 1
  FROM due, orders
 WHERE task.id = due.id AND orders.order_id = task.order_id
RETURNING task.id, task.order_id, task.kind, task.subject, task.attempts, task.created_at,
          COALESCE(task.detail->>'paymentId', split_part(task.subject, '#', 1)) AS payment_id,
          (task.detail->>'amountMinor')::bigint AS amount_minor, orders.provider, orders.provider_order_id
"""
_FINISH = """
UPDATE payment_tasks SET done_at = clock_timestamp(), lease_until = NULL, lease_token = NULL, last_error = $3
 WHERE id = $1 AND lease_token = $2
"""
_POSTPONE = """
UPDATE payment_tasks
   SET due_at = clock_timestamp() + $3::interval, lease_until = NULL, lease_token = NULL, last_error = $4
 WHERE id = $1 AND lease_token = $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """`subject`: the payment that a refund is of, and the refund of it that failed before, if any."""

    order_id: str
    kind: Kind
    subject: str = ""
    due_in: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A claimed row. `attempts` counts this one. `payment_id`, `amount_minor` of a refund; None: all that is left."""

    id: UUID
    token: UUID
    order_id: str
    kind: Kind
    subject: str
    payment_id: str
    amount_minor: int | None
    attempts: int
    created_at: datetime
    provider: str
    provider_order_id: str

    @property
    def is_by_staff(self) -> bool:
        return self.subject == BY_STAFF


def refund_tasks(order_id: str, payment_id: str, failed: Collection[str]) -> Iterator[NewTask]:
    """What sends a payment back: one task, and one more for each refund of it that failed, each a while later than the
    one before.
    """
    yield NewTask(order_id=order_id, kind="refund", subject=payment_id, due_in=timedelta(0))
    wait = timedelta(seconds=min(REFUND_AGAIN_S * 2 ** max(len(failed) - 1, 0), REFUND_AGAIN_MAX_S))
    for refund_id in sorted(failed):
        yield NewTask(order_id=order_id, kind="refund", subject=f"{payment_id}{_AFTER}{refund_id}", due_in=wait)


async def open_reconcile_task(transaction: Transaction, order_id: str, *, due_in: timedelta) -> None:
    await transaction.execute(OPEN_TASKS, *columns_of([NewTask(order_id=order_id, kind="reconcile", due_in=due_in)]))


async def open_staff_refund(
    transaction: Transaction, order_id: str, payment_id: str, *, amount_minor: int | None
) -> UUID | None:
    """The task's id; None while another one of the order's staff, or of this payment, is open."""
    opened: UUID | None = await transaction.fetchval(_OPEN_BY_STAFF, order_id, BY_STAFF, payment_id, amount_minor)
    return opened


async def hold_refunds(transaction: Transaction, order_id: str, payment_id: str) -> bool:
    """Until the commit nobody begins a refund of this payment. False: one is at work just now."""
    return not await transaction.fetchval(_HOLD_REFUNDS, order_id, payment_id)


async def end_settled_refunds(
    transaction: Transaction, order_id: str, payment_id: str, *, settled_by: str, is_all: bool
) -> bool:
    """After the settlement's fact is stored; `is_all`: nothing of the payment is left to go back. What it stands for
    is not sent any more, and nobody has to look at it. False: staff have ordered a refund that it covers in part only,
    of which nobody could say how much is still to be sent.
    """
    await transaction.execute(_END_SETTLED, order_id, payment_id, settled_by, is_all)
    return not await transaction.fetchval(_IS_LEFT_BY_STAFF, order_id, payment_id, BY_STAFF)


def columns_of(tasks: Sequence[NewTask]) -> tuple[list[str], list[str], list[str], list[timedelta]]:
    """The parameters of OPEN_TASKS."""
    return (
        [task.order_id for task in tasks],
        [task.kind for task in tasks],
        [task.subject for task in tasks],
        [task.due_in for task in tasks],
    )


async def claim_tasks(database: Database, token: UUID, *, lease: timedelta, count: int) -> list[Task]:
    """Due ones that nobody works on, oldest first. A task whose owner died is claimed again after the lease."""
    async with database.connection() as connection:
        rows = await connection.fetch(_CLAIM, token, lease, count)
    return [Task(token=token, **dict(row)) for row in rows]


async def finish_task(database: Database, task: Task, *, error: str | None = None) -> None:
    async with database.connection() as connection:
        await connection.execute(_FINISH, task.id, task.token, error)


async def postpone_task(database: Database, task: Task, *, due_in: timedelta, error: str | None = None) -> None:
    async with database.connection() as connection:
        await connection.execute(_POSTPONE, task.id, task.token, due_in, error)
