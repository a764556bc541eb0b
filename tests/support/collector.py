"""A collector of traces that keeps what it gets: OTLP over HTTP, as the services send it."""

import gzip
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import hdrs, web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from services.common.health import listen


@dataclass(slots=True, kw_only=True)
class Collector:
    """`traces`: id in hex -> (service, span's name) of all its spans so far."""

    url: str = ""
    traces: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get(hdrs.CONTENT_ENCODING) == "gzip" and body.startswith(b"\x1f\x8b"):
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.traces[span.trace_id.hex()].add((named["service.name"], span.name))
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    collecting = Collector()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/traces", collecting.take)
    async with listen(app, host="127.0.0.1", port=0, setting="the collector's port") as port:
        collecting.url = f"http://127.0.0.1:{port}"
        yield collecting
