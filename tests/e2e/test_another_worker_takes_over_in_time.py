"""kill -9 of a worker under load: soon another process has its partitions and is through with everything. One of each
kind at the same time. Each order is of another student, so that no decision waits for one that died.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from services.common.settings import PREFIX, Settings
from services.common.topics import WORKERS
from services.processes.catalogue import SERVICES
from services.sandbox.demo.children import Child
from tests.support.dead_letters import environment_of, fetch
from tests.support.engine import free_port, put, record_of, sample_of
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually
from tests.support.recovery import assert_caught_up

# On a machine of its own half of the goal of 15 s; the suite runs beside other work.
WITHIN_S = 30.0
RATE = 50
BEFORE_S, AFTER_S = 2, 5
DONE = """
    SELECT (SELECT count(DISTINCT order_id) FROM student_course_purchases) AS bought,
           (SELECT count(DISTINCT purchase_id) FROM trainer_allocations) AS decided,
           (SELECT count(DISTINCT order_id) FROM notifications) AS told
"""


@pytest.mark.timeout(240)
async def test_soon_after_the_kill(settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with _two_of_each(settings, tmp_path) as victims:
        await _offer(settings, seconds=BEFORE_S)
        killed_at = asyncio.get_running_loop().time()
        await asyncio.gather(*(victim.kill() for victim in victims))
        # Before anybody looks, or there might be nothing to be behind with.
        await _offer(settings, seconds=1, first=BEFORE_S * RATE)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_offer(settings, seconds=AFTER_S - 1, first=(BEFORE_S + 1) * RATE))
            tasks.create_task(assert_caught_up(settings, request, since=killed_at, within_s=WITHIN_S))
        orders = (BEFORE_S + AFTER_S) * RATE
        # What failed as its process died may wait on a tier, which is not behind.
        await eventually(partial(_all_are_done, settings, orders), within_s=WITHIN_S, every_s=0.5)


async def _all_are_done(settings: Settings, orders: int) -> bool:
    return await fetch(settings, DONE) == [{"bought": orders, "decided": orders, "told": orders}]


@asynccontextmanager
async def _two_of_each(settings: Settings, directory: Path) -> AsyncIterator[list[Child]]:
    """Each with partitions. Yields one of each kind."""
    pairs = [(worker, free_port()) for worker in (*WORKERS, *WORKERS)]
    children = [_child(settings, directory, worker, port) for worker, port in pairs]
    try:
        for child in children:
            await child.start()
        for child, (_, port) in zip(children, pairs, strict=True):
            await child.wait_until_ready()
            shown_at = settings.model_copy(update={"metrics_port": port})
            await eventually(partial(sample_of, shown_at, "coursepay_assigned_partitions"), within_s=60, every_s=0.2)
        yield children[: len(WORKERS)]
    finally:
        await asyncio.gather(*(child.stop() for child in children))


def _child(settings: Settings, directory: Path, worker: str, port: int) -> Child:
    return Child(
        worker,
        arguments=[SERVICES[worker]],
        environment={**environment_of(settings), f"{PREFIX}METRICS_PORT": str(port)},
        ready_url=f"http://127.0.0.1:{port}/health/ready",
        log=directory / f"{worker}-{port}.log",
    )


async def _offer(settings: Settings, *, seconds: int, first: int = 0) -> None:
    for second in range(seconds):
        orders = range(first + second * RATE, first + (second + 1) * RATE)
        await put(
            settings,
            *(
                record_of(settings, payment_succeeded(f"ord_{order}", student_id=f"student-{order}"))
                for order in orders
            ),
        )
        await asyncio.sleep(1)
