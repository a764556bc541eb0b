"""The canonical line: one log line per request, with what it was about. Route patterns only, never raw paths."""

import re
import time
from typing import Any
from uuid import uuid4

import structlog
from aiohttp import web

from services.common.validation import is_id

log = structlog.get_logger()
_REQUEST_ID = web.RequestKey("request_id", str)
_FIELDS: web.RequestKey[dict[str, Any]] = web.RequestKey("log_fields", dict)
_QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
_sane_id = re.compile(r"[A-Za-z0-9_.-]{8,64}").fullmatch


def request_id_of(request: web.Request) -> str:
    """The caller's X-Request-Id when it is sane, else one of ours; stable for the request."""
    if _REQUEST_ID not in request:
        given = request.headers.get("X-Request-Id", "")
        request[_REQUEST_ID] = given if _sane_id(given) else uuid4().hex
    return request[_REQUEST_ID]


def note(request: web.Request, **fields: str | int | None) -> None:
    """Adds fields (orderId, paymentId, outcome ...) to the request's line. Only names of telemetry.LOG_FIELDS pass."""
    request.setdefault(_FIELDS, {}).update(fields)


def write_line(request: web.Request, status: int, started: float) -> None:
    """`started` is of time.perf_counter()."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else None
    if route in _QUIET and status == 200:
        return
    # Anything may stand in a path; only what looks like an id is told again.
    told = request.match_info.items()
    fields: dict[str, Any] = {name: value for name, value in told if name.endswith("Id") and is_id(value)}
    fields |= request.get(_FIELDS, {})
    write = log.error if status >= 500 else log.info
    write(
        "request",
        **fields,
        method=request.method,
        route=route,
        status=status,
        duration_ms=round((time.perf_counter() - started) * 1000, 1),
        request_id=request_id_of(request),
    )
