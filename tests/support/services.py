"""Services in the test's own process, and what they leave in Kafka."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from services.common.codec import load_codec
from services.common.events import Event
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import OutgoingRecord, Record
from services.operations.topic_reader import read_lag, read_topics
from tests.support.kafka import send

Serve = Callable[[Settings, asyncio.Event], Awaitable[None]]


@asynccontextmanager
async def running(settings: Settings, *services: Serve) -> AsyncIterator[None]:
    """Stopped gracefully on exit; what killed one is raised then."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for serve in services:
            tasks.create_task(_serve(serve, settings, stop))
        try:
            yield
        finally:
            stop.set()


async def announce(settings: Settings, *events: Event) -> None:
    """Sends events to their topics, as whoever caused them does."""
    codec, topics = load_codec(), Topics.of(settings)
    records = [
        OutgoingRecord(topic=topics.main(type(event)), key=event.order_id.encode(), value=codec.encode_framed(event))
        for event in events
    ]
    await send(settings, records)


async def events_of(settings: Settings, kind: type[Event]) -> list[Event]:
    codec = load_codec()
    records = await read_topics(settings, [Topics.of(settings).main(kind)])
    return [codec.decode(record.value, record.key) for record in records]


async def on_tier(settings: Settings, worker: str, tier: str) -> list[Record]:
    return await read_topics(settings, [Topics.of(settings).retry(worker, tier)])


async def dead_letters(settings: Settings, worker: str) -> list[Record]:
    return await read_topics(settings, [Topics.of(settings).dead_letters(worker)])


async def lag_of(settings: Settings, worker: str) -> int:
    """Of both groups together."""
    topics = Topics.of(settings)
    main = await read_lag(settings, topics.group(worker), topics.sources(worker))
    return main + await read_lag(settings, topics.retry_group(worker), topics.tiers(worker))


async def _serve(serve: Serve, settings: Settings, stop: asyncio.Event) -> None:
    await serve(settings, stop)
