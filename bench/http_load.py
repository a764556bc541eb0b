"""HTTP load from one process, cheap enough not to be what is measured: requests are bytes, answers are counted."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

_DRAIN_S = 5.0


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


async def closed_loop(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> Load:
    """Each connection sends its next request when it has its answer."""
    latencies, statuses = list[float](), list[bytes]()
    started = time.perf_counter()
    until = started + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (sent := time.perf_counter()) < until:
            writer.write(next(requests))
            statuses.append(await _answer(reader))
            latencies.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return _told(time.perf_counter() - started, statuses, latencies)


async def open_loop(port: int, requests: Iterator[bytes], *, rate: float, connections: int, seconds: float) -> Load:
    """A request every 1 / `rate` s, whether or not earlier ones were answered; waiting for a connection counts."""
    latencies, statuses = list[float](), list[bytes]()
    due = asyncio.Queue[float]()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (intended := await due.get()) >= 0:
            writer.write(next(requests))
            statuses.append(await _answer(reader))
            latencies.append(time.perf_counter() - intended)
        writer.close()

    workers = [asyncio.create_task(one()) for _ in range(connections)]
    await asyncio.sleep(0.5)
    started = time.perf_counter()
    for number in range(int(rate * seconds)):
        intended = started + number / rate
        if (wait := intended - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        due.put_nowait(intended)
    for _ in workers:
        due.put_nowait(-1.0)
    async with asyncio.timeout(_DRAIN_S):
        await asyncio.gather(*workers)
    return _told(time.perf_counter() - started, statuses, latencies)


def post(path: str, content: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    )
    return head.encode() + b"\r\n" + content


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    start = head.lower().index(b"content-length:") + 15
    await reader.readexactly(int(head[start : head.index(b"\r", start)]))
    return head[9:12]


def _told(seconds: float, statuses: list[bytes], latencies: list[float]) -> Load:
    good = statuses.count(b"200")
    return Load(seconds=seconds, good=good, other=len(statuses) - good, latencies_s=latencies)
