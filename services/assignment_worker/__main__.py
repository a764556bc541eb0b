"""The assignment worker. `python -m services.assignment_worker`."""

import asyncio
import sys
from functools import partial

from services.assignment_worker.departures import look_after_departures
from services.assignment_worker.handler import purchase_adjusted, purchase_created
from services.assignment_worker.pendings import look_after_pendings
from services.assignment_worker.tally import Tally
from services.common.codec import load_codec
from services.common.database import open_database
from services.common.events import PurchaseAdjusted, PurchaseCreated
from services.common.metrics import Metrics
from services.common.runtime import run_service
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.worker import Concurrent, run_worker


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    metrics = Metrics("assignment-worker", Topics.of(settings))
    created = partial(purchase_created, tally=Tally(metrics))
    shape = Concurrent({PurchaseCreated: created, PurchaseAdjusted: purchase_adjusted})
    async with (
        open_database(
            settings, role="coursepay_assignment_worker", application="coursepay-assignment-worker"
        ) as database,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(look_after_pendings(database, load_codec(), stop))
        tasks.create_task(look_after_departures(database, load_codec(), stop))
        await run_worker(settings, "assignment-worker", shape, stop, database=database, own=metrics)


if __name__ == "__main__":
    sys.exit(run_service("assignment-worker", serve))
