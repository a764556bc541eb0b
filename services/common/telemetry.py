"""Logs and traces.

Logs: structlog, one canonical line per record or request, JSON on stdout. Only fields of the allow-list pass, so a
payload, a signature or a name can't slip into a log by being passed along. People get a console renderer with an
emoji column derived from `outcome`; JSON never has one.
Traces: one trace from the callback to the notification. The first `traceparent` travels unchanged in the outbox row
and in the record headers; each attempt is a `process` span of its own below it. Whoever sends a record while its trace
is sampled adds the header SEND_SPAN, its `send` span, which the attempt links to: so the story can be followed from
edge to edge, while the parent of each step stays the payment's beginning.
"""

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

import orjson
import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, Span, SpanKind, Tracer
from opentelemetry.trace import TracerProvider as TracerProviderApi
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.common.settings import Settings, has_otlp_endpoint

LOG_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "service", "stage", "outcome", "reason", "worker", "tier",
        "paymentId", "orderId", "studentId", "courseId", "trainerId", "allocationId", "purchaseId", "sessionId",
        "eventId", "eventType", "provider",
        "topic", "partition", "offset", "attempt", "records", "partitions", "due_in_s", "lateness_ms",
        "error_class", "error_kind", "error", "exception", "dependency", "fingerprint",
        "method", "route", "status", "request_id", "duration_ms", "trace_id", "span_id",
        "address", "port", "pid", "signal", "setting", "version", "rows", "count",
    }
)  # fmt: skip
EMOJI_OF_OUTCOME: Mapping[str, str] = {
    "ok": "✅",
    "succeeded": "✅",
    "duplicate": "♻️",
    "replayed": "♻️",
    "pending": "⏳",
    "retried": "🔁",
    "dead": "💀",
    "refused": "⛔",
    "paused": "⏸️",
    "resumed": "▶️",
    "failed": "❌",
    "unavailable": "❌",
}
_PROPAGATOR = TraceContextTextMapPropagator()
# W3C. The lowest bit of the flags is "sampled"; others may be set too, as by SDKs that mark a random id.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]([0-9a-f])\Z")
SEND_SPAN = "send-span"
Fields = MutableMapping[str, Any]


def configure_logging(settings: Settings, service: str) -> None:
    """JSON lines on stdout, or a console renderer when LOG_FORMAT=console. Called once per process."""
    emoji = settings.log_emoji == "on" and _can_show_emoji()
    renderer: list[Any]
    if settings.log_format == "console":
        renderer = [_emoji_column(shown=emoji), structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    else:
        renderer = [structlog.processors.JSONRenderer(serializer=_to_json)]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _add_trace_ids,
            _only_allowed,
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # What libraries say would otherwise be plain text between the lines.
    logging.basicConfig(handlers=[_FromLibraries()], level=logging.WARNING, force=True)


def configure_tracing(service: str) -> TracerProvider:
    """Spans are exported over OTLP when OTEL_EXPORTER_OTLP_ENDPOINT (or its traces variant) is set; the SDK reads
    the other OTEL_* variables, sampling included. Without an endpoint nobody would see a span, so none is recorded;
    trace ids are there all the same, in logs and headers.
    """
    exported = has_otlp_endpoint()
    resource = Resource.create({"service.name": f"coursepay-{service}"})
    provider = TracerProvider(resource=resource, sampler=None if exported else ALWAYS_OFF)
    if exported:
        # Heavy to import, and most processes of a small installation never export.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


@contextmanager
def span(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, traceparent: str | None = None, **attributes: str | int
) -> Iterator[Span]:
    """A span that continues `traceparent` when given (and sane), else the current trace."""
    context = _context_of(traceparent) if traceparent else None
    with _tracer_of(trace.get_tracer_provider()).start_as_current_span(
        name, context=context, kind=kind, attributes=attributes
    ) as started:
        yield started


@lru_cache(maxsize=2)
def _tracer_of(provider: TracerProviderApi) -> Tracer:
    # Asking for a tracer costs as much as a span.
    return provider.get_tracer("coursepay")


def begin_trace(name: str, *, points_to: Iterable[str | None], **attributes: str | int) -> str | None:
    """The traceparent of a new trace, whose first span only links to those of `points_to`: for what happens much later,
    like a replay. None where nothing is traced.
    """
    begun = _tracer_of(trace.get_tracer_provider()).start_span(
        name,
        context=Context(),
        kind=SpanKind.PRODUCER,
        links=_links_to(points_to),
        attributes=attributes,
    )
    begun.end()
    return traceparent_of(begun)


def current_traceparent() -> str | None:
    """W3C traceparent of the current span, or None outside any span."""
    return traceparent_of(trace.get_current_span())


def traceparent_of(span: Span) -> str | None:
    """None of a span that is none."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span, Context()))
    return carrier.get("traceparent")


def exemplar_of(span: Span | None) -> dict[str, str] | None:
    """What leads from a histogram to a trace. None where that is not sampled, as wherever nobody collects it."""
    context = INVALID_SPAN_CONTEXT if span is None else span.get_span_context()
    return {"trace_id": f"{context.trace_id:032x}"} if context.trace_flags.sampled else None


def trace_id_in(traceparent: str | None) -> str | None:
    """None when there is none, or what somebody calls one is none."""
    found = _TRACEPARENT.match(traceparent or "")
    return None if found is None else found[1]


def is_sampled(traceparent: str | None) -> bool:
    found = _TRACEPARENT.match(traceparent or "")
    return found is not None and int(found[2], 16) % 2 == 1


def messaging_span(
    operation: Literal["process", "send"],
    topic: str,
    *,
    traceparent: str,
    links: Iterable[str | None] = (),
    started_ns: int | None = None,
    attributes: Mapping[str, str | int] = MappingProxyType({}),
) -> Span:
    """Begun, below `traceparent`; who gets it ends it. Names and kinds are those of OpenTelemetry's messaging
    conventions: a send is a CLIENT's, because what it sends was created by the payment and not by it. `links`:
    traceparents; those that are none are left out.
    """
    return _tracer_of(trace.get_tracer_provider()).start_span(
        f"{operation} {topic}",
        context=_context_of(traceparent),
        kind=SpanKind.CONSUMER if operation == "process" else SpanKind.CLIENT,
        links=_links_to(links),
        start_time=started_ns,
        attributes={
            "messaging.system": "kafka",
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.destination.name": topic,
            **attributes,
        },
    )


def _context_of(traceparent: str) -> Context:
    """Empty for what is none."""
    return _PROPAGATOR.extract({"traceparent": traceparent}, Context())


def _links_to(traceparents: Iterable[str | None]) -> list[Link]:
    contexts = [trace.get_current_span(_context_of(one)).get_span_context() for one in traceparents if one]
    return [Link(context) for context in contexts if context.is_valid]


class _FromLibraries(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, "library_message", reason=record.name, error=record.getMessage(), exc_info=record.exc_info
        )


def _can_show_emoji() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _emoji_column(*, shown: bool) -> Any:  # noqa: ANN401 - structlog's processor type
    def add(_logger: object, _method: str, fields: Fields) -> Fields:
        if shown:
            emoji = EMOJI_OF_OUTCOME.get(str(fields.get("outcome")), "  ")
            fields["event"] = f"{emoji} {fields['event']}"
        return fields

    return add


def _add_trace_ids(_logger: object, _method: str, fields: Fields) -> Fields:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        fields["trace_id"] = f"{context.trace_id:032x}"
        fields["span_id"] = f"{context.span_id:016x}"
    return fields


def _only_allowed(_logger: object, _method: str, fields: Fields) -> Fields:
    return {key: value for key, value in fields.items() if key in LOG_FIELDS}


def _to_json(fields: Any, **_options: object) -> str:  # noqa: ANN401 - structlog's serializer type
    return orjson.dumps(fields, default=str).decode()
