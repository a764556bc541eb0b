"""A worker process that a test may kill: the notebook's handler, an event for each record, and one order that fails."""

import asyncio
import sys

from services.common.database import open_database
from services.common.errors import TransientError
from services.common.runtime import run_service
from services.common.settings import Settings
from services.engine.worker import run_worker
from tests.support.engine import ROLE, WORKER, Notebook

FAILING = "ord_bad"


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    notebook = Notebook(emits=True, failing={FAILING: TransientError("not now")})
    async with open_database(settings, role=ROLE, application="test-worker") as database:
        await run_worker(settings, WORKER, notebook.shape, stop, database=database)


if __name__ == "__main__":
    sys.exit(run_service(WORKER, serve))
