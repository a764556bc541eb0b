"""Five hundred callers who say nothing, or little by little, and students who pay meanwhile; who does not listen."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from services.common.settings import Settings
from services.gateway_api.limits import BODY_READ_S
from services.gateway_api.web.listener import listen
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.raw_http import request

HOST = "127.0.0.1"
OF_EACH_KIND = 167
ORDERS = 80
HEAD = request("POST", "/api/v1/payments/confirm", "Content-Type: application/json", "Content-Length: 16000")
ASKING = request("GET", "/openapi.json") * 20
Caller = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _says_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _drips_a_head(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _drip(writer, b"GET / HTTP/1.1\r\nHost: shop\r\nX-Slow: " + b"a" * 8000)


async def _drips_a_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    await _drip(writer, b" " * 8000)


async def _does_not_listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(ASKING)
        await writer.drain()


async def _drip(writer: asyncio.StreamWriter, content: bytes) -> None:
    for position in range(len(content)):
        writer.write(content[position : position + 1])
        await writer.drain()
        await asyncio.sleep(0.3)


@asynccontextmanager
async def _slow_callers(port: int, kinds: tuple[Caller, ...], count: int) -> AsyncIterator[list[asyncio.Task[None]]]:
    """`count` of each kind, connected when it begins."""
    connected = asyncio.Semaphore(0)

    async def call(behave: Caller) -> None:
        # Little room, so that a caller who does not listen is noticed soon.
        reader, writer = await asyncio.open_connection(HOST, port, limit=1024)
        connected.release()
        try:
            await behave(reader, writer)
        except ConnectionError:
            pass
        finally:
            # Not close(): that would wait until what was not listened to is sent.
            writer.transport.abort()

    tasks = [asyncio.create_task(call(kind)) for kind in kinds for _ in range(count)]
    try:
        for _ in tasks:
            await connected.acquire()
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _seconds_of(gateway: GatewayProcess, number: int) -> float:
    started = time.monotonic()
    assert await gateway.confirm(number) == 200
    return time.monotonic() - started


async def test_students_pay_beside_five_hundred_slow_connections(settings: Settings, tmp_path: Path) -> None:
    kinds = (_says_nothing, _drips_a_head, _drips_a_body)
    async with (
        gateway_process(settings, tmp_path, orders=ORDERS) as gateway,
        _slow_callers(gateway.port, kinds, OF_EACH_KIND) as callers,
    ):
        assert len(callers) == 501
        alone = [await _seconds_of(gateway, number) for number in range(1, ORDERS // 2 + 1)]
        together = await asyncio.gather(
            *(_seconds_of(gateway, number) for number in range(ORDERS // 2 + 1, ORDERS + 1))
        )
        # A body has ten seconds, so that on a slow machine some are cut off already.
        assert sum(not task.done() for task in callers) > 250
    # Less than what a dripping body may take; on a machine of its own it is hundredths of a second.
    assert max(*alone, *together) < BODY_READ_S


async def test_a_connection_is_closed_whose_head_does_not_come_or_whose_answers_nobody_reads() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 100_000)

    app = web.Application()
    app.router.add_get("/openapi.json", answer)
    async with listen(app, host=HOST, port=0, connections_max=100, idle_s=0.5, stalled_s=1.0) as port:
        kinds = (_says_nothing, _drips_a_head, _does_not_listen)
        async with _slow_callers(port, kinds, 3) as callers, asyncio.timeout(20):
            await asyncio.gather(*callers)


async def test_a_second_request_has_as_little_time_as_the_first() -> None:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    async with listen(app, host=HOST, port=0, connections_max=2, idle_s=0.5) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        for _ in range(2):
            # The connection stays open: what closes it below is the time.
            writer.write(request("GET", "/"))
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET / HT")
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
