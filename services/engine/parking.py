"""Records that wait for their due time, in memory. Nothing is paused for a delay, nothing sleeps, nothing seeks.

Waiting counts on the monotonic clock from the moment a record was parked, so a step of the wall clock neither stalls
nor hurries it. A partition is held back only when too much of it waits here.
"""

import asyncio
import heapq
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from services.common.limits import BATCH_RECORDS_MAX, FLOOD_PAUSE_S, PARKED_BYTES_MAX, PARKED_RECORDS_MAX, RETRY_JITTER
from services.engine.pauses import Pauses
from services.engine.records import Delivery, Partition
from services.engine.retries import Ladder

# A Python object per record, beside its bytes.
_OVERHEAD_BYTES = 1_000


def waiting_s(*, due_ms: int, now_ms: float, delay_s: float) -> float:
    """How long a record still waits. Never longer than its delay with jitter, however wrong a clock is."""
    return min(max((due_ms - now_ms) / 1000, 0.0), delay_s * (1 + RETRY_JITTER))


@dataclass(order=True, slots=True)
class _Parked:
    due_at: float
    number: int
    delivery: Delivery = field(compare=False)
    size_bytes: int = field(compare=False)


class Parking:
    """Of one consumer. `crowded` are the partitions to hold back."""

    def __init__(
        self,
        *,
        records_max: int = PARKED_RECORDS_MAX,
        bytes_max: int = PARKED_BYTES_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._clock = clock
        self._heap: list[_Parked] = []
        self._numbers = count()
        self._records: defaultdict[Partition, int] = defaultdict(int)
        self._bytes = 0
        self._full_of_bytes = False
        self._crowded: frozenset[Partition] = frozenset()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def crowded(self) -> frozenset[Partition]:
        """Partitions with more than `records_max` records here, or all with any when the bytes are too many; until
        half of that is gone.
        """
        return self._crowded

    def park(self, delivery: Delivery, wait_s: float) -> None:
        parked = _Parked(
            due_at=self._clock() + wait_s,
            number=next(self._numbers),
            delivery=delivery,
            size_bytes=delivery.record.size_bytes + _OVERHEAD_BYTES,
        )
        heapq.heappush(self._heap, parked)
        self._records[delivery.place] += 1
        self._bytes += parked.size_bytes
        if self._bytes > self._bytes_max or self._records[delivery.place] > self._records_max:
            self._judge()

    def release(self) -> list[Delivery]:
        """Takes what is due, the longest due first."""
        released, now = [], self._clock()
        while self._heap and self._heap[0].due_at <= now:
            released.append(self._forget(heapq.heappop(self._heap)))
        if released:
            self._judge()
        return released

    def next_due_in_s(self) -> float | None:
        """None when nothing waits."""
        return max(0.0, self._heap[0].due_at - self._clock()) if self._heap else None

    def drop(self, partitions: Collection[Partition]) -> None:
        """They belong to somebody else now, uncommitted."""
        kept = []
        for parked in self._heap:
            if parked.delivery.place in partitions:
                self._forget(parked)
            else:
                kept.append(parked)
        heapq.heapify(kept)
        self._heap = kept
        self._judge()

    def overdue_s(self) -> dict[str, float]:
        """Tier -> how long its longest overdue record has been due. Tiers without one are absent."""
        overdue: dict[str, float] = {}
        now = self._clock()
        if not self._heap or self._heap[0].due_at > now:
            return overdue
        for parked in self._heap:
            late_s = now - parked.due_at
            if late_s > overdue.get(parked.delivery.tier or "", 0.0):
                overdue[parked.delivery.tier or ""] = late_s
        return overdue

    def _forget(self, parked: _Parked) -> Delivery:
        place = parked.delivery.place
        self._records[place] -= 1
        if not self._records[place]:
            del self._records[place]
        self._bytes -= parked.size_bytes
        return parked.delivery

    def _judge(self) -> None:
        if self._bytes > self._bytes_max or (self._bytes > self._bytes_max // 2 and self._full_of_bytes):
            self._full_of_bytes = True
            self._crowded = frozenset(self._records)
            return
        self._full_of_bytes = False
        still = {place for place in self._crowded if self._records.get(place, 0) > self._records_max // 2}
        newly = {place for place, records in self._records.items() if records > self._records_max}
        self._crowded = frozenset(still | newly)


class WaitingRoom:
    """Of the retry consumer: what it polls waits in `parking`. `hold` is told which partitions are too crowded."""

    def __init__(
        self, parking: Parking, ladder: Ladder, pauses: Pauses, *, hold: Callable[[frozenset[Partition]], None]
    ) -> None:
        self._parking = parking
        self._ladder = ladder
        self._pauses = pauses
        self._hold = hold
        self._stirred = asyncio.Event()

    async def fill(self, take: Callable[[], Awaitable[list[Delivery]]]) -> None:
        """A partition is paused only when too much of it waits."""
        while True:
            deliveries = await take()
            now_ms = time.time() * 1000
            for delivery in deliveries:
                delay_s = self._ladder.delay_s(delivery.tier or "")
                due_ms = delivery.due_ms or 0
                self._parking.park(delivery, waiting_s(due_ms=due_ms, now_ms=now_ms, delay_s=delay_s))
            self._changed()

    async def empty(self, start: Callable[[list[Delivery]], Awaitable[None]]) -> None:
        while True:
            due = self._parking.release()
            for first in range(0, len(due), BATCH_RECORDS_MAX):
                await start(due[first : first + BATCH_RECORDS_MAX])
            if due:
                self._hold_crowded()
                continue
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._parking.next_due_in_s()):
                    await self._stirred.wait()

    def put_back(self, delivery: Delivery) -> None:
        """Held by the flood guard: others are tried before it comes again."""
        self._parking.park(delivery, FLOOD_PAUSE_S)
        self._changed()

    def drop(self, partitions: Collection[Partition]) -> None:
        """They belong to somebody else now, and do not stay held back when they return."""
        self._parking.drop(partitions)
        self._hold_crowded()

    def _changed(self) -> None:
        self._stirred.set()
        self._hold_crowded()

    def _hold_crowded(self) -> None:
        crowded = self._parking.crowded
        if bool(crowded) != self._pauses.stands("backpressure"):
            change = self._pauses.begin if crowded else self._pauses.end
            change("backpressure")
        self._hold(crowded)
