"""While PostgreSQL or Kafka is away the worker holds still: no retry is used, nothing is dead, and then all goes on."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.common.database import open_database
from services.common.errors import DependencyError
from services.common.settings import Settings
from services.common.topic_admin import apply_topics
from services.common.topics import Topics
from services.engine.producer import KafkaClientError
from services.engine.records import Record
from services.engine.worker import run_worker
from services.operations.backlog import measure_backlog
from services.operations.migrations import migrate
from services.operations.topic_reader import read_topics
from services.sandbox.stack import Stack, temporary_stack
from tests.support.databases import create_database
from tests.support.engine import (
    ROLE,
    WORKER,
    Notebook,
    execute,
    free_port,
    handled,
    health_of,
    is_idle,
    make_table,
    put,
    record_of,
    running_worker,
    sample_of,
)
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

ORDERS = [f"ord_{number}" for number in range(30)]
GRACE_S = 30.0


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers that nobody else uses, since they are stopped."""
    settings = Settings.from_environment(kafka_bootstrap_servers=None, database_url="")
    with temporary_stack(settings, tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
async def own(own_stack: Stack, tmp_path: Path) -> Settings:
    url = await create_database(own_stack.database_url, f"engine_{secrets.token_hex(4)}")
    settings = Settings.from_environment(
        kafka_bootstrap_servers=own_stack.kafka_bootstrap_servers,
        kafka_topic_prefix=f"test-{secrets.token_hex(4)}-",
        kafka_partitions=2,
        database_url=url,
        database_deadline="1s",
        state_directory=tmp_path,
        metrics_port=free_port(),
    )
    await migrate(url)
    await make_table(url)
    await apply_topics(settings)
    return settings


@pytest.mark.parametrize("fault", ["stop", "pause"])
async def test_postgresql_away(own: Settings, own_stack: Stack, fault: str) -> None:
    notebook = Notebook(emits=True)
    async with running_worker(own, notebook.shape):
        await put(own, record_of(own, payment_succeeded("ord_first")))
        await eventually(lambda: notebook.tries("ord_first"))
        hurt, heal = _faults(own_stack, fault)
        await asyncio.to_thread(hurt)
        try:
            await put(own, *(record_of(own, payment_succeeded(order)) for order in ORDERS))
            await eventually(lambda: _is_paused(own))
            # A restart would cure nothing, and a worker that is taken away from its group even less.
            assert await health_of(own, "live") == await health_of(own, "ready") == 200
        finally:
            await asyncio.to_thread(heal)
        await eventually(lambda: _has_resumed(own))
        await eventually(lambda: is_idle(own), every_s=0.5)

    assert set(await handled(own.required_database_url())) == {"ord_first", *ORDERS}
    assert await _retried_or_dead(own) == []


async def test_postgresql_that_takes_no_writes(own: Settings, own_stack: Stack) -> None:
    database = own.required_database_url().rsplit("/", 1)[1]
    await execute(own_stack.database_url, f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    await put(own, *(record_of(own, payment_succeeded(order)) for order in ORDERS))
    async with running_worker(own, Notebook().shape):
        await eventually(lambda: _is_paused(own))
        # Connections from before stay read-only, as they do after a failover.
        await execute(own_stack.database_url, f"ALTER DATABASE {database} RESET default_transaction_read_only")
        await eventually(lambda: _has_resumed(own))
        await eventually(lambda: is_idle(own), every_s=0.5)

    assert set(await handled(own.required_database_url())) == set(ORDERS)
    assert await _retried_or_dead(own) == []


@pytest.mark.timeout(120)
async def test_kafka_away_after_the_commit(own: Settings, own_stack: Stack) -> None:
    notebook = Notebook(emits=True, slow_s=0.3)
    await put(own, *(record_of(own, payment_succeeded(order)) for order in ORDERS))
    async with running_worker(own, notebook.shape):
        await eventually(lambda: notebook.batches)
        await asyncio.to_thread(own_stack.kafka.stop)
        try:
            await eventually(lambda: _is_paused(own), within_s=30)
        finally:
            await asyncio.to_thread(own_stack.kafka.start)
        await eventually(lambda: _has_resumed(own), within_s=30)
        await eventually(lambda: is_idle(own), within_s=30, every_s=0.5)

    emitted = await read_topics(own, [f"{own.kafka_topic_prefix}purchase.adjusted"])
    assert {record.key for record in emitted} == {order.encode() for order in ORDERS}
    assert set(await handled(own.required_database_url())) == set(ORDERS)
    assert await _retried_or_dead(own) == []


@pytest.mark.timeout(120)
async def test_an_idle_worker_shows_that_kafka_is_away(own: Settings, own_stack: Stack) -> None:
    """It sends nothing that could fail, and a broker that hangs tells a consumer nothing."""
    notebook = Notebook()
    async with running_worker(own, notebook.shape):
        await put(own, record_of(own, payment_succeeded("ord_first")))
        await eventually(lambda: is_idle(own), every_s=0.5)
        await asyncio.to_thread(own_stack.kafka.pause)
        try:
            await eventually(lambda: _is_paused(own), within_s=30)
            assert await health_of(own, "live") == await health_of(own, "ready") == 200
        finally:
            await asyncio.to_thread(own_stack.kafka.resume)
        await eventually(lambda: _has_resumed(own), within_s=30)
        await put(own, record_of(own, payment_succeeded("ord_next")))
        await eventually(lambda: notebook.tries("ord_next"), within_s=30)


@pytest.mark.timeout(180)
async def test_a_stop_ends_while_kafka_is_silent_and_loses_nothing(own: Settings, own_stack: Stack) -> None:
    """A broker that is frozen answers nothing and closes nothing."""
    await put(own, *(record_of(own, payment_succeeded(order)) for order in ORDERS))
    stop = asyncio.Event()
    async with open_database(own, role=ROLE, application="test-worker") as database:
        worker = asyncio.create_task(run_worker(own, WORKER, Notebook(slow_s=0.3).shape, stop, database=database))
        await eventually(lambda: handled(own.required_database_url()), within_s=60, every_s=0.02)
        await asyncio.to_thread(own_stack.kafka.pause)
        try:
            stop.set()
            began = time.monotonic()
            await asyncio.wait((worker,), timeout=2 * GRACE_S)
            assert worker.done()
            assert time.monotonic() - began < GRACE_S
        finally:
            await asyncio.to_thread(own_stack.kafka.resume)
        with pytest.raises(ExceptionGroup) as told:
            await worker
    assert told.group_contains(KafkaClientError, match="not closed within")

    async with running_worker(own, Notebook().shape):
        await eventually(lambda: is_idle(own), within_s=60, every_s=0.5)
    assert set(await handled(own.required_database_url())) == set(ORDERS)


@pytest.mark.timeout(180)
async def test_the_backlog_is_told_while_partitions_are_paused_and_after_kafka_came_back(
    own: Settings, own_stack: Stack
) -> None:
    topics = Topics.of(own)
    main = f"{topics.prefix}payment.succeeded", topics.group(WORKER)

    async def behind() -> list[int]:
        """Empty while a broker has only just come back."""
        try:
            return [(await measure_backlog(own)).lag[main]]
        except DependencyError:
            return []

    async def is_done() -> bool:
        return await behind() == [0]

    async with running_worker(own, Notebook().shape):
        await put(own, record_of(own, payment_succeeded("ord_first")))
        await eventually(is_done, every_s=0.5)
        await asyncio.to_thread(own_stack.postgres.stop)
        try:
            await put(own, *(record_of(own, payment_succeeded(order)) for order in ORDERS))
            await eventually(lambda: _is_paused(own))
            # What was fetched before the pause is no less unfinished.
            assert await behind() == [len(ORDERS)]
            await asyncio.to_thread(own_stack.kafka.stop)
            await asyncio.to_thread(own_stack.kafka.start)
            # The first answer is right already.
            assert await eventually(behind, within_s=60, every_s=0.5) == [len(ORDERS)]
        finally:
            await asyncio.to_thread(own_stack.postgres.start)
        await eventually(is_done, within_s=60, every_s=0.5)


def _faults(stack: Stack, name: str) -> tuple[Callable[[], None], Callable[[], None]]:
    server = stack.postgres
    return (server.stop, server.start) if name == "stop" else (server.pause, server.resume)


async def _is_paused(settings: Settings) -> bool:
    return await sample_of(settings, "coursepay_worker_paused", reason="dependency") == 1


async def _has_resumed(settings: Settings) -> bool:
    return not await _is_paused(settings)


async def _retried_or_dead(settings: Settings) -> list[Record]:
    topics = Topics.of(settings)
    return await read_topics(settings, [*topics.tiers(WORKER), topics.dead_letters(WORKER)])
