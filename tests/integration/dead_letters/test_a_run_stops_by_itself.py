"""Canary, guards, cap and rate."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import OutgoingRecord
from services.operations.replay.guards import StopOn
from tests.support.dead_letters import (
    FAST,
    WORKER,
    bury,
    buy,
    on_first_tier,
    opened,
    orders_of,
    replay,
    run_dlq,
)
from tests.support.kafka import send, text_headers


@asynccontextmanager
async def worker(settings: Settings, *, succeeds: bool) -> AsyncIterator[None]:
    """What the purchase worker does with its first tier: buys each, or dead-letters each again."""
    seen: set[bytes] = set()

    async def work() -> None:
        while True:
            for record in await on_first_tier(settings):
                key = record.key or b""
                if key not in seen:
                    seen.add(key)
                    if succeeds:
                        await buy(settings, [key.decode()])
                    else:
                        topic = Topics.of(settings).dead_letters(WORKER)
                        error = text_headers(error_kind="transient", error_class="Again", error_fingerprint="f00d")
                        headers = (*record.headers, *error)
                        outgoing = OutgoingRecord(topic=topic, key=record.key, value=record.value, headers=headers)
                        await send(settings, [outgoing])
            await asyncio.sleep(0.05)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_canary_that_dies_again_stops_the_run(settings: Settings) -> None:
    await bury(settings, 30)
    async with worker(settings, succeeds=False), opened(settings) as tools:
        report = await replay(tools, orders=replace(FAST, canary=3, canary_wait_s=20))
    assert report.ended.state == "stopped"
    assert report.ended.why is not None
    assert "canary" in report.ended.why
    assert (report.counts.replayed, report.remaining) == (3, 27)
    assert len(await on_first_tier(settings)) == 3


async def test_a_canary_that_nobody_handles_stops_the_run(settings: Settings) -> None:
    await bury(settings, 10)
    async with opened(settings) as tools:
        report = await replay(tools, orders=replace(FAST, canary=2, canary_wait_s=1))
    assert (report.ended.state, report.counts.replayed) == ("stopped", 2)
    assert report.ended.why == "2 records of the canary were not done within 1 s"


async def test_after_a_canary_that_is_done_the_rest_follows(settings: Settings) -> None:
    await bury(settings, 10)
    async with worker(settings, succeeds=True), opened(settings) as tools:
        report = await replay(tools, orders=replace(FAST, canary=2, canary_wait_s=30))
    assert (report.ended.state, report.counts.replayed) == ("finished", 10)


async def test_records_coming_back_stop_the_run(settings: Settings) -> None:
    await bury(settings, 120)
    orders = replace(FAST, rate=10, stop_on=(StopOn(measure="back-in-dlq", limit=3),))
    async with worker(settings, succeeds=False), opened(settings) as tools:
        report = await replay(tools, orders=orders)
    assert report.ended.state == "stopped"
    assert report.counts.replayed < 120


async def test_a_tripped_guard_is_exit_code_4(settings: Settings) -> None:
    await bury(settings, 4)
    given = ("--canary", "1", "--canary-wait", "0.5", "--execute", "--reason", "a test", "--json")
    ran = await run_dlq(settings, "replay", WORKER, *given)
    assert (ran.code, ran.json["state"], ran.json["replayed"]) == (4, "stopped", 1), ran.errors


async def test_max_sends_so_many_and_the_rest_is_resumed(settings: Settings) -> None:
    await bury(settings, 9)
    given = ("--rate", "1000", "--execute", "--reason", "a test", "--json")
    first = await run_dlq(settings, "replay", WORKER, "--max", "4", *given)
    assert (first.code, first.json["replayed"], first.json["remaining"]) == (5, 4, 5), first.errors
    assert len(await on_first_tier(settings)) == 4
    rest = await run_dlq(settings, "replay", "--resume", first.json["run"], "--execute", "--json")
    assert (rest.code, rest.json["replayed"]) == (0, 9), rest.errors
    assert orders_of(await on_first_tier(settings)) == sorted(f"ord_{number}" for number in range(9))


async def test_the_rate_is_kept(settings: Settings) -> None:
    await bury(settings, 30)
    async with opened(settings) as tools:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        report = await replay(tools, orders=replace(FAST, rate=10))
        took_s = loop.time() - began_s
    assert report.counts.replayed == 30
    # In steps of 2: the last step leaves 28 records after the first.
    assert took_s >= 28 / 10
    [*times] = sorted(record.timestamp_ms for record in await on_first_tier(settings))
    for first, later in zip(times, times[10:], strict=False):
        assert later - first >= 700
