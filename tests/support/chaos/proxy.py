"""A TCP proxy between the services and a server of this machine: it cuts, resets, slows and holds what passes."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.chaos.deck import STOPPED_S, WEATHER_S

_HOST = "127.0.0.1"
_CHUNK_BYTES = 16 * 1024
# SO_LINGER of 0 s: closing sends a reset instead of a farewell.
_RESET = struct.pack("ii", 1, 0)
_SLOW_S = 0.05
_ENDED = (OSError, asyncio.IncompleteReadError)
# As asyncpg sends it; the server's answer has no semicolon.
_COMMIT = b"COMMIT;"


@dataclass(slots=True, kw_only=True)
class Proxy:
    """`delay_s`: added to every chunk, in both directions."""

    port: int = 0
    delay_s: float = 0.0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _commit: "asyncio.Future[None] | None" = None

    async def slow_down(self) -> str:
        """For a while."""
        self.delay_s = _SLOW_S
        await asyncio.sleep(WEATHER_S)
        self.delay_s = 0.0
        return ""

    async def part(self) -> str:
        """Nothing passes for longer than a consumer's session, and nobody is told: a network that falls apart."""
        self._flowing.clear()
        await asyncio.sleep(STOPPED_S)
        self._flowing.set()
        return ""

    async def cut(self) -> str:
        """Closes every connection in an orderly way; new ones are let through."""
        for writer in self._open:
            writer.close()
        return self._count()

    async def reset(self) -> str:
        """Resets every connection."""
        for writer in self._open:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        return self._count()

    async def hold_commit(self, *, within_s: float) -> bool:
        """Whether a COMMIT came in time: it was passed on, and nothing passes after it, until `release`."""
        self._commit = asyncio.get_running_loop().create_future()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._commit
        self._commit = None
        return not self._flowing.is_set()

    async def release(self) -> None:
        """What was held is lost."""
        await self.reset()
        self._flowing.set()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while chunk := await reader.read(_CHUNK_BYTES):
                await asyncio.sleep(self.delay_s)
                await self._flowing.wait()
                writer.write(chunk)
                if self._commit is not None and not self._commit.done() and _COMMIT in chunk:
                    self._flowing.clear()
                    self._commit.set_result(None)
                await writer.drain()
        finally:
            self._open.discard(writer)
            writer.close()

    def _count(self) -> str:
        return f"{len(self._open) // 2} connections"


@asynccontextmanager
async def proxy_to(port: int, *, own_port: int = 0) -> AsyncIterator[Proxy]:
    """In front of `port` of this machine. `own_port`: where it listens; 0 for any."""
    proxy = Proxy()
    await proxy.release()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(_HOST, port)
        except OSError:
            writer.transport.abort()
            return
        ways = (proxy.pass_on(reader, server_writer), proxy.pass_on(server_reader, writer))
        with suppress(*_ENDED):
            await asyncio.gather(*ways, return_exceptions=True)

    async with await asyncio.start_server(accept, _HOST, own_port) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy
        await proxy.release()


def port_in(address: str) -> int:
    """Of `host:port` or of a URL."""
    return urlsplit(address if "//" in address else f"//{address}").port or 0


def behind(address: str, proxy: Proxy) -> str:
    """The same address with the proxy's port."""
    return address.replace(f":{port_in(address)}", f":{proxy.port}")
