"""Kill -9 between two steps: what was not committed comes again, and everything arrives."""

import asyncio
import signal

import pytest

from services.common.runtime import AFTER_OFFSETS, BEFORE_HANDLING, ENGINE_POINTS, IN_TRANSACTION
from services.common.settings import Settings
from services.operations.topic_reader import read_topics
from tests.support.engine import dead_letters, execute, handled, is_idle, on_tier, put, record_of
from tests.support.engine_worker import FAILING, worker_process
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

ORDERS = {f"ord_{number}" for number in range(60)}
# A killed member stays in its group until its session times out.
WITHIN_S = 60.0


@pytest.mark.timeout(150)
@pytest.mark.parametrize("point", ENGINE_POINTS)
async def test_killed_at(ladder: Settings, point: str) -> None:
    await put(ladder, *(record_of(ladder, payment_succeeded(order)) for order in (*ORDERS, FAILING)))

    async with worker_process(ladder, crash_point=point) as doomed:
        assert await asyncio.wait_for(doomed.wait(), WITHIN_S) == -signal.SIGKILL
    committed = await handled(ladder.required_database_url())
    assert bool(committed) is (point not in {BEFORE_HANDLING, IN_TRANSACTION})
    # Once offsets were committed, there may be nothing left but retries.
    assert point == AFTER_OFFSETS or not await is_idle(ladder)

    async with worker_process(ladder) as heir:
        await eventually(lambda: is_idle(ladder), within_s=WITHIN_S, every_s=0.5)
        await eventually(lambda: dead_letters(ladder), every_s=0.5)
        heir.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(heir.wait(), WITHIN_S) == 0

    assert set(await handled(ladder.required_database_url())) == ORDERS
    emitted = await read_topics(ladder, [f"{ladder.kafka_topic_prefix}purchase.adjusted"])
    assert {record.key for record in emitted} == {order.encode() for order in ORDERS}
    for tier in ladder.retry_delays_s:
        assert {record.key for record in await on_tier(ladder, tier)} == {FAILING.encode()}
    # A clean end leaves no suspicion behind; the row of a partition that had no more records counts nothing.
    suspicion = "SELECT 1 / (NOT EXISTS (SELECT FROM worker_crashes WHERE unclean_starts > 0))::int"
    await execute(ladder.required_database_url(), suspicion)
