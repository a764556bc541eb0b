import asyncio

import aiohttp
import pytest
from aiohttp import web

from services.common.errors import ConfigurationError
from services.gateway_api.web.listener import listen

HOST = "127.0.0.1"


def _app() -> web.Application:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    return app


async def test_above_the_cap_a_caller_hears_503_and_below_it_again_200() -> None:
    async with listen(_app(), host=HOST, port=0, connections_max=2) as port:
        idle = [await asyncio.open_connection(HOST, port) for _ in range(2)]
        reader, writer = await asyncio.open_connection(HOST, port)
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 503")
            assert b"Retry-After: 1" in await reader.read()
        writer.close()
        for _, kept in idle:
            kept.close()
            await kept.wait_closed()
        async with aiohttp.ClientSession() as http, http.get(f"http://{HOST}:{port}/") as answer:
            assert await answer.text() == "hello"


async def test_a_port_in_use_is_one_sentence_that_names_the_setting() -> None:
    async with listen(_app(), host=HOST, port=0, connections_max=2) as port:
        with pytest.raises(ConfigurationError, match=f"{HOST}:{port} cannot be listened on .*COURSEPAY_GATEWAY_PORT"):
            async with listen(_app(), host=HOST, port=port, connections_max=2):
                raise AssertionError("two servers on one port")


async def test_a_running_request_is_finished_before_the_listener_ends() -> None:
    started, go = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        started.set()
        await go.wait()
        return web.Response(text="done")

    app = web.Application()
    app.router.add_get("/", slow)
    async with aiohttp.ClientSession() as http:
        async with listen(app, host=HOST, port=0, connections_max=2) as port:
            call = asyncio.create_task(_text(http, f"http://{HOST}:{port}/"))
            await started.wait()
            asyncio.get_running_loop().call_later(0.1, go.set)
        assert await call == "done"


async def _text(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url) as answer:
        return await answer.text()
