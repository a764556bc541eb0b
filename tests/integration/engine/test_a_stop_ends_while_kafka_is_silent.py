"""A broker that is frozen answers nothing and closes nothing; a worker that is told to stop ends all the same."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from services.common.database import open_database
from services.common.settings import Settings
from services.common.topic_admin import apply_topics
from services.engine.producer import KafkaClientError
from services.engine.worker import run_worker
from services.sandbox.stack import Stack, temporary_stack
from tests.support.engine import ROLE, WORKER, Notebook, handled, is_idle, make_table, put, record_of, running_worker
from tests.support.events import payment_succeeded
from tests.support.eventually import eventually

ORDERS = [f"ord_{number}" for number in range(20)]
GRACE_S = 30.0


@pytest.fixture
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A broker that nobody else uses, since it is frozen."""
    settings = Settings.from_environment(kafka_bootstrap_servers=None, database_url="")
    with temporary_stack(settings, tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.mark.timeout(180)
async def test_a_worker_stops_in_time_before_a_frozen_broker_and_loses_nothing(
    own_stack: Stack, settings: Settings
) -> None:
    own = settings.model_copy(update={"kafka_bootstrap_servers": own_stack.kafka_bootstrap_servers})
    await asyncio.gather(apply_topics(own), make_table(own.required_database_url()))
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
