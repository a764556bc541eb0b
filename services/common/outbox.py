"""The outbox: an event is stored in the transaction of the decision that it tells, and published afterwards.

For decisions that no Kafka record caused. The bare Avro body is stored with its type and version; whoever publishes
frames it, so a registry that is away fails nothing. Function: add_to_outbox.
"""

from collections.abc import Sequence

from services.common.codec import Codec
from services.common.database import Transaction
from services.common.events import Event

_ADD = "SELECT add_to_outbox($1::text[], $2::uuid[], $3::text[], $4::int[], $5::bytea[], $6::text[])"


async def add_event(transaction: Transaction, event: Event, codec: Codec, *, traceparent: str | None) -> None:
    """As the last step of a transaction: the lock on the order is held until its end."""
    await add_events(transaction, [(event, traceparent)], codec)


async def add_events(transaction: Transaction, events: Sequence[tuple[Event, str | None]], codec: Codec) -> None:
    """Each with its traceparent. Events of one order are published in the order given, after all earlier ones."""
    encoded = [codec.encode(event) for event, _ in events]
    await transaction.execute(
        _ADD,
        [event.order_id for event, _ in events],
        [event.event_id for event, _ in events],
        [one.type for one in encoded],
        [one.version for one in encoded],
        [one.body for one in encoded],
        [traceparent for _, traceparent in events],
    )
