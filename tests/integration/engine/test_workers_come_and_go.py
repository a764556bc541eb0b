"""Partitions that change hands lose nothing, and double nothing while everybody leaves in good order."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from services.common.settings import Settings
from services.common.topics import Topics
from services.operations.topic_reader import read_topics
from tests.support.engine import Notebook, free_port, handled, is_idle, put, record_of, running_worker, sample_of
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

ROUNDS = 20
ORDERS_A_ROUND = 50
_UNTIDY = {"revoked_with_work_in_flight", "revoked_without_commit", "partitions_lost", "kafka_consumer_error"}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_a_second_worker_joins_and_the_first_one_leaves(ladder: Settings, protocol: str) -> None:
    own = ladder.model_copy(update={"group_protocol": protocol, "metrics_port": free_port()})
    beside = own.model_copy(update={"metrics_port": free_port()})
    first, second = Notebook(slow_s=0.02), Notebook(slow_s=0.02)
    orders = [f"ord_{number}" for number in range(ROUNDS * ORDERS_A_ROUND)]

    async def load() -> None:
        for start in range(0, len(orders), ORDERS_A_ROUND):
            await put(own, *(record_of(own, payment_succeeded(o)) for o in orders[start : start + ORDERS_A_ROUND]))
            await asyncio.sleep(0.2)

    with capture_logs() as logs:
        await _join_and_leave(own, beside, first, second, load)

    times = await handled(own.required_database_url())
    assert times.keys() == set(orders)
    # A machine too busy to leave in time hands over unfinished work, which is then done again.
    if not _UNTIDY.intersection(line["event"] for line in logs):
        assert set(times.values()) == {1}


async def _join_and_leave(
    own: Settings, beside: Settings, first: Notebook, second: Notebook, load: Callable[[], Coroutine[None, None, None]]
) -> None:
    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as staying:
        loading = tasks.create_task(load())
        async with running_worker(own, first.shape):
            await eventually(lambda: first.batches)
            await staying.enter_async_context(running_worker(beside, second.shape))
            await eventually(lambda: sample_of(beside, "coursepay_assigned_partitions"), within_s=30, every_s=0.2)
        await loading
        await eventually(lambda: is_idle(own), within_s=30, every_s=0.5)


async def test_a_graceful_stop_commits_what_was_finished(ladder: Settings) -> None:
    orders = [f"ord_{number}" for number in range(100)]
    notebook = Notebook(emits=True)
    await put(ladder, *(record_of(ladder, payment_succeeded(order)) for order in orders))
    async with running_worker(ladder, notebook.shape):
        await eventually(lambda: notebook.batches)

    async with running_worker(ladder, notebook.shape):
        await eventually(lambda: is_idle(ladder), every_s=0.5)
    assert await handled(ladder.required_database_url()) == dict.fromkeys(orders, 1)
    emitted = await read_topics(ladder, [Topics.of(ladder).prefix + "purchase.adjusted"])
    assert sorted(record.key or b"" for record in emitted) == sorted(order.encode() for order in orders)
