"""The canonical line: one log line per request, with what it was about. Route patterns only, never raw paths."""

import asyncio
import random
import re
import time
from collections import deque
from typing import Any

import structlog
from aiohttp import web
from opentelemetry.trace import Span

from services.common.telemetry.logs import lines_together
from services.common.telemetry.traces import trace_ids_of
from services.common.validation import is_id

log = structlog.get_logger()
_REQUEST_ID = web.RequestKey("request_id", str)
_FIELDS: web.RequestKey[dict[str, Any]] = web.RequestKey("log_fields", dict)
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
_sane_id = re.compile(r"[A-Za-z0-9_.-]{8,64}").fullmatch


def request_id_of(request: web.Request) -> str:
    """The caller's X-Request-Id when it is sane, else one of ours; stable for the request."""
    if _REQUEST_ID not in request:
        given = request.headers.get("X-Request-Id")
        # Unique and no secret, so nothing that asks the system for randomness.
        ours = f"{random.getrandbits(128):032x}"
        request[_REQUEST_ID] = given if given is not None and _sane_id(given) else ours
    return request[_REQUEST_ID]


def note(request: web.Request, **fields: str | int | None) -> None:
    """Adds fields (orderId, paymentId, outcome ...) to the request's line. Only LOG_FIELDS pass."""
    if _FIELDS in request:
        request[_FIELDS].update(fields)
    else:
        request[_FIELDS] = fields


class RequestLines:
    """One per application. What is written during one turn of the loop is printed together after it: the answers to a
    shared commit leave in one turn, and of many lines at once each costs a third.
    """

    def __init__(self) -> None:
        self._waiting: deque[dict[str, Any]] = deque()

    def write(self, request: web.Request, status: int, started: float, span: Span) -> None:
        """`started` is of time.perf_counter(), `span` the request's."""
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else None
        if route in _QUIET and status == 200:
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._print)
        self._waiting.append(
            {
                # Anything may stand in a path; only what looks like an id is told again.
                **{name: value for name, value in request.match_info.items() if name.endswith("Id") and is_id(value)},
                **request.get(_FIELDS, {}),
                "method": request.method,
                "route": route,
                "status": status,
                "duration_ms": round((time.perf_counter() - started) * 1000, 1),
                "request_id": request_id_of(request),
                **trace_ids_of(span),
            }
        )

    def _print(self) -> None:
        bound = log.bind()
        try:
            with lines_together():
                while self._waiting:
                    line = self._waiting.popleft()
                    write = bound.error if line["status"] >= 500 else bound.info
                    write("request", **line)
        finally:
            # A line that cannot be written costs no other.
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._print)
