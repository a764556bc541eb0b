"""The table dead_letters: one row per record of a dead-letter topic, and whether it still matters. And the table
dead_letter_topics: which topics these rows are of.

Other tables, read only: student_course_purchases, trainer_allocations, notifications.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.common.database import Database, Transaction
from services.common.errors import PermanentError, RecordError

_LAST_OFFSETS = """
SELECT topic, kafka_partition, max(kafka_offset) AS kafka_offset
  FROM dead_letters WHERE topic = ANY ($1::text[]) GROUP BY topic, kafka_partition
"""
# Another topic than the rows are of, if there are any: only putting them aside ends that.
_STAMP = """
INSERT INTO dead_letter_topics AS known (topic, topic_id) SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT (topic) DO UPDATE
   SET topic_id = CASE WHEN EXISTS (SELECT FROM dead_letters letter WHERE letter.topic = known.topic) THEN NULL
                       ELSE excluded.topic_id END
 WHERE known.topic_id IS DISTINCT FROM excluded.topic_id
"""
_MADE_ANEW = """
SELECT known.topic FROM dead_letter_topics known
 WHERE known.topic_id IS NULL AND EXISTS (SELECT FROM dead_letters letter WHERE letter.topic = known.topic)
"""
_INSERT = """
INSERT INTO dead_letters
       (worker, topic, kafka_partition, kafka_offset, origin_topic, origin_partition, origin_offset, order_id,
        event_type, event_id, event_sequence, error_kind, error_class, error_message, fingerprint, retry_attempt,
        replay_id, replay_count, traceparent, key_bytes, value_bytes, headers_bytes, dead_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
ON CONFLICT (topic, kafka_partition, kafka_offset) DO NOTHING
"""
# A worker that died between writing a dead letter and committing its offset writes it again: the first counts.
_COLLAPSE = """
UPDATE dead_letters copy
   SET status = 'resolved', settled_at = clock_timestamp()
  FROM unnest($1::text[], $2::int[], $3::bigint[]) AS added (topic, kafka_partition, kafka_offset)
 WHERE (copy.topic, copy.kafka_partition, copy.kafka_offset)
           = (added.topic, added.kafka_partition, added.kafka_offset)
   AND copy.status = 'unresolved'
   AND EXISTS (SELECT FROM dead_letters earlier
                WHERE earlier.worker = copy.worker AND earlier.id < copy.id
                  AND (earlier.origin_topic, earlier.origin_partition, earlier.origin_offset)
                          = (copy.origin_topic, copy.origin_partition, copy.origin_offset)
                  AND earlier.replay_id IS NOT DISTINCT FROM copy.replay_id)
"""
# What the record of `letter` asked for was done since, by a replay, a person or another copy. Nobody can tell what
# poison asked for, so only a decision ends it; of an adjusted purchase nothing tells what the assignment made of it.
IS_DONE = """
(letter.error_kind <> 'poison' AND CASE letter.event_type
       WHEN 'PaymentSucceeded' THEN letter.worker = 'purchase-worker' AND EXISTS (
           SELECT FROM student_course_purchases bought WHERE bought.order_id = letter.order_id)
       WHEN 'PaymentAdjusted' THEN letter.worker = 'purchase-worker' AND EXISTS (
           SELECT FROM student_course_purchases bought
            WHERE bought.order_id = letter.order_id AND bought.applied_sequence >= letter.event_sequence)
       WHEN 'PurchaseCreated' THEN letter.worker = 'assignment-worker' AND EXISTS (
           SELECT FROM student_course_purchases bought
             LEFT JOIN trainer_allocations allocation
                    ON allocation.purchase_id = bought.id AND allocation.status <> 'cancelled'
            WHERE bought.order_id = letter.order_id
              AND (allocation.id IS NOT NULL OR bought.status IN ('revoked', 'expired')))
       ELSE false END
    OR letter.worker = 'notifier' AND EXISTS (
           SELECT FROM notifications told WHERE told.event_id = letter.event_id AND told.status <> 'failed'))
"""
_RESOLVE = f"""
UPDATE dead_letters letter
   SET status = 'resolved', settled_at = clock_timestamp()
 WHERE letter.status = 'unresolved' AND {IS_DONE}
"""  # noqa: S608 - both parts are constants


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """In the order of the columns. None: the record did not tell."""

    worker: str
    topic: str
    kafka_partition: int
    kafka_offset: int
    origin_topic: str | None = None
    origin_partition: int | None = None
    origin_offset: int | None = None
    order_id: str | None = None
    event_type: str | None = None
    event_id: UUID | None = None
    event_sequence: int | None = None
    error_kind: str
    error_class: str
    error_message: str | None = None
    fingerprint: str
    retry_attempt: int = 0
    replay_id: str | None = None
    replay_count: int = 0
    traceparent: str | None = None
    key_bytes: int = 0
    value_bytes: int = 0
    headers_bytes: int = 0
    dead_at: datetime


async def stamp_topics(database: Database, ids: Mapping[str, str | None]) -> None:
    """`ids`: topic -> as Kafka calls it now; None when it cannot be the one that is indexed, whatever it is called."""
    async with database.connection() as connection:
        await connection.execute(_STAMP, list(ids), list(ids.values()))


async def topics_made_anew(connection: Transaction) -> frozenset[str]:
    """Those with rows of a topic that is gone."""
    return frozenset(row["topic"] for row in await connection.fetch(_MADE_ANEW))


async def last_offsets(database: Database, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
    """(topic, partition) -> the last offset that is indexed."""
    async with database.connection() as connection:
        rows = await connection.fetch(_LAST_OFFSETS, topics)
    return {(row["topic"], row["kafka_partition"]): row["kafka_offset"] for row in rows}


async def add_dead_letters(transaction: Transaction, letters: Sequence[DeadLetter]) -> None:
    """Known ones are left alone; a copy of an earlier one is resolved at once."""
    fields = DeadLetter.__slots__
    await transaction.executemany(_INSERT, [tuple(getattr(letter, name) for name in fields) for letter in letters])
    await transaction.execute(
        _COLLAPSE,
        [letter.topic for letter in letters],
        [letter.kafka_partition for letter in letters],
        [letter.kafka_offset for letter in letters],
    )


def rows_are_at_fault(error: RecordError) -> bool:
    """Whether PostgreSQL can never take a row of what was added: a check, a value it has no room for, an index entry
    that is too long.
    """
    # asyncpg itself refuses what it cannot encode, before the server sees it.
    return isinstance(error, PermanentError) or isinstance(
        error.__cause__, asyncpg.ProgramLimitExceededError | ValueError
    )


async def resolve_done(database: Database) -> int:
    """Resolves what was done since; how many."""
    async with database.connection() as connection:
        return int((await connection.execute(_RESOLVE)).rsplit(" ", 1)[-1])
