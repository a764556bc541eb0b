"""A place for spans, as a collector is one: OTLP over HTTP comes in, and a trace can be asked for. In memory.

Source: OpenTelemetry protocol, "OTLP/HTTP", binary encoding.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from aiohttp import web
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from services.sandbox.limits import SPANS_BODY_BYTES_MAX, SPANS_OF_TRACE_MAX, TRACES_MAX

_PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSpan:
    """Ids in hexadecimal, as in logs and in `traceparent`. `parent_id` is empty for the first span of a trace."""

    span_id: str
    parent_id: str
    service: str
    name: str
    started_ns: int
    ended_ns: int
    attributes: dict[str, str]


class Traces:
    """The newest ones; the oldest go first."""

    def __init__(self) -> None:
        self._spans: OrderedDict[str, list[SeenSpan]] = OrderedDict()

    def add(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes).get("service.name", "")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self._keep(span.trace_id.hex(), _seen(span, service))

    def of(self, trace_id: str) -> Sequence[SeenSpan]:
        """In the order of their beginnings."""
        return sorted(self._spans.get(trace_id, ()), key=lambda span: span.started_ns)

    def _keep(self, trace_id: str, span: SeenSpan) -> None:
        spans = self._spans.setdefault(trace_id, [])
        if len(spans) < SPANS_OF_TRACE_MAX:
            spans.append(span)
        while len(self._spans) > TRACES_MAX:
            self._spans.popitem(last=False)


def routes(traces: Traces) -> list[web.RouteDef]:
    """POST /v1/traces: OTLP; GET /control/traces/{trace_id}: its spans, none when nothing came yet."""

    async def post_traces(request: web.Request) -> web.Response:
        if request.content_type != _PROTOBUF:
            return web.json_response({"error": f"only {_PROTOBUF} is understood"}, status=415)
        body = await request.clone(client_max_size=SPANS_BODY_BYTES_MAX).read()
        try:
            traces.add(ExportTraceServiceRequest.FromString(body))
        except DecodeError:
            return web.json_response({"error": "the body is no ExportTraceServiceRequest"}, status=400)
        return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type=_PROTOBUF)

    async def get_trace(request: web.Request) -> web.Response:
        return web.json_response({"spans": [asdict(span) for span in traces.of(request.match_info["trace_id"])]})

    return [web.post("/v1/traces", post_traces), web.get("/control/traces/{trace_id}", get_trace)]


def _seen(span: Span, service: str) -> SeenSpan:
    return SeenSpan(
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        service=service,
        name=span.name,
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
    )


def _attributes(pairs: Sequence[KeyValue]) -> dict[str, str]:
    return {pair.key: _text(pair.value) for pair in pairs}


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else str(getattr(value, kind))
