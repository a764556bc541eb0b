"""What is refused before anyone looks at what a body says."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from services.gateway_api.callers.roles import Role
from services.gateway_api.limits import BODY_BYTES_MAX
from tests.support.gateway import Gateway, order_body, running_gateway

PATH = "/api/v1/orders"


def _headers(gateway: Gateway, **more: str) -> dict[str, str]:
    return {
        **gateway.headers(Role.STUDENT),
        "Idempotency-Key": "key-1",
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


AMBIGUOUS = [
    b"",
    b"{",
    b"\xff\xfe",
    b'{"a": 1, "a": 1}',
    b'{"a": {"b": 1, "b": 2}}',
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": 1e999}',
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": "\\ud800"}',
    b'{"a": 1} {"a": 2}',
    b"[" * 40 + b"]" * 40,
    b"[" * 8000 + b"]" * 8000,
    b'\xef\xbb\xbf{"a": 1}',
]


async def test_json_that_two_parsers_could_read_in_two_ways_is_400(gateway: Gateway) -> None:
    for body in AMBIGUOUS:
        status, told = await gateway.call("POST", PATH, data=body, headers=_headers(gateway))
        assert (status, told["type"]) == (400, "/problems/unreadable-json"), body


async def test_other_json_is_422(gateway: Gateway) -> None:
    for body in (b"null", b"1", b'"text"', b"[]", b"{}"):
        assert (await gateway.call("POST", PATH, data=body, headers=_headers(gateway)))[0] == 422, body


async def test_another_content_type_is_415(gateway: Gateway) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""):
        sent = _headers(gateway, Content_Type=content_type)
        status, _ = await gateway.call("POST", PATH, data=orjson.dumps(order_body()), headers=sent)
        assert status == 415, content_type


async def test_a_content_encoding_is_415(gateway: Gateway) -> None:
    body = orjson.dumps(order_body())
    for encoding, data in (("gzip", gzip.compress(body)), ("identity", body), ("deflate", zlib.compress(body))):
        sent = _headers(gateway, Content_Encoding=encoding)
        assert (await gateway.call("POST", PATH, data=data, headers=sent))[0] == 415, encoding


@pytest.mark.parametrize("told_length", [True, False])
async def test_a_body_above_the_limit_is_413(gateway: Gateway, told_length: bool) -> None:  # noqa: FBT001
    body = orjson.dumps(order_body(metadata={"note": "x" * BODY_BYTES_MAX}))

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    data = body if told_length else chunks()
    status, told = await gateway.call("POST", PATH, data=data, headers=_headers(gateway))
    assert (status, told["type"]) == (413, "/problems/payload-too-large")


async def test_a_slow_body_is_408_and_the_connection_is_closed(database_url: str, tmp_path: Path) -> None:
    async with running_gateway(database_url, tmp_path, body_read_s=0.3) as gateway:

        async def drops() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b" "
                await asyncio.sleep(0.1)

        async with gateway.http.post(gateway.url + PATH, data=drops(), headers=_headers(gateway)) as answer:
            assert answer.status == 408
            assert answer.headers["Connection"] == "close"


async def test_a_token_is_asked_for_before_a_body_is_read(gateway: Gateway) -> None:
    status, _ = await gateway.call("POST", PATH, data=b"x" * 100_000)
    assert status == 401
