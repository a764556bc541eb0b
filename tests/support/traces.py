"""Spans of the test's own process, in memory, and how they hang together."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

# (how, from, to) -> how often. From a parent to its child; from what was sent to the attempt that links to it.
Edges = Counter[tuple[str, str, str]]
PARENT, LINK = "parent", "link"


@contextmanager
def recorded_spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The SDK lets a process set its provider once; tests put theirs in its place, and the old one back."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with monkeypatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", provider)
        # Spans of records are written only where somebody collects them.
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        yield exporter


def edges_between(spans: Iterable[ReadableSpan], *, prefix: str) -> Edges:
    """Every edge that ends at one of them. `prefix` of the topics is left out of the names."""
    known = {span_id_of(span): span for span in spans}

    def name_of(span: ReadableSpan | None) -> str:
        if span is None:
            return "?"
        who = str((span.attributes or {}).get("messaging.consumer.group.name", ""))
        return f"{who} {span.name}".strip().replace(prefix, "")

    edges: Edges = Counter()
    for span in known.values():
        if span.parent is not None:
            edges[PARENT, name_of(known.get(span.parent.span_id)), name_of(span)] += 1
        for link in span.links:
            edges[LINK, name_of(known.get(link.context.span_id)), name_of(span)] += 1
    return edges


def trace_id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def span_id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)
