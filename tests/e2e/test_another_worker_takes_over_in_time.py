"""kill -9 of a worker under load: within 15 s another process has its partitions and is through with everything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.common.settings import PREFIX, Settings
from services.sandbox.demo.children import Child
from tests.support.dead_letters import environment_of, fetch
from tests.support.engine import free_port, put, record_of, sample_of
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually
from tests.support.recovery import assert_caught_up

WITHIN_S = 15.0
RATE = 100
BEFORE_S, AFTER_S = 2, 5


@pytest.mark.timeout(240)
async def test_within_15_s_of_the_kill(settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with _worker(settings, tmp_path, "one") as one, _worker(settings, tmp_path, "other"):
        await _offer(settings, seconds=BEFORE_S)
        killed_at = asyncio.get_running_loop().time()
        await one.kill()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_offer(settings, seconds=AFTER_S, first=BEFORE_S * RATE))
            tasks.create_task(
                assert_caught_up(settings, request, since=killed_at, within_s=WITHIN_S, workers=["purchase-worker"])
            )
    [bought] = await fetch(settings, "SELECT count(DISTINCT order_id) AS orders FROM student_course_purchases")
    assert bought == {"orders": (BEFORE_S + AFTER_S) * RATE}


@asynccontextmanager
async def _worker(settings: Settings, directory: Path, name: str) -> AsyncIterator[Child]:
    """The purchase worker as a process of its own, with partitions."""
    own = settings.model_copy(update={"metrics_port": free_port()})
    child = Child(
        name,
        arguments=["services.purchase_worker"],
        environment={**environment_of(own), f"{PREFIX}METRICS_PORT": str(own.metrics_port)},
        ready_url=f"http://127.0.0.1:{own.metrics_port}/health/ready",
        log=directory / f"{name}.log",
    )
    await child.start()
    try:
        await child.wait_until_ready()
        await eventually(lambda: sample_of(own, "coursepay_assigned_partitions"), within_s=30, every_s=0.2)
        yield child
    finally:
        await child.stop()


async def _offer(settings: Settings, *, seconds: int, first: int = 0) -> None:
    for second in range(seconds):
        orders = range(first + second * RATE, first + (second + 1) * RATE)
        await put(settings, *(record_of(settings, payment_succeeded(f"ord_{order}")) for order in orders))
        await asyncio.sleep(1)
