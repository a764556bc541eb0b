"""/health/live, /health/ready, /metrics and /openapi.json of the gateway, on its own port."""

import asyncio
import time
from collections.abc import Callable

import orjson
from aiohttp import web

from services.common.database import Database
from services.common.health import check_handler, metrics_handler
from services.common.metrics import Metrics
from services.gateway_api.routing.openapi import openapi_document

_PROBE_S = 1.0


class Readiness:
    """Ready: not draining, and PostgreSQL takes writes. Kafka does not count: a payment is confirmed without it.

    An answer is kept for a second and whoever asks meanwhile waits for the same probe, so that asking costs the
    database nothing, however many do.
    """

    def __init__(self, database: Database, *, draining: Callable[[], bool]) -> None:
        self._database = database
        self._draining = draining
        self._passed = False
        self._asked_at: float | None = None
        self._asking: asyncio.Task[None] | None = None

    async def passes(self) -> bool:
        if self._draining():
            return False
        if self._asked_at is None or time.monotonic() - self._asked_at >= _PROBE_S:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            # One who hangs up must not take the others' probe along.
            await asyncio.shield(self._asking)
        return self._passed

    async def _ask(self) -> None:
        self._passed = await self._database.probe(within_s=_PROBE_S)
        self._asked_at = time.monotonic()


def routes(metrics: Metrics, database: Database, readiness: Readiness) -> list[web.RouteDef]:
    document = orjson.dumps(openapi_document())
    expose = metrics_handler(metrics.registry)

    async def scrape(request: web.Request) -> web.StreamResponse:
        idle = database.pool.get_idle_size()
        metrics.db_pool_connections.labels("idle").set(idle)
        metrics.db_pool_connections.labels("used").set(database.pool.get_size() - idle)
        return await expose(request)

    async def ready(_request: web.Request) -> web.Response:
        passed = await readiness.passes()
        return web.json_response({"status": "ok" if passed else "failing"}, status=200 if passed else 503)

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json")

    return [
        web.get("/health/live", check_handler(lambda: True)),
        web.get("/health/ready", ready),
        web.get("/metrics", scrape),
        web.get("/openapi.json", openapi),
    ]
