"""Listening with a cap on connections: above it a caller hears 503 at once instead of waiting in a queue unseen.

aiohttp closes a connection that sends no complete request within the keep-alive time, so idle ones leave the cap.
"""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from services.common.errors import ConfigurationError
from services.gateway_api.limits import DRAIN_S, KEEP_ALIVE_S, RETRY_AFTER_S

_FULL = (
    "HTTP/1.1 503 Service Unavailable\r\n"
    f"Retry-After: {RETRY_AFTER_S}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
).encode()
_UNUSABLE = frozenset({errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL})


@asynccontextmanager
async def listen(app: web.Application, *, host: str, port: int, connections_max: int) -> AsyncIterator[int]:
    """Yields the port (chosen by the OS when 0). On exit no connection is accepted any more and running requests get
    DRAIN_S to finish. Raises ConfigurationError when the address cannot be listened on.
    """
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=DRAIN_S)
    await runner.setup()
    http = runner.server
    assert http is not None

    def accept() -> asyncio.Protocol:
        return http() if len(http.connections) < connections_max else _Refusal()

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
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_FULL)
        transport.close()
