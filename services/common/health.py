"""/metrics, /health/live and /health/ready of a worker, on METRICS_PORT (the gateway serves its own).

Live: the poll loop ticked lately and the event loop answers. No dependency is asked: a restart cures none.
Ready: the service can work. A worker that is paused for a dependency is live and ready.
"""

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from services.common.errors import ConfigurationError

Check = Callable[[], bool]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve_health(
    *, host: str, port: int, registry: CollectorRegistry, live: Check, ready: Check
) -> AsyncIterator[int]:
    """Yields the port in use. Raises ConfigurationError when it is taken."""
    app = web.Application()
    app.router.add_get("/metrics", metrics_handler(registry))
    app.router.add_get("/health/live", check_handler(live))
    app.router.add_get("/health/ready", check_handler(ready))
    async with listen(app, host=host, port=port, setting="COURSEPAY_METRICS_PORT") as bound:
        yield bound


@asynccontextmanager
async def listen(app: web.Application, *, host: str, port: int, setting: str) -> AsyncIterator[int]:
    """Serves `app` until exit; yields the port (chosen by the OS when 0). Raises ConfigurationError naming `setting`
    when the port is taken.
    """
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=15.0, shutdown_timeout=10.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}:
                raise ConfigurationError(
                    f"{host}:{port} cannot be listened on ({error.strerror}); set {setting} to a free port"
                ) from None
            raise
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def metrics_handler(registry: CollectorRegistry) -> Handler:
    async def metrics(request: web.Request) -> web.Response:
        # OpenMetrics for who asks for it, as Prometheus does: only that has exemplars.
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=encode(registry), headers={hdrs.CONTENT_TYPE: content_type})

    return metrics


def check_handler(check: Check) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        passed = check()
        return web.json_response({"status": "ok" if passed else "failing"}, status=200 if passed else 503)

    return answer
