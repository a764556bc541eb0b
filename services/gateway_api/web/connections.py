"""One connection: what aiohttp does with bytes that are no HTTP, without telling anyone what they were.

aiohttp by itself answers with the line that it could not read and logs it too, and that line may be someone's token.
It would also unpack compressed bodies before anybody has refused them, and wait for ever for a caller that does not
read its answers.
"""

import asyncio
import socket
from collections.abc import Callable
from uuid import uuid4

import structlog
from aiohttp import web

from services.gateway_api.limits import LINGER_S
from services.gateway_api.web.middlewares import problem_of
from services.gateway_api.web.problems import Problem

log = structlog.get_logger()


def connections_of(server: web.Server, *, idle_s: float, stalled_s: float) -> Callable[[], asyncio.Protocol]:
    """`idle_s`: how long a connection may take for the head of a request, the first one included; `stalled_s`: how long
    it may leave what was sent to it unread.
    """
    loop = asyncio.get_running_loop()

    def connect() -> asyncio.Protocol:
        return _Connection(server, stalled_s=stalled_s, loop=loop, idle_s=idle_s)

    return connect


class _Connection(web.RequestHandler):
    __slots__ = ("_stalled_ms",)

    def __init__(self, server: web.Server, *, loop: asyncio.AbstractEventLoop, idle_s: float, stalled_s: float) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=idle_s,
            lingering_time=LINGER_S,
            access_log=None,  # type: ignore[arg-type] # it takes None for "no such log"
            auto_decompress=False,
        )
        self._stalled_ms = int(1000 * stalled_s)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Where the system has it: a write to such a caller would otherwise never end.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connected = transport.get_extra_info("socket")
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._stalled_ms)
        super().connection_made(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes what came
    ) -> web.StreamResponse:
        """The answer to what is no request, or to a mistake of ours outside of every handler."""
        if request.writer.output_size > 0:
            raise ConnectionError("half of an answer is sent already")
        request_id = uuid4().hex
        write = log.info if status < 500 else log.error
        write("request_unreadable", status=status, error_class=type(exc).__name__, request_id=request_id)
        if status < 500:
            return _closing(Problem("bad-request", status, "This is no request that can be understood"), request_id)
        return _closing(Problem("internal-error", 500, "Something went wrong here"), request_id)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """What aiohttp refuses before any middleware runs, such as an unknown Expect, is a problem like any other."""
        if isinstance(resp, web.HTTPException):
            resp = _closing(problem_of(resp), uuid4().hex)
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *_words: object, exc_info: object = None, **_more: object) -> None:
        log.warning("connection_failed", error_class=type(exc_info).__name__)


def _closing(problem: Problem, request_id: str) -> web.Response:
    response = problem.response(request_id)
    response.force_close()
    return response
