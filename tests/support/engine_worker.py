"""A worker process that a test may kill: the notebook's handler, an event for each record, one order that fails, and
one that kills the process, as a fault inside a library would. What a killed one had moves on within two seconds.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from subprocess import DEVNULL
from unittest import mock

from services.common import kafka_config
from services.common.database import Transaction, open_database
from services.common.errors import TransientError
from services.common.events import PaymentSucceeded
from services.common.runtime import run_service
from services.common.settings import Settings, child_environment
from services.engine.outcomes import Batched, Outcome
from services.engine.worker import run_worker
from tests.support.engine import ROLE, WORKER, Notebook

FAILING = "ord_bad"
DEADLY = "ord_deadly"
_SESSION_S = 2.0


@asynccontextmanager
async def worker_process(settings: Settings, *, crash_point: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
    """Killed on exit when it still runs."""
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


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    notebook = Notebook(emits=True, failing={FAILING: TransientError("not now")})

    async def handle(events: Sequence[PaymentSucceeded], transaction: Transaction) -> Sequence[Outcome]:
        if any(event.order_id == DEADLY for event in events):
            os.kill(os.getpid(), signal.SIGKILL)
        return await notebook.handle(events, transaction)

    async with open_database(settings, role=ROLE, application="test-worker") as database:
        await run_worker(settings, WORKER, Batched({PaymentSucceeded: handle}), stop, database=database)


if __name__ == "__main__":
    with mock.patch.object(kafka_config, "SESSION_TIMEOUT_S", _SESSION_S):
        sys.exit(run_service(WORKER, serve))
