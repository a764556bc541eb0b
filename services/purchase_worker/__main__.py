"""The purchase worker. `python -m services.purchase_worker`."""

import asyncio
import sys

from services.common.database import open_database
from services.common.events import PaymentAdjusted, PaymentSucceeded
from services.common.runtime import run_service
from services.common.settings import Settings
from services.engine.worker import Batched, run_worker
from services.purchase_worker.handler import PurchaseHandler


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    handler = PurchaseHandler(settings.expiry_days_by_tier)
    shape = Batched(
        {PaymentSucceeded: handler.payments_succeeded, PaymentAdjusted: handler.payments_adjusted},
    )
    async with open_database(
        settings, role="coursepay_purchase_worker", application="coursepay-purchase-worker"
    ) as database:
        await run_worker(settings, "purchase-worker", shape, stop, database=database)


if __name__ == "__main__":
    sys.exit(run_service("purchase-worker", serve))
