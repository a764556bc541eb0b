"""An outside service for tests: a real server on a real socket that answers as it is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = tuple[int, Any]


@dataclass(slots=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class OutsideStub:
    """`answer` may be replaced at any time: what was asked -> (status, JSON or bytes). `delay_s` comes before it."""

    url: str = ""
    answer: Callable[[Asked], Answer] = lambda _asked: (200, {})
    delay_s: float = 0.0
    asked: list[Asked] = field(default_factory=list)

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        asked = Asked(request.method, request.path, dict(request.headers), body)
        self.asked.append(asked)
        await asyncio.sleep(self.delay_s)
        status, content = self.answer(asked)
        if isinstance(content, bytes):
            return web.Response(status=status, body=content)
        return web.json_response(content, status=status)


@asynccontextmanager
async def outside_stub(*, port: int = 0) -> AsyncIterator[OutsideStub]:
    stub = OutsideStub()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stub._handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield stub
    finally:
        await runner.cleanup()
