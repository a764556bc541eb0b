"""With SCHEMA_REGISTRY_URL, frames carry the registry's ids; a registry that lacks a schema stops the start."""

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.common.codec import open_codec
from services.common.errors import ConfigurationError, TransientError
from services.common.settings import Settings
from services.common.topics import TYPE_TOPICS
from tests.support.events import payment_succeeded


class Registry:
    """The lookup call of a Confluent-compatible registry, over what was registered."""

    def __init__(self, ids: dict[str, int]) -> None:
        self.ids = ids
        app = web.Application()
        app.router.add_post("/subjects/{subject}", self.look_up)
        self.server = TestServer(app)

    async def look_up(self, request: web.Request) -> web.Response:
        schema = orjson.loads((await request.json())["schema"])
        subject = request.match_info["subject"]
        if subject not in self.ids or TYPE_TOPICS[schema["name"]] + "-value" != subject:
            return web.json_response({"error_code": 40401}, status=404)
        return web.json_response({"subject": subject, "id": self.ids[subject], "version": 1})


async def test_frames_carry_the_ids_of_the_registry() -> None:
    registry = Registry({f"{topic}-value": 700 + n for n, topic in enumerate(TYPE_TOPICS.values())})
    async with registry.server:
        codec = await open_codec(Settings(schema_registry_url=str(registry.server.make_url("/")).rstrip("/")))
    event = payment_succeeded("ord_1")
    framed = codec.encode_framed(event)
    assert int.from_bytes(framed[1:5], "big") == registry.ids["payment.succeeded-value"]
    assert codec.decode(framed, b"ord_1") == event


async def test_an_id_that_the_registry_did_not_have_at_start_is_transient() -> None:
    registry = Registry({f"{topic}-value": 700 + n for n, topic in enumerate(TYPE_TOPICS.values())})
    async with registry.server:
        codec = await open_codec(Settings(schema_registry_url=str(registry.server.make_url("/")).rstrip("/")))
    framed = codec.encode_framed(payment_succeeded("ord_1"))
    with pytest.raises(TransientError):
        codec.decode(framed[:1] + (999).to_bytes(4, "big") + framed[5:], b"ord_1")


async def test_a_schema_that_is_not_registered_stops_the_start_with_a_sentence() -> None:
    registry = Registry({})
    async with registry.server:
        with pytest.raises(ConfigurationError, match="register it before starting"):
            await open_codec(Settings(schema_registry_url=str(registry.server.make_url("/")).rstrip("/")))
