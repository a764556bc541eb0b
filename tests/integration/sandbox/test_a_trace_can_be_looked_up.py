"""The sandbox as a collector: what the real exporter sends is there to be asked for, as the tree that it is."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from rich.console import Console

from services.commands.purchase import tree_of
from services.common.settings import Settings
from services.sandbox.accounts import sandbox_accounts
from services.sandbox.failures import Failures
from services.sandbox.limits import SPANS_BODY_BYTES_MAX
from services.sandbox.server import serve_sandbox

_SEEN = "x" * 100_000


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with serve_sandbox(sandbox_accounts(Settings(), ""), port=0, failures=Failures()) as port:
        yield f"http://127.0.0.1:{port}"


async def spans_of(url: str, trace_id: str) -> Sequence[dict[str, object]]:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/control/traces/{trace_id}") as answer:
        found: Sequence[dict[str, object]] = (await answer.json())["spans"]
        return found


def exported(url: str) -> str:
    """A trace of two spans, more than a body of the sandbox's other routes may hold; its id."""
    provider = TracerProvider(resource=Resource.create({"service.name": "coursepay-gateway"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces")))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("confirm") as parent:
        with tracer.start_as_current_span("process", attributes={"coursepay.outcome": "ok", "long": _SEEN}):
            pass
        trace_id = f"{parent.get_span_context().trace_id:032x}"
    provider.shutdown()
    return trace_id


async def test_what_the_exporter_sends_is_kept_as_a_tree(url: str) -> None:
    trace_id = await asyncio.to_thread(exported, url)
    confirm, process = await spans_of(url, trace_id)

    assert (confirm["name"], confirm["parent_id"], confirm["service"]) == ("confirm", "", "coursepay-gateway")
    assert (process["name"], process["parent_id"]) == ("process", confirm["span_id"])
    assert process["attributes"] == {"coursepay.outcome": "ok", "long": _SEEN}

    console = Console(record=True, width=100)
    console.print(tree_of([confirm, process]))
    first, second = console.export_text().splitlines()
    assert first.startswith("confirm  coursepay-gateway  ")
    assert second.startswith("└── process  coursepay-gateway  ")
    assert second.rstrip().endswith("ok")


async def test_an_unknown_trace_has_no_spans(url: str) -> None:
    assert await spans_of(url, "0" * 32) == []


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"\xff\xff\xff", "application/x-protobuf", 400),
        (b"\0" * (SPANS_BODY_BYTES_MAX + 1), "application/x-protobuf", 413),
    ],
)
async def test_what_is_no_span_is_refused(url: str, body: bytes, content_type: str, status: int) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/traces", data=io.BytesIO(body), headers={"Content-Type": content_type}) as answer,
    ):
        assert answer.status == status
