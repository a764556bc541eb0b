"""CPU time and memory of a process while it runs, and what lies between two moments of it."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import psutil

_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Sample:
    """`at`: Unix seconds; `cpu_s`: user and system together, since the process began."""

    at: float
    cpu_s: float
    rss_bytes: int


@dataclass(slots=True)
class Samples:
    taken: list[Sample] = field(default_factory=list)

    def cpu_s(self, begin: float, end: float) -> float:
        return self._cpu_at(end) - self._cpu_at(begin)

    @property
    def peak_rss_bytes(self) -> int:
        return max((sample.rss_bytes for sample in self.taken), default=0)

    def _cpu_at(self, moment: float) -> float:
        """Between two samples: in proportion."""
        index = bisect_left(self.taken, moment, key=lambda sample: sample.at)
        if index in {0, len(self.taken)}:
            return self.taken[min(index, len(self.taken) - 1)].cpu_s
        before, after = self.taken[index - 1], self.taken[index]
        share = (moment - before.at) / (after.at - before.at)
        return before.cpu_s + share * (after.cpu_s - before.cpu_s)


@asynccontextmanager
async def sampled(pid: int, *, every_s: float = _EVERY_S) -> AsyncIterator[Samples]:
    samples = Samples()
    process = psutil.Process(pid)

    async def watch() -> None:
        with suppress(psutil.NoSuchProcess):
            while True:
                with process.oneshot():
                    times, memory = process.cpu_times(), process.memory_info()
                samples.taken.append(Sample(time.time(), times.user + times.system, memory.rss))
                await asyncio.sleep(every_s)

    task = asyncio.create_task(watch())
    try:
        yield samples
    finally:
        task.cancel()
