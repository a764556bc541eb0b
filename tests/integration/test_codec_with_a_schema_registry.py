"""With SCHEMA_REGISTRY_URL, frames carry the registry's ids; a registry that lacks a schema stops the start."""

import asyncio
import sys

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.common import codec
from services.common.codec import open_codec
from services.common.errors import ConfigurationError, DependencyError, TransientError
from services.common.runtime import EXIT_FAILED
from services.common.settings import Settings, child_environment
from services.common.topics import TYPE_TOPICS
from services.sandbox.ports import free_ports
from tests.support.events import payment_succeeded

_IMPATIENT = """
import sys
from services.common import codec
from services.common.runtime import run_service
from services.purchase_worker.__main__ import serve

codec.REGISTRY_START_S = 0.5
sys.exit(run_service("purchase-worker", serve))
"""


class Registry:
    """The lookup call of a Confluent-compatible registry, over what was registered."""

    def __init__(self, ids: dict[str, int], *, port: int = 0) -> None:
        self.ids = ids
        app = web.Application()
        app.router.add_post("/subjects/{subject}", self.look_up)
        self.server = TestServer(app, port=port)

    async def look_up(self, request: web.Request) -> web.Response:
        schema = orjson.loads((await request.json())["schema"])
        subject = request.match_info["subject"]
        if subject not in self.ids or TYPE_TOPICS[schema["name"]] + "-value" != subject:
            return web.json_response({"error_code": 40401}, status=404)
        return web.json_response({"subject": subject, "id": self.ids[subject], "version": 1})


async def test_frames_carry_the_ids_of_the_registry() -> None:
    registry = Registry({f"{topic}-value": 700 + n for n, topic in enumerate(TYPE_TOPICS.values())})
    async with registry.server:
        opened = await open_codec(Settings(schema_registry_url=str(registry.server.make_url("/")).rstrip("/")))
    event = payment_succeeded("ord_1")
    framed = opened.encode_framed(event)
    assert int.from_bytes(framed[1:5], "big") == registry.ids["payment.succeeded-value"]
    assert opened.decode(framed, b"ord_1") == event


async def test_an_id_that_the_registry_did_not_have_at_start_is_transient() -> None:
    registry = Registry({f"{topic}-value": 700 + n for n, topic in enumerate(TYPE_TOPICS.values())})
    async with registry.server:
        opened = await open_codec(Settings(schema_registry_url=str(registry.server.make_url("/")).rstrip("/")))
    framed = opened.encode_framed(payment_succeeded("ord_1"))
    with pytest.raises(TransientError):
        opened.decode(framed[:1] + (999).to_bytes(4, "big") + framed[5:], b"ord_1")


async def test_a_schema_that_is_not_registered_stops_the_start_with_a_sentence() -> None:
    registry = Registry({})
    async with registry.server:
        with pytest.raises(ConfigurationError, match="register it before starting"):
            await open_codec(Settings(schema_registry_url=str(registry.server.make_url("/")).rstrip("/")))


async def test_a_registry_that_comes_in_time_was_waited_for() -> None:
    (port,) = free_ports(1)
    opening = asyncio.create_task(open_codec(Settings(schema_registry_url=f"http://127.0.0.1:{port}")))
    # Longer than the first tries take.
    await asyncio.wait((opening,), timeout=1)
    assert not opening.done()
    registry = Registry({f"{topic}-value": 700 + n for n, topic in enumerate(TYPE_TOPICS.values())}, port=port)
    async with registry.server:
        opened = await opening
    framed = opened.encode_framed(payment_succeeded("ord_1"))
    assert int.from_bytes(framed[1:5], "big") == registry.ids["payment.succeeded-value"]


async def test_one_that_stays_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "REGISTRY_START_S", 0.5)
    with pytest.raises(DependencyError, match="schema registry: ClientConnectorError") as told:
        await open_codec(Settings(schema_registry_url=_nobody()))
    assert told.value.dependency == "schema_registry"


async def test_a_service_ends_when_it_stays_away() -> None:
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _IMPATIENT),
        env=child_environment(
            {
                "COURSEPAY_SCHEMA_REGISTRY_URL": _nobody(),
                "COURSEPAY_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
                "COURSEPAY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
                "COURSEPAY_LOG_FORMAT": "json",
            }
        ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await service.communicate()
    assert service.returncode == EXIT_FAILED, output
    last = orjson.loads(output.splitlines()[-1])
    assert last["event"] == "service_died"
    assert "schema registry" in last["error"]


def _nobody() -> str:
    (port,) = free_ports(1)
    return f"http://127.0.0.1:{port}"
