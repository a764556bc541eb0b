"""The purchase worker as one would write it first with FastStream: a handler for each record, which inserts, publishes
and lets the framework commit. No tiers, no dead letters. `python -m bench.faststream_app`, with the services' settings
in the environment; until SIGTERM.
"""

import asyncpg
import uvloop
from confluent_kafka import Message
from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker
from faststream.confluent.annotations import KafkaMessage

from bench.bare_loop import created_from, store
from services.common.codec import load_codec
from services.common.events import PaymentSucceeded, PurchaseCreated
from services.common.settings import Settings
from services.common.topics import Topics


async def as_it_came(message: KafkaMessage) -> bytes:
    """Avro is no JSON, which FastStream would look for."""
    return message.body


async def run(settings: Settings) -> None:
    topics, codec = Topics.of(settings), load_codec()
    target, days = topics.main(PurchaseCreated), settings.expiry_days_by_tier
    broker = KafkaBroker(settings.required_bootstrap_servers(), logger=None)
    async with asyncpg.create_pool(settings.required_database_url(), min_size=1, max_size=8) as pool:

        @broker.subscriber(
            topics.main(PaymentSucceeded),
            group_id=topics.group("purchase-worker"),
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            decoder=as_it_came,
        )
        async def handle(value: bytes, message: KafkaMessage) -> None:
            raw = message.raw_message
            assert isinstance(raw, Message)
            event = codec.decode(value, raw.key())
            assert isinstance(event, PaymentSucceeded)
            made = created_from(event, days[event.purchase_tier])
            async with pool.acquire() as connection:
                await store(connection, [made])
            await broker.publish(codec.encode_framed(made), target, key=made.order_id.encode())

        await FastStream(broker, logger=None).run()


if __name__ == "__main__":
    uvloop.run(run(Settings.from_environment()))
