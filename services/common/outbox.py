"""The outbox: an event is stored in the transaction of the decision that it tells, and published afterwards.

For decisions that no Kafka record caused. The bare Avro body is stored with its type and version; whoever publishes
frames it, so a registry that is away fails nothing. Table: outbox (added to).
"""

from collections.abc import Sequence

from services.common.codec import Codec
from services.common.database import Transaction
from services.common.events import Event

# Two writers of one order would take the same order_seq: each reads the highest before the other's is committed. So
# they queue here, in the order of the keys, and a statement of its own then sees what the one before has committed.
_LOCK = """
SELECT pg_advisory_xact_lock(key)
  FROM (SELECT DISTINCT hashtextextended('outbox ' || order_id, 0) AS key FROM unnest($1::text[]) AS given (order_id)
         ORDER BY key) AS ordered
"""
_INSERT = """
INSERT INTO outbox (order_id, order_seq, event_id, type, version, payload, traceparent)
SELECT added.order_id,
       COALESCE((SELECT max(earlier.order_seq) FROM outbox earlier WHERE earlier.order_id = added.order_id), 0)
           + row_number() OVER (PARTITION BY added.order_id ORDER BY added.position),
       added.event_id, added.type, added.version, added.payload, added.traceparent
  FROM unnest($1::text[], $2::uuid[], $3::text[], $4::int[], $5::bytea[], $6::text[])
       WITH ORDINALITY AS added (order_id, event_id, type, version, payload, traceparent, position)
 ORDER BY added.position
"""


async def add_event(transaction: Transaction, event: Event, codec: Codec, *, traceparent: str | None) -> None:
    """As the last step of a transaction: the lock on the order is held until its end."""
    await add_events(transaction, [(event, traceparent)], codec)


async def add_events(transaction: Transaction, events: Sequence[tuple[Event, str | None]], codec: Codec) -> None:
    """Each with its traceparent. Events of one order are published in the order given, after all earlier ones."""
    encoded = [codec.encode(event) for event, _ in events]
    order_ids = [event.order_id for event, _ in events]
    await transaction.execute(_LOCK, order_ids)
    await transaction.execute(
        _INSERT,
        order_ids,
        [event.event_id for event, _ in events],
        [one.type for one in encoded],
        [one.version for one in encoded],
        [one.body for one in encoded],
        [traceparent for _, traceparent in events],
    )
