"""What the purchase worker is measured against: poll, one insert for the batch, produce, commit; nothing else.

The same client settings, the same decoding, the same insert and the same event for each record; no retries, no dead
letters, no second look at the rows, no metrics, and one batch after the other. `python -m bench.bare_loop`, with the
services' settings in the environment; until SIGTERM.
"""

import asyncio
import signal

import asyncpg
import uvloop
from asyncpg.pool import PoolConnectionProxy
from confluent_kafka import Consumer, Producer, TopicPartition

from services.common.codec import load_codec
from services.common.events import PaymentSucceeded, PurchaseCreated, order_event_id, purchase_id_of
from services.common.kafka_config import consumer_config, producer_config
from services.common.limits import BATCH_RECORDS_MAX
from services.common.settings import Settings
from services.common.topics import Topics
from services.purchase_worker.details import details_json
from services.purchase_worker.purchases import _INSERT
from services.purchase_worker.terms import expiry_of

Connection = PoolConnectionProxy | asyncpg.Connection


def created_from(paid: PaymentSucceeded, days: int) -> PurchaseCreated:
    return PurchaseCreated(
        event_id=order_event_id("PurchaseCreated", paid.order_id),
        purchase_id=purchase_id_of(paid.order_id),
        order_id=paid.order_id,
        student_id=paid.student_id,
        course_id=paid.course_id,
        purchase_tier=paid.purchase_tier,
        purchase_date=paid.confirmed_at,
        expiry_date=expiry_of(paid.confirmed_at, paid.schedule, days),
        schedule=paid.schedule,
        metadata=paid.metadata,
    )


async def store(connection: Connection, made: list[PurchaseCreated]) -> None:
    await connection.fetch(
        _INSERT,
        [one.purchase_id for one in made],
        [one.order_id for one in made],
        [one.student_id for one in made],
        [one.course_id for one in made],
        [one.purchase_tier for one in made],
        [one.purchase_date for one in made],
        [one.expiry_date for one in made],
        [details_json(one.schedule, one.metadata) for one in made],
    )


async def run(settings: Settings) -> None:
    topics, codec = Topics.of(settings), load_codec()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    consumer = Consumer(consumer_config(settings, topics.group("purchase-worker")))
    producer = Producer(producer_config(settings, "bare-loop"))
    target = topics.main(PurchaseCreated)
    days = settings.expiry_days_by_tier
    connection = await asyncpg.connect(settings.required_database_url())
    consumer.subscribe([topics.main(PaymentSucceeded)])
    while not stop.is_set():
        # Lets the signal in.
        await asyncio.sleep(0)
        first = consumer.poll(0.1)
        if first is None:
            continue
        messages = [first, *consumer.consume(BATCH_RECORDS_MAX - 1, 0)]
        events = [codec.decode(message.value(), message.key()) for message in messages]
        made = [created_from(paid, days[paid.purchase_tier]) for paid in events if isinstance(paid, PaymentSucceeded)]
        await store(connection, made)
        for one in made:
            producer.produce(target, codec.encode_framed(one), one.order_id.encode())
        producer.flush(10)
        ends = {(message.topic() or "", message.partition() or 0): message.offset() or 0 for message in messages}
        consumer.commit(offsets=[TopicPartition(*place, offset + 1) for place, offset in ends.items()])
    consumer.close()
    await connection.close()


if __name__ == "__main__":
    uvloop.run(run(Settings.from_environment()))
