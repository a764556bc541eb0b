"""What became of the records of a run: done, back in the dead letters, or neither yet. The tables tell first; of what
they do not know, Kafka tells whether the worker was through with it (whereabouts.py).

Tables: replay_items, replay_runs, dead_letters; IS_DONE reads student_course_purchases, trainer_allocations,
notifications.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from services.common.database import Transaction
from services.operations.dead_letters import IS_DONE
from services.operations.replay.choosing.letters import Place
from services.operations.replay.runs import Run
from services.operations.replay.whereabouts import Whereabouts

# `unknown`: not back, no table tells whether such a record was handled (poison, a changed purchase), and Kafka no
# longer has it.
Fate = Literal["done", "back_in_dlq", "pending", "unknown", "parked", "skipped_done", "failed", "unsent"]
# As letters.identity_of has it: nothing of where it came from, unless all of it is known.
_IDENTITY = """
coalesce(letter.origin_topic || '/' || letter.origin_partition || '/' || letter.origin_offset, item.digest)
"""
_FATES = f"""
SELECT item.kafka_partition, item.kafka_offset, item.target, item.detail, letter.order_id, letter.event_type,
       CASE item.result
       WHEN 'parked' THEN 'parked'
       WHEN 'skipped-done' THEN 'skipped_done'
       WHEN 'failed' THEN 'failed'
       WHEN 'replayed' THEN CASE
            WHEN EXISTS (SELECT FROM dead_letters back
                          WHERE back.worker = letter.worker AND back.replay_id = item.run_id::text
                            AND (back.origin_topic, back.origin_partition, back.origin_offset)
                                = (letter.origin_topic, letter.origin_partition, letter.origin_offset))
            THEN 'back_in_dlq'
            WHEN {IS_DONE} OR {_IDENTITY} = ANY ($2::text[]) THEN 'done'
            WHEN {_IDENTITY} = ANY ($3::text[]) THEN 'pending'
            WHEN letter.error_kind = 'poison' OR letter.event_type IS NULL
                 OR letter.event_type = 'PurchaseAdjusted' AND letter.worker <> 'notifier' THEN 'unknown'
            ELSE 'pending' END
       ELSE 'unsent' END AS fate
  FROM replay_items item
  JOIN dead_letters letter USING (topic, kafka_partition, kafka_offset)
 WHERE item.run_id = $1
"""  # noqa: S608 - all parts are constants
_COUNT = f"SELECT fate, count(*) AS count FROM ({_FATES}) AS each GROUP BY fate"  # noqa: S608 - constants
_GROWTH = "SELECT count(*) FROM dead_letters WHERE topic = $1 AND indexed_at >= $2"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFate:
    place: Place
    target: str
    order_id: str | None
    event_type: str | None
    fate: Fate
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Of the replayed records of a run so far. `growth`: new dead letters of the worker since it began, whosever."""

    done: int = 0
    back_in_dlq: int = 0
    pending: int = 0
    unknown: int = 0
    growth: int = 0

    @property
    def settled(self) -> int:
        return self.done + self.back_in_dlq


async def fates_of(connection: Transaction, run: Run, found: Whereabouts) -> Sequence[RecordFate]:
    """Of each record, by place. The index of dead letters is newer than `found`."""
    rows = await connection.fetch(_FATES + " ORDER BY 1, 2", run.id, list(found.finished), list(found.under_way))
    return [
        RecordFate(
            place=(row["kafka_partition"], row["kafka_offset"]),
            target=row["target"],
            order_id=row["order_id"],
            event_type=row["event_type"],
            fate=row["fate"],
            detail=row["detail"],
        )
        for row in rows
    ]


async def look_at(connection: Transaction, run: Run, found: Whereabouts) -> Seen:
    """The same in numbers."""
    rows = await connection.fetch(_COUNT, run.id, list(found.finished), list(found.under_way))
    counts: Mapping[str, int] = {row["fate"]: row["count"] for row in rows}
    return Seen(
        done=counts.get("done", 0),
        back_in_dlq=counts.get("back_in_dlq", 0),
        pending=counts.get("pending", 0),
        unknown=counts.get("unknown", 0),
        growth=await connection.fetchval(_GROWTH, run.topic, run.started_at),
    )
