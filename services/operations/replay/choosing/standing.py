"""What PostgreSQL says of dead letters: whether somebody decided, and whether what they asked for was done since.

Tables: dead_letters (status, settled_at); IS_DONE reads student_course_purchases, trainer_allocations, notifications.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from services.common.database import Transaction
from services.operations.dead_letters import IS_DONE
from services.operations.replay.choosing.letters import Place

Settled = Literal["replayed", "parked", "discarded"]
_STANDINGS = f"""
SELECT letter.kafka_partition, letter.kafka_offset, letter.status, {IS_DONE} AS done
  FROM unnest($2::int[], $3::bigint[]) AS asked (kafka_partition, kafka_offset)
  JOIN dead_letters letter USING (kafka_partition, kafka_offset)
 WHERE letter.topic = $1
"""  # noqa: S608 - both parts are constants
_SETTLE = """
UPDATE dead_letters letter
   SET status = $4, settled_at = clock_timestamp()
  FROM unnest($2::int[], $3::bigint[]) AS given (kafka_partition, kafka_offset)
 WHERE letter.topic = $1 AND letter.kafka_partition = given.kafka_partition
   AND letter.kafka_offset = given.kafka_offset AND letter.status <> $4
   AND NOT (letter.status = 'resolved' AND $4 = 'replayed')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`status` as in the table; a letter that the index has not seen is unresolved."""

    status: str = "unresolved"
    done: bool = False


async def standings(connection: Transaction, topic: str, places: Sequence[Place]) -> Mapping[Place, Standing]:
    """Of each place, known or not."""
    rows = await connection.fetch(_STANDINGS, topic, [place[0] for place in places], [place[1] for place in places])
    known = {
        (row["kafka_partition"], row["kafka_offset"]): Standing(status=row["status"], done=bool(row["done"]))
        for row in rows
    }
    return {place: known.get(place, Standing()) for place in places}


async def settle_letters(transaction: Transaction, topic: str, places: Sequence[Place], status: Settled) -> int:
    """How many changed. The record stays in Kafka, whatever was decided. A replayed letter whose order is done before
    its replay is noted stays resolved.
    """
    if not places:
        return 0
    done = await transaction.execute(
        _SETTLE, topic, [place[0] for place in places], [place[1] for place in places], status
    )
    return int(done.rsplit(" ", 1)[-1])
