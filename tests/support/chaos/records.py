"""Faults of the records: repeated out of order, poisonous, consumed again from the first one."""

import random

from services.common.codec import load_codec
from services.common.events import PaymentAdjusted, PaymentSucceeded, PurchaseAdjusted, PurchaseCreated
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.producer import open_producer
from services.engine.records import OutgoingRecord
from services.operations.topic_reader import read_topics
from services.sandbox.demo.children import Child
from services.sandbox.demo.patience import patiently
from services.sandbox.demo.poison import poison_records
from tests.support.kafka import commit

_REPEATED_MAX = 60
_GARBAGE = 5


async def repeat(settings: Settings, dice: random.Random) -> str:
    """Records that are there already come once more, in another order."""
    topics = Topics.of(settings)
    names = [topics.main(event) for event in (PaymentSucceeded, PurchaseCreated, PaymentAdjusted, PurchaseAdjusted)]
    found = await patiently(read_topics)(settings, names)
    # Poison would be poison again.
    copies = [
        OutgoingRecord(topic=record.topic, key=record.key, value=record.value, headers=record.headers)
        for record in dice.sample(found, k=min(len(found), _REPEATED_MAX))
    ]
    await _put(settings, copies)
    return f"{len(copies)} records"


async def poison(settings: Settings, dice: random.Random) -> str:
    """The demo's kinds, and bytes that never were a frame, on topics of every worker."""
    topics = Topics.of(settings)
    spoiled = list(poison_records(topics, load_codec()))
    for event in (PaymentSucceeded, PurchaseCreated):
        spoiled += [
            OutgoingRecord(topic=topics.main(event), key=b"ord_garbage", value=b"\x07" + dice.randbytes(40))
            for _ in range(_GARBAGE)
        ]
    await _put(settings, spoiled)
    return f"{len(spoiled)} records"


async def rewind(settings: Settings, child: Child) -> str:
    """The worker's group starts at the first record again, as after lost offsets."""
    await child.stop()
    topics = Topics.of(settings)
    zeros = [0] * settings.kafka_partitions
    for topic in topics.sources(child.name):
        await patiently(commit)(settings, topics.group(child.name), topic, zeros)
    await child.start()
    return ""


async def _put(settings: Settings, records: list[OutgoingRecord]) -> None:
    async with open_producer(settings, "test-chaos") as producer:
        for record in records:
            await patiently(producer.send)(record)
