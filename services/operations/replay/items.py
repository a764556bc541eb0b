"""The table replay_items: what became of each planned record. One row per (topic, partition, offset, target), so that
a plan that runs again finds its records and does nothing.

A record is `planned`, then `sending` before it leaves, then `replayed` or `parked` once Kafka has acknowledged it. What
is still `sending` when nobody holds the topic's lock is on its way from a run that died: recovery.py finds out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.common.database import Transaction
from services.operations.replay.chain import items_digest
from services.operations.replay.choosing.letters import Place
from services.operations.replay.runs import Counts
from services.operations.replay.targets import Target

# A record that another run only planned, or failed to send, is taken over by the newer run.
_ADD = """
INSERT INTO replay_items AS known (run_id, topic, kafka_partition, kafka_offset, target, result, digest)
SELECT $1, $2, * FROM unnest($3::int[], $4::bigint[], $5::text[], $6::text[], $7::text[])
ON CONFLICT (topic, kafka_partition, kafka_offset, target) DO UPDATE
   SET run_id = excluded.run_id, result = excluded.result, digest = excluded.digest, detail = NULL,
       at = clock_timestamp()
 WHERE known.result IN ('planned', 'failed')
"""
_PLANNED = """
SELECT kafka_partition, kafka_offset, target, digest
  FROM replay_items WHERE run_id = $1 AND result = 'planned' ORDER BY kafka_partition, kafka_offset
"""
_SENDING = """
UPDATE replay_items item SET result = 'sending', at = clock_timestamp()
  FROM unnest($2::int[], $3::bigint[], $4::text[]) AS given (kafka_partition, kafka_offset, target)
 WHERE item.run_id = $1 AND item.kafka_partition = given.kafka_partition
   AND item.kafka_offset = given.kafka_offset AND item.target = given.target
"""
_SETTLE = """
UPDATE replay_items item SET result = given.result, detail = given.detail, at = clock_timestamp()
  FROM unnest($2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[])
       AS given (kafka_partition, kafka_offset, target, result, detail)
 WHERE item.run_id = $1 AND item.kafka_partition = given.kafka_partition
   AND item.kafka_offset = given.kafka_offset AND item.target = given.target
"""
_UNTOLD = """
SELECT item.run_id, item.kafka_partition, item.kafka_offset, item.target, item.digest, run.started_at,
       letter.origin_topic, letter.origin_partition, letter.origin_offset
  FROM replay_items item
  JOIN replay_runs run ON run.id = item.run_id
  LEFT JOIN dead_letters letter ON (letter.topic, letter.kafka_partition, letter.kafka_offset)
                                 = (item.topic, item.kafka_partition, item.kafka_offset)
 WHERE item.topic = $1 AND item.result = 'sending'
"""
_COUNTS = "SELECT result, count(*) AS count FROM replay_items WHERE run_id = $1 GROUP BY result"
_DECIDED = "SELECT count(*) FROM replay_items WHERE run_id = $1 AND result = 'skipped-done' AND detail IS NOT NULL"
_FINISHED = """
SELECT run.topic, item.kafka_partition, item.kafka_offset, item.target, item.result
  FROM replay_items item JOIN replay_runs run ON run.id = item.run_id
 WHERE item.run_id = $1 AND item.result IN ('replayed', 'parked')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One record of a run. `detail` says why it failed, or was skipped although nobody has done what it asks for."""

    place: Place
    target: Target
    digest: str
    result: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """A record that was being sent when its run died. `identity` as in letters.identity_of."""

    run_id: UUID
    item: Item
    identity: str
    started_at_ms: int


async def add_items(transaction: Transaction, run_id: UUID, topic: str, items: Sequence[Item]) -> None:
    """Those that are already finished, by whichever run, stay as they are."""
    await transaction.execute(
        _ADD,
        run_id,
        topic,
        [item.place[0] for item in items],
        [item.place[1] for item in items],
        [item.target for item in items],
        [item.result for item in items],
        [item.digest for item in items],
    )


async def planned_items(connection: Transaction, run_id: UUID) -> Sequence[Item]:
    """What a run has still to do, by place."""
    return [
        Item(
            place=(row["kafka_partition"], row["kafka_offset"]),
            target=row["target"],
            digest=row["digest"],
            result="planned",
        )
        for row in await connection.fetch(_PLANNED, run_id)
    ]


async def mark_sending(connection: Transaction, run_id: UUID, items: Sequence[Item]) -> None:
    await connection.execute(
        _SENDING,
        run_id,
        [item.place[0] for item in items],
        [item.place[1] for item in items],
        [item.target for item in items],
    )


async def settle_items(transaction: Transaction, run_id: UUID, items: Sequence[Item]) -> None:
    """Stores their `result` and `detail`."""
    await transaction.execute(
        _SETTLE,
        run_id,
        [item.place[0] for item in items],
        [item.place[1] for item in items],
        [item.target for item in items],
        [item.result for item in items],
        [item.detail for item in items],
    )


async def untold_items(connection: Transaction, topic: str) -> Sequence[Untold]:
    """The caller holds the topic's lock: whoever sent them is gone."""
    return [
        Untold(
            run_id=row["run_id"],
            item=Item(
                place=(row["kafka_partition"], row["kafka_offset"]),
                target=row["target"],
                digest=row["digest"],
                result="sending",
            ),
            identity=row["digest"]
            if row["origin_offset"] is None
            else f"{row['origin_topic']}/{row['origin_partition']}/{row['origin_offset']}",
            started_at_ms=int(row["started_at"].timestamp() * 1000),
        )
        for row in await connection.fetch(_UNTOLD, topic)
    ]


async def count_items(connection: Transaction, run_id: UUID) -> Mapping[str, int]:
    """How many of the run, by result."""
    return {row["result"]: row["count"] for row in await connection.fetch(_COUNTS, run_id)}


async def count_decided(connection: Transaction, run_id: UUID) -> int:
    """How many of those that were skipped are not done: somebody had decided about them since the plan was made."""
    return int(await connection.fetchval(_DECIDED, run_id))


def counts_from(results: Mapping[str, int], back_in_dlq: int) -> Counts:
    return Counts(
        replayed=results.get("replayed", 0),
        skipped_done=results.get("skipped-done", 0),
        parked=results.get("parked", 0),
        failed=results.get("failed", 0),
        back_in_dlq=back_in_dlq,
    )


async def finished_digest(connection: Transaction, run_id: UUID) -> str:
    """Over the records that were sent: such rows are never changed again. The topic is the run's: the rows of one that
    was deleted and made anew are put aside under another name.
    """
    return items_digest([tuple(row) for row in await connection.fetch(_FINISHED, run_id)])
