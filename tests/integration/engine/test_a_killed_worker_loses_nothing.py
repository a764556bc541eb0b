"""Kill -9 between two steps: what was not committed comes again, and everything arrives."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from subprocess import DEVNULL

import pytest

from services.common.runtime import AFTER_ACKNOWLEDGEMENT, AFTER_COMMIT, IN_TRANSACTION
from services.common.settings import Settings, child_environment
from services.operations.topic_reader import read_topics
from tests.support.engine import dead_letters, execute, handled, is_idle, on_tier, put, record_of
from tests.support.engine_worker import FAILING
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

ORDERS = {f"ord_{number}" for number in range(60)}
# A killed member stays in its group until its session times out.
WITHIN_S = 60.0


@pytest.mark.timeout(150)
@pytest.mark.parametrize("point", [IN_TRANSACTION, AFTER_COMMIT, AFTER_ACKNOWLEDGEMENT])
async def test_killed_at(ladder: Settings, point: str) -> None:
    await put(ladder, *(record_of(ladder, payment_succeeded(order)) for order in (*ORDERS, FAILING)))

    async with _worker(ladder, crash_point=point) as doomed:
        assert await asyncio.wait_for(doomed.wait(), WITHIN_S) == -signal.SIGKILL
    committed = await handled(ladder.required_database_url())
    assert bool(committed) is (point != IN_TRANSACTION)
    assert not await is_idle(ladder)

    async with _worker(ladder) as heir:
        await eventually(lambda: is_idle(ladder), within_s=WITHIN_S, every_s=0.5)
        await eventually(lambda: dead_letters(ladder), every_s=0.5)
        heir.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(heir.wait(), WITHIN_S) == 0

    assert set(await handled(ladder.required_database_url())) == ORDERS
    emitted = await read_topics(ladder, [f"{ladder.kafka_topic_prefix}purchase.adjusted"])
    assert {record.key for record in emitted} == {order.encode() for order in ORDERS}
    for tier in ladder.retry_delays_s:
        assert {record.key for record in await on_tier(ladder, tier)} == {FAILING.encode()}
    # A clean end leaves no suspicion behind.
    await execute(ladder.required_database_url(), "SELECT 1 / (NOT EXISTS (TABLE worker_crashes))::int")


@asynccontextmanager
async def _worker(settings: Settings, *, crash_point: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
    environment = child_environment(
        {
            "COURSEPAY_KAFKA_BOOTSTRAP_SERVERS": settings.required_bootstrap_servers(),
            "COURSEPAY_KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
            "COURSEPAY_KAFKA_PARTITIONS": str(settings.kafka_partitions),
            "COURSEPAY_DATABASE_URL": settings.required_database_url(),
            "COURSEPAY_RETRY_DELAYS": settings.retry_delays,
            "COURSEPAY_METRICS_PORT": "0",
            "COURSEPAY_CRASH_POINT": crash_point,
        }
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.engine_worker", env=environment, stdout=DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
