"""The gateway: HTTP API, outbox relay and payment tasks in one process. `python -m services.gateway_api`."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace

import aiohttp
import structlog

from services.common.codec import Codec, load_codec, open_codec
from services.common.database import open_database
from services.common.errors import DependencyError
from services.common.metrics import Metrics
from services.common.runtime import GATEWAY_POINTS, arm, run_service
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.producer import Producer, open_producer
from services.gateway_api.app import create_app
from services.gateway_api.callers.idempotency_sweep import run_key_sweep
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import DATABASE_DEADLINE, REGISTRY_AGAIN_S
from services.gateway_api.payments.sweeps import run_sweeps
from services.gateway_api.payments.tasks import run_payment_tasks
from services.gateway_api.providers import load_providers
from services.gateway_api.publishing.relay import run_relay
from services.gateway_api.web.listener import listen

log = structlog.get_logger()


async def serve(settings: Settings, stop: asyncio.Event, *, on_listening: Callable[[int], None] | None = None) -> None:
    """Until `stop`. Then: readiness fails, no new connection, running requests finish, the relay publishes what they
    wrote and ends, the pool closes.
    """
    arm(settings, GATEWAY_POINTS)
    # A browser waits for this database: a request gives up before the 2 s that it was promised.
    quick = settings.model_copy(update={"database_deadline": DATABASE_DEADLINE})
    topics = Topics.of(settings)
    async with (
        open_database(quick, role="coursepay_gateway", application="coursepay-gateway") as database,
        aiohttp.ClientSession() as http,
        open_producer(settings, client_id="coursepay-gateway") as producer,
    ):
        dependencies = Dependencies(
            settings=settings,
            database=database,
            codec=load_codec(),
            topics=topics,
            metrics=Metrics("gateway", topics),
            http=http,
            providers=load_providers(settings, http),
        )
        drained = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_relay(dependencies, producer, drained), name="relay")
            tasks.create_task(run_payment_tasks(dependencies, drained), name="payment tasks")
            tasks.create_task(run_sweeps(dependencies, drained), name="provider sweeps")
            tasks.create_task(run_key_sweep(database, drained), name="key sweep")
            tasks.create_task(_serve_http(dependencies, stop, drained, on_listening), name="http")


async def _serve_http(
    dependencies: Dependencies,
    stop: asyncio.Event,
    drained: asyncio.Event,
    on_listening: Callable[[int], None] | None,
) -> None:
    settings = dependencies.settings
    app = create_app(dependencies, draining=stop.is_set)
    async with listen(
        app, host=settings.gateway_host, port=settings.gateway_port, connections_max=settings.max_connections
    ) as port:
        log.info("listening", address=settings.gateway_host, port=port)
        if on_listening is not None:
            on_listening(port)
        await stop.wait()
    drained.set()


async def _relay(dependencies: Dependencies, producer: Producer, drained: asyncio.Event) -> None:
    """A registry that is away delays publishing only: the outbox stores bodies without its ids."""
    opening = asyncio.create_task(_open_codec(dependencies.settings))
    stopping = asyncio.create_task(drained.wait())
    try:
        await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            await run_relay(replace(dependencies, codec=opening.result()), producer, drained)
    finally:
        opening.cancel()
        stopping.cancel()


async def _open_codec(settings: Settings) -> Codec:
    while True:
        try:
            return await open_codec(settings)
        except DependencyError as error:
            log.warning("registry_away", error=str(error))
            await asyncio.sleep(REGISTRY_AGAIN_S)


if __name__ == "__main__":
    sys.exit(run_service("gateway", serve))
