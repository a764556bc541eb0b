"""The gateway's payment tasks, run beside a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.gateway_api.payments.tasks import run_payment_tasks
from tests.support.gateway import Gateway


@asynccontextmanager
async def task_workers(gateway: Gateway, count: int = 1) -> AsyncIterator[None]:
    drained = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(run_payment_tasks(gateway.dependencies, drained))
        try:
            yield
        finally:
            drained.set()
