import asyncio
from dataclasses import replace

import asyncpg

from services.common.limits import LOCK_TIMEOUT_S
from services.common.settings import Settings
from services.operations.replay.choosing.filters import Filter
from services.operations.replay.choosing.planning import make_plan
from services.operations.replay.replaying import replay_plan
from services.operations.topic_reader import read_topics
from tests.support.dead_letters import (
    FAST,
    WISH,
    WORKER,
    bury,
    fetch,
    on_first_tier,
    opened,
    orders_of,
)
from tests.support.eventually import eventually
from tests.support.kafka import forget_before


async def test_rows_that_somebody_else_writes_are_waited_for(settings: Settings) -> None:
    await bury(settings, 4)
    other = await asyncpg.connect(settings.required_database_url())
    try:
        async with opened(settings) as tools:
            plan = await make_plan(settings, tools.database, tools.codec, WORKER, Filter())
            async with other.transaction():
                await other.execute("SELECT FROM dead_letters FOR UPDATE")
                stop = asyncio.Event()
                running = asyncio.create_task(
                    replay_plan(tools, plan, WISH, FAST, stop=stop, observe=lambda _records: None)
                )
                await eventually(lambda: is_waiting(settings))
                began_s = asyncio.get_running_loop().time()
                await eventually(lambda: asyncio.get_running_loop().time() > began_s + 1.5 * LOCK_TIMEOUT_S)
            report = await running
    finally:
        await other.close()
    assert (report.ended.state, report.counts.replayed) == ("finished", 4)
    assert len(await on_first_tier(settings)) == 4


async def test_a_record_that_kafka_has_no_more_is_told_and_the_rest_is_sent(settings: Settings) -> None:
    await bury(settings, 12)
    topic = f"{settings.kafka_topic_prefix}{WORKER}.dlq"
    async with opened(settings) as tools:
        plan = await make_plan(settings, tools.database, tools.codec, WORKER, Filter())
        await forget_before(settings, topic, partition=0, offset=2)
        left = orders_of(await read_topics(settings, [topic]))
        report = await replay_plan(
            tools, plan, WISH, replace(FAST, rate=1_000), stop=asyncio.Event(), observe=lambda _records: None
        )
    assert (report.counts.replayed, report.counts.failed) == (10, 2)
    assert orders_of(await on_first_tier(settings)) == left
    details = await fetch(settings, "SELECT DISTINCT detail FROM replay_items WHERE result = 'failed'")
    assert details == [{"detail": "Kafka has no record at this offset any more"}]


async def is_waiting(settings: Settings) -> bool:
    return bool(await fetch(settings, "SELECT FROM replay_items WHERE result = 'sending'"))
