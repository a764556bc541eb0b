"""What happens round every handler, outermost first: CORS, answering (id, span, errors, log line), guard."""

import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from opentelemetry.trace import SpanKind

from services.common.errors import DependencyError, RecordError, TransientError
from services.common.telemetry.traces import span
from services.gateway_api.limits import RETRY_AFTER_S
from services.gateway_api.web.problems import Problem, dependency_unavailable
from services.gateway_api.web.request_log import RequestLines, note, request_id_of

log = structlog.get_logger()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answering() -> Middleware:
    """Whatever a handler raises becomes an answer here; nothing internal is told."""
    lines = RequestLines()

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        request_id = request_id_of(request)
        traceparent = request.headers.get("traceparent")
        status = 499
        serving = span(f"{request.method} {_route_of(request)}", kind=SpanKind.SERVER, traceparent=traceparent)
        try:
            with serving as served:
                response = await _answer_of(request, handler)
            status = response.status
            response.headers["X-Request-Id"] = request_id
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
            if response.headers.get(hdrs.CONNECTION) == "close":
                response.force_close()
            return response
        finally:
            lines.write(request, status, started, served)

    return answer


def cors(origins: frozenset[str]) -> Middleware:
    """Answers preflights and marks answers for browsers on `origins`. No cookies are used, so none are allowed.

    It stands outside of `answering`: a browser may read a refusal only when that carries the header too.
    """

    @web.middleware
    async def allow(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or origin not in origins:
            return await handler(request)
        if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
            response: web.StreamResponse = web.Response(
                status=204,
                headers={
                    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, POST, PUT",
                    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: (
                        "authorization, content-type, idempotency-key, if-none-match, x-request-id"
                    ),
                    hdrs.ACCESS_CONTROL_MAX_AGE: "600",
                },
            )
        else:
            response = await handler(request)
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = "ETag, Location, Retry-After, X-Request-Id"
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        return response

    return allow


def problem_of(error: web.HTTPException) -> Problem:
    """What aiohttp refuses, in our words."""
    if isinstance(error, web.HTTPNotFound):
        return Problem("not-found", 404, "There is no such thing here")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Problem("method-not-allowed", 405, "This path has other methods", headers={hdrs.ALLOW: allowed})
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return Problem("payload-too-large", 413, "The body is too large", headers={hdrs.CONNECTION: "close"})
    if isinstance(error, web.HTTPClientError):
        return Problem("bad-request", error.status, error.reason)
    return _internal_error()


async def _answer_of(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        found = problem
    except web.HTTPException as error:
        found = problem_of(error)
    except RecordError as error:
        note(request, error_class=error.cause_class, error_kind=error.kind, error=str(error))
        temporary = isinstance(error, DependencyError | TransientError)
        found = dependency_unavailable(RETRY_AFTER_S) if temporary else _internal_error()
    except ConnectionError:
        # The caller is gone; nobody reads this answer.
        found = Problem("bad-request", 400, "The connection was lost")
    # A mistake of ours must be one 500 and one log line, never a dead connection.
    except Exception:
        log.exception("request_failed", request_id=request_id_of(request))
        found = _internal_error()
    note(request, reason=found.slug)
    return found.response(request_id_of(request))


def _internal_error() -> Problem:
    return Problem("internal-error", 500, "Something went wrong here")


def _route_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
