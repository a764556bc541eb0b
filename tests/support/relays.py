"""A gateway's relays, run beside a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.engine.producer import open_producer
from services.gateway_api.publishing.relay import run_relay
from tests.support.gateway import Gateway


@asynccontextmanager
async def running_relays(gateway: Gateway, count: int = 1) -> AsyncIterator[list[asyncio.Task[None]]]:
    drained = asyncio.Event()
    async with open_producer(gateway.settings, client_id="test") as producer:
        tasks = [asyncio.create_task(run_relay(gateway.dependencies, producer, drained)) for _ in range(count)]
        try:
            yield tasks
        finally:
            drained.set()
            await asyncio.gather(*tasks, return_exceptions=True)
