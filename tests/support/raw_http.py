"""Requests as bytes, for what no HTTP library would send, and answers as a caller of such a kind sees them."""

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson

_WITHIN_S = 10.0
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAnswer:
    """`status` 0: the connection was closed without an answer."""

    status: int
    content_type: str
    body: bytes
    whole: bytes

    @property
    def problem(self) -> Any:  # noqa: ANN401 - JSON
        assert self.content_type == "application/problem+json", self.whole
        return orjson.loads(self.body)


_NONE = RawAnswer(status=0, content_type="", body=b"", whole=b"")


def request(method: str, path: str, *headers: str | bytes, body: bytes = b"") -> bytes:
    """With a Host and nothing else that is not asked for, Content-Length least of all."""
    lines = [f"{method} {path} HTTP/1.1", "Host: shop", *headers]
    return b"\r\n".join(line.encode() if isinstance(line, str) else line for line in lines) + b"\r\n\r\n" + body


async def answer_to(port: int, *parts: bytes, hang_up: bool = False) -> RawAnswer:
    """The first answer. Each of `parts` is a segment of its own; `hang_up`: and nothing more will come."""
    [answer] = await answers_to(port, *parts, count=1, hang_up=hang_up)
    return answer


async def answers_to(port: int, *parts: bytes, count: int, hang_up: bool = False) -> list[RawAnswer]:
    """The first `count` answers on one connection. Raises TimeoutError when they do not come in time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(_WITHIN_S):
            for number, part in enumerate(parts):
                if number:
                    await asyncio.sleep(_PAUSE_S)
                writer.write(part)
                await writer.drain()
            if hang_up:
                writer.write_eof()
            return [await read_answer(reader) for _ in range(count)]
    except ConnectionError:
        return [_NONE] * count
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> RawAnswer:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return _NONE
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return RawAnswer(
        status=int(lines[0].split()[1]),
        content_type=headers.get("content-type", ""),
        body=body,
        whole=head + body,
    )
