"""A TCP proxy between the services and PostgreSQL, that cuts and slows what passes through it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from tests.support.chaos.deck import WEATHER_S

_CHUNK_BYTES = 16 * 1024
# SO_LINGER of 0 s: closing sends a reset instead of a farewell.
_RESET = struct.pack("ii", 1, 0)
_SLOW_S = 0.05
_ENDED = (OSError, asyncio.IncompleteReadError)


@dataclass(slots=True, kw_only=True)
class Proxy:
    """`delay_s`: added to every chunk, in both directions."""

    url: str = ""
    delay_s: float = 0.0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def slow_down(self) -> str:
        """For a while."""
        self.delay_s = _SLOW_S
        await asyncio.sleep(WEATHER_S)
        self.delay_s = 0.0
        return ""

    async def cut(self) -> str:
        """Resets every connection; new ones are let through."""
        for writer in self._open:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        return f"{len(self._open) // 2} connections"

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while chunk := await reader.read(_CHUNK_BYTES):
                await asyncio.sleep(self.delay_s)
                writer.write(chunk)
                await writer.drain()
        finally:
            self._open.discard(writer)
            writer.close()


@asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[Proxy]:
    """`url` of PostgreSQL; the proxy's own `url` is the same with another port."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 0
    proxy = Proxy()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.transport.abort()
            return
        ways = (proxy._pass_on(reader, server_writer), proxy._pass_on(server_reader, writer))
        with suppress(*_ENDED):
            await asyncio.gather(*ways, return_exceptions=True)

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        own_port = server.sockets[0].getsockname()[1]
        proxy.url = urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{port}", f":{own_port}")))
        yield proxy
        await proxy.cut()
