"""Traces: one from the callback to the notification.

The first `traceparent` travels unchanged in the outbox row and in the record headers; each attempt is a `process` span
of its own below it. Whoever sends a record while its trace is sampled adds the header SEND_SPAN, its `send` span, which
the attempt links to: so the story can be followed from edge to edge, while the parent of each step stays the payment's
beginning.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from types import MappingProxyType, TracebackType
from typing import Literal

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace import TracerProvider as TracerProviderApi
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.common.settings import has_otlp_endpoint

_PROPAGATOR = TraceContextTextMapPropagator()
# W3C. The lowest bit of the flags is "sampled"; others may be set too, as by SDKs that mark a random id.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]([0-9a-f])\Z")
SEND_SPAN = "send-span"


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


def span(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, traceparent: str | None = None, **attributes: str | int
) -> AbstractContextManager[Span]:
    """A span that continues `traceparent` when given (and sane), else the current trace. It is the current one inside,
    and ends with it.
    """
    context = _context_of(traceparent) if traceparent else None
    tracer = _tracer_of(trace.get_tracer_provider())
    return _Current(tracer.start_span(name, context=context, kind=kind, attributes=attributes))


class _Current:
    """OpenTelemetry's start_as_current_span nests two generators, which costs twice as much as the span."""

    __slots__ = ("_span", "_token")

    def __init__(self, begun: Span) -> None:
        self._span = begun

    def __enter__(self) -> Span:
        self._token = attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        detach(self._token)
        try:
            if isinstance(error, Exception) and self._span.is_recording():
                self._span.record_exception(error)
                self._span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        finally:
            self._span.end()


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
    """None of a span that is none. Source: W3C Trace Context, version 00."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def trace_ids_of(span: Span) -> dict[str, str]:
    """For a log line. Empty of a span that is none."""
    context = span.get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


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
