"""The outbox as the relay sees it: claimed by a lease on the database's clock, published, marked, removed after a week.

An event of an order can be claimed only when all earlier ones of that order are published, so any number of relays
keep each order's events in order. Writing to it is services/common/outbox.py. Table: outbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.common.database import Database, Row, Transaction

# What is earlier is asked of the index over all of an order's rows. Statistics of ordinary times say that nothing waits
# for publishing: with `published_at IS NULL` as a condition the planner would read everything that waits, once for each
# candidate, and after an outage no claim would come to an end.
_CLAIM = """
WITH due AS MATERIALIZED (
    SELECT id FROM outbox waiting
     WHERE published_at IS NULL AND due_at <= now() AND (lease_until IS NULL OR lease_until < now())
       AND NOT COALESCE((SELECT bool_or(earlier.published_at IS NULL) FROM outbox earlier
                          WHERE earlier.order_id = waiting.order_id AND earlier.order_seq < waiting.order_seq), false)
     ORDER BY due_at, id
     LIMIT $3
       FOR UPDATE SKIP LOCKED
)
UPDATE outbox claimed
   SET lease_until = now() + $2::interval, lease_token = $1
  FROM due
 WHERE claimed.id = due.id
RETURNING claimed.id, claimed.order_id, claimed.type, claimed.version, claimed.payload, claimed.traceparent,
          claimed.created_at, claimed.attempts
"""
_MARK = """
UPDATE outbox SET published_at = clock_timestamp(), lease_until = NULL, lease_token = NULL
 WHERE id = ANY ($1::bigint[]) AND lease_token = $2
"""
_RELEASE = """
UPDATE outbox SET lease_until = NULL, lease_token = NULL, due_at = clock_timestamp() + $3::interval
 WHERE id = ANY ($1::bigint[]) AND lease_token = $2
"""
_GIVE_BACK = "UPDATE outbox SET lease_until = NULL, lease_token = NULL WHERE lease_token = $1 AND published_at IS NULL"
_BLOCK = """
UPDATE outbox
   SET lease_until = NULL, lease_token = NULL, attempts = attempts + 1, last_error = $3,
       due_at = clock_timestamp() + $4::interval
 WHERE id = $1 AND lease_token = $2
"""
_BLOCKED = """
SELECT id, order_id, type, version, attempts, created_at, due_at, last_error,
       (SELECT count(*) FILTER (WHERE behind.published_at IS NULL) FROM outbox behind
         WHERE behind.order_id = blocked.order_id AND behind.order_seq > blocked.order_seq) AS waiting_behind
  FROM outbox blocked
 WHERE published_at IS NULL AND attempts > 0 AND ($1::timestamptz IS NULL OR (created_at, id) > ($1, $2::bigint))
 ORDER BY created_at, id LIMIT $3
"""
_AGAIN = """
UPDATE outbox SET due_at = clock_timestamp(), attempts = 0
 WHERE id = $1 AND published_at IS NULL AND attempts > 0
RETURNING order_id, type, last_error
"""
_REMOVE = """
DELETE FROM outbox
 WHERE id IN (SELECT id FROM outbox WHERE published_at < now() - $1::interval ORDER BY published_at LIMIT $2
                 FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A row under our lease. `attempts`: how often Kafka refused it for good."""

    id: int
    order_id: str
    type: str
    version: int
    payload: bytes
    traceparent: str | None
    created_at: datetime
    attempts: int


async def claim(database: Database, token: UUID, *, lease: timedelta, rows_max: int) -> list[Claimed]:
    """The oldest that are due. `lease` must outlive the delivery of a record: when it ends, another relay may send the
    same row.
    """
    async with database.connection() as connection:
        rows = await connection.fetch(_CLAIM, token, lease, rows_max)
    return sorted((Claimed(**dict(row)) for row in rows), key=lambda claimed: claimed.id)


async def mark_published(database: Database, token: UUID, ids: Sequence[int]) -> None:
    """Of those still under `token`; a row whose lease has ended meanwhile is its new owner's."""
    async with database.connection() as connection:
        await connection.execute(_MARK, ids, token)


async def release(database: Database, token: UUID, ids: Sequence[int], *, due_in: timedelta) -> None:
    """Kafka was away: nobody's fault, and no attempt."""
    async with database.connection() as connection:
        await connection.execute(_RELEASE, ids, token, due_in)


async def give_back(database: Database, token: UUID) -> None:
    """All that is still under `token`, whether its claim was ever answered or not; nobody may be sending any of it."""
    async with database.connection() as connection:
        await connection.execute(_GIVE_BACK, token)


async def block(database: Database, token: UUID, row_id: int, *, error: str, due_in: timedelta) -> None:
    """Kafka will not take this row as it is. Only its own order waits behind it."""
    async with database.connection() as connection:
        await connection.execute(_BLOCK, row_id, token, error, due_in)


async def list_blocked(
    connection: Transaction, *, after_time: datetime | None, after_id: int | None, rows_max: int
) -> list[Row]:
    """Rows that Kafka has refused, oldest first, with how many wait behind each."""
    rows: list[Row] = await connection.fetch(_BLOCKED, after_time, after_id, rows_max)
    return rows


async def publish_again(transaction: Transaction, row_id: int) -> Row | None:
    """Due now, as if it had never been refused; what it was refused for is told. None: no blocked row."""
    return await transaction.fetchrow(_AGAIN, row_id)


async def remove_published(database: Database, *, older_than: timedelta, rows_max: int) -> int:
    """The number of removed rows; fewer than `rows_max` means that none is left. Unpublished rows stay for ever."""
    async with database.connection() as connection:
        return int((await connection.execute(_REMOVE, older_than, rows_max)).removeprefix("DELETE "))
