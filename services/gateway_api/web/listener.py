"""Listening with a cap on connections: above it a caller hears 503 at once instead of waiting in a queue unseen.

Those that send no complete request in time, or do not read their answers, are closed and leave the cap.
"""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web

from services.common.errors import ConfigurationError
from services.gateway_api.limits import DRAIN_S, IDLE_S, RETRY_AFTER_S, STALLED_S
from services.gateway_api.web.connections import connections_of

_FULL = (
    "HTTP/1.1 503 Service Unavailable\r\n"
    f"Retry-After: {RETRY_AFTER_S}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
).encode()
_UNUSABLE = frozenset({errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL})


@asynccontextmanager
async def listen(
    app: web.Application,
    *,
    host: str,
    port: int,
    connections_max: int,
    idle_s: float = IDLE_S,
    stalled_s: float = STALLED_S,
) -> AsyncIterator[int]:
    """Yields the port (chosen by the OS when 0). On exit no connection is accepted any more and running requests get
    DRAIN_S to finish. Raises ConfigurationError when the address cannot be listened on.
    """
    runner = web.AppRunner(app, shutdown_timeout=DRAIN_S)
    await runner.setup()
    http = runner.server
    assert http is not None
    connect = connections_of(http, idle_s=idle_s, stalled_s=stalled_s)

    def accept() -> asyncio.Protocol:
        return connect() if len(http.connections) < connections_max else _Refusal()

    try:
        server = await asyncio.get_running_loop().create_server(accept, host, port)
    except OSError as error:
        await runner.cleanup()
        if error.errno in _UNUSABLE:
            raise ConfigurationError(
                f"{host}:{port} cannot be listened on ({error.strerror}); set COURSEPAY_GATEWAY_HOST and"
                " COURSEPAY_GATEWAY_PORT to a free address"
            ) from None
        raise
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await runner.cleanup()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        refused = cast("asyncio.WriteTransport", transport)
        refused.write(_FULL)
        refused.close()
