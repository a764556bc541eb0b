"""HTTP load from one process, cheap enough not to be what is measured: requests are bytes, answers are counted."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

_DRAIN_S = 5.0
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`latencies_s` from the intended time of sending; `good`: answers with 200."""

    seconds: float
    good: int
    other: int
    latencies_s: list[float]

    @property
    def rate(self) -> float:
        return self.good / self.seconds

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def closed_loop(ports: Sequence[int], requests: Iterator[bytes], *, connections: int, seconds: float) -> Load:
    """Each connection sends its next request when it has its answer. The connections are dealt out to the `ports`.
    Raises RuntimeError when requests run out.
    """
    answers = _Answers()
    started = time.perf_counter()
    until = started + seconds

    def go_on(connection: _Connection) -> None:
        if (now := time.perf_counter()) < until:
            connection.send(_next(requests), now)
        else:
            connection.close()

    made = await _connect(ports, connections, answers, go_on)
    async with asyncio.timeout(seconds + _DRAIN_S):
        await answers.of(made, go_on)
    return answers.told(time.perf_counter() - started)


async def open_loop(
    ports: Sequence[int], requests: Iterator[bytes], *, rate: float, connections: int, seconds: float
) -> Load:
    """A request every 1 / `rate` s, whether or not earlier ones were answered; waiting for a connection counts."""
    answers = _Answers()
    due, idle, over = deque[float](), deque[_Connection](), False

    def go_on(connection: _Connection) -> None:
        if due:
            connection.send(_next(requests), due.popleft())
        elif over:
            connection.close()
        else:
            idle.append(connection)

    all_of_them = await _connect(ports, connections, answers, go_on)
    idle.extend(all_of_them)
    await asyncio.sleep(0.5)
    started = time.perf_counter()
    for number in range(int(rate * seconds)):
        intended = started + number / rate
        if (wait := intended - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        due.append(intended)
        if idle:
            go_on(idle.popleft())
    over = True
    async with asyncio.timeout(_DRAIN_S):
        await answers.of(all_of_them, go_on, first=idle)
    return answers.told(time.perf_counter() - started)


def post(path: str, content: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    )
    return head.encode() + b"\r\n" + content


class _Answers:
    def __init__(self) -> None:
        self._statuses = list[bytes]()
        self._latencies = list[float]()

    def add(self, status: bytes, latency_s: float) -> None:
        self._statuses.append(status)
        self._latencies.append(latency_s)

    async def of(
        self,
        connections: "list[_Connection]",
        go_on: "Callable[[_Connection], None]",
        *,
        first: "deque[_Connection] | None" = None,
    ) -> None:
        """Until every connection has closed. Raises what went wrong on one of them."""
        for connection in connections if first is None else first:
            go_on(connection)
        await asyncio.gather(*(connection.closed for connection in connections))

    def told(self, seconds: float) -> Load:
        good = self._statuses.count(b"200")
        return Load(seconds=seconds, good=good, other=len(self._statuses) - good, latencies_s=self._latencies)


class _Connection(asyncio.Protocol):
    """One request at a time. `go_on` is asked what comes next, after each answer."""

    def __init__(self, answers: _Answers, go_on: "Callable[[_Connection], None]") -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answers = answers
        self._go_on = go_on
        self._received = b""
        self._since = 0.0
        self._is_asked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.WriteTransport", transport)

    def send(self, request: bytes, since: float) -> None:
        """`since`: the intended time, of time.perf_counter()."""
        self._since = since
        self._is_asked = True
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data
        end = received.find(_HEAD_END)
        if end < 0:
            return
        head = received[:end].lower()
        start = head.index(_LENGTH) + len(_LENGTH)
        if len(received) < end + len(_HEAD_END) + int(head[start:].split(b"\r", 1)[0]):
            return
        self._received = b""
        self._is_asked = False
        self._answers.add(received[9:12], time.perf_counter() - self._since)
        try:
            self._go_on(self)
        except RuntimeError as error:
            self.closed.set_exception(error)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed.done():
            return
        if self._is_asked:
            exc = exc or ConnectionError("the server closed instead of answering")
        if exc is not None:
            self.closed.set_exception(exc)
        else:
            self.closed.set_result(None)


async def _connect(
    ports: Sequence[int], connections: int, answers: _Answers, go_on: Callable[[_Connection], None]
) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(answers, go_on), "127.0.0.1", ports[number % len(ports)])
        for number in range(connections)
    ]
    return [protocol for _, protocol in made]


def _next(requests: Iterator[bytes]) -> bytes:
    request = next(requests, None)
    if request is None:
        raise RuntimeError("more requests were wanted than had been made")
    return request
