"""Faults of the records: repeated out of order, poisonous, consumed again from the first one. And work to be done."""

import random
from collections.abc import Sequence

import aiohttp

from services.common.codec import load_codec
from services.common.events import PaymentAdjusted, PaymentSucceeded, PurchaseAdjusted, PurchaseCreated
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.producer import open_producer
from services.engine.records import OutgoingRecord
from services.operations.topic_reader import read_topics
from services.sandbox.demo.children import Child
from services.sandbox.demo.database import open_as_owner
from services.sandbox.demo.patience import patiently
from services.sandbox.demo.poison import poison_records
from services.sandbox.demo.system import System
from tests.support.kafka import commit

_REPEATED_MAX = 60
# None while an earlier event of its order waits, which would be published first.
_UNPUBLISH = """
    UPDATE outbox SET published_at = NULL
     WHERE id IN (SELECT max(id) FROM outbox GROUP BY order_id HAVING every(published_at IS NOT NULL) LIMIT 20)
"""
_GARBAGE = 5


async def repeat(settings: Settings, dice: random.Random) -> str:
    """Records that are there already come once more, in another order."""
    topics = Topics.of(settings)
    names = [topics.main(event) for event in (PaymentSucceeded, PurchaseCreated, PaymentAdjusted, PurchaseAdjusted)]
    return await _repeat(settings, names, dice)


async def cause_work(system: System, service: str, dice: random.Random) -> str:
    """What the service has done already is asked of it once more: records, or webhooks and publishing."""
    if service != "gateway":
        return await _repeat(system.settings, Topics.of(system.settings).sources(service), dice)
    async with (
        aiohttp.ClientSession(raise_for_status=True) as http,
        http.post(f"{system.sandbox_url}/control/webhooks/replay"),
    ):
        await patiently(_publish_again)(system.settings)
    return ""


async def _publish_again(settings: Settings) -> None:
    """As after a relay that died before it could mark what it had sent."""
    async with open_as_owner(settings) as database, database.connection() as connection:
        await connection.execute(_UNPUBLISH)


async def _repeat(settings: Settings, names: Sequence[str], dice: random.Random) -> str:
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
