"""One consumer with what it has been given: whose records are current, which are in flight, what may be committed.

Generations are per partition and change only for the partitions in a rebalance callback; what was polled under
another generation is dropped wherever it is met.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import structlog

from services.common.limits import COMMIT_INTERVAL_S, COMMIT_RECORDS, POLL_INTERVAL_S, REVOKE_BUDGET_S
from services.common.runtime import AFTER_OFFSETS, BEFORE_OFFSETS, reached
from services.common.settings import Settings
from services.engine.consumer import GroupConsumer, Offsets
from services.engine.crashes import CrashWatch
from services.engine.records import Delivery, Partition
from services.engine.retries import Ladder
from services.engine.watermark import Watermark

log = structlog.get_logger()


class Lane:
    """The main topics' or the tiers'. `holds_still`: whether what is in flight waits for a dependency.
    `on_gone` hears of partitions that are no longer ours.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        topics: Collection[str],
        ladder: Ladder,
        crashes: CrashWatch,
        holds_still: Callable[[], bool],
        on_gone: Callable[[Collection[Partition]], None],
    ) -> None:
        self.consumer = GroupConsumer(settings, group=group, topics=topics, listener=self)
        self.was_assigned = False
        self._group = group
        self._ladder = ladder
        self._crashes = crashes
        self._holds_still = holds_still
        self._on_gone = on_gone
        self._generations: dict[Partition, int] = {}
        self._watermarks: dict[Partition, Watermark] = {}
        self._committed: dict[Partition, int] = {}
        self._leaving: set[Partition] = set()
        self._in_flight: Counter[Partition] = Counter()
        self._stirred = asyncio.Event()
        self._finished_records = 0
        self._enough_finished = asyncio.Event()

    @property
    def partitions(self) -> int:
        return len(self._generations)

    async def take(self) -> list[Delivery]:
        """The next batch, without what is no longer ours. Tracked from here on."""
        deliveries = []
        for record, generation in await self.consumer.take():
            place = record.place
            if self._generations.get(place) != generation or place in self._leaving:
                continue
            # Lower than what was committed: the log was cut off, and its offsets count anew.
            self._committed[place] = min(self._committed.get(place, record.offset), record.offset)
            self._watermarks[place].track(record.offset)
            deliveries.append(self._ladder.read(record, generation))
        return deliveries

    def current(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Those that may still be dispatched."""
        if not self._leaving:
            generations = self._generations
            return [d for d in deliveries if generations.get(d.place) == d.generation]
        return [
            delivery
            for delivery in deliveries
            if self._generations.get(delivery.place) == delivery.generation and delivery.place not in self._leaving
        ]

    @contextmanager
    def working(self, deliveries: Sequence[Delivery]) -> Iterator[None]:
        """Around everything that is done with them: a revoke waits for its end."""
        places = Counter(delivery.place for delivery in deliveries)
        self._in_flight.update(places)
        try:
            yield
        finally:
            self._in_flight.subtract(places)
            self._stirred.set()

    def finish(self, deliveries: Sequence[Delivery]) -> None:
        """The line at which a record becomes finished: what it caused has been committed and acknowledged."""
        for delivery in deliveries:
            place = delivery.place
            if self._generations.get(place) == delivery.generation:
                self._watermarks[place].finish(delivery.record.offset)
        self._finished_records += len(deliveries)
        if self._finished_records >= COMMIT_RECORDS:
            self._enough_finished.set()

    async def commit_regularly(self) -> None:
        """Every COMMIT_INTERVAL_S, or COMMIT_RECORDS finished records. What a commit lost goes with the next one."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(COMMIT_INTERVAL_S):
                    await self._enough_finished.wait()
            self._enough_finished.clear()
            self._finished_records = 0
            offsets = self._committable(self._watermarks)
            if offsets:
                reached(BEFORE_OFFSETS)
                self.consumer.commit(offsets)

    async def quiet(self, partitions: Collection[Partition] | None = None) -> None:
        """Returns when nothing of these partitions (or of any) is in flight, or when it waits for a dependency that is
        away: that would take too long, and is uncommitted, so safe.
        """
        while self._busy(partitions) and not self._holds_still():
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_INTERVAL_S):
                    await self._stirred.wait()

    # -- what the consumer tells --

    def assigned(self, generations: Mapping[Partition, int]) -> None:
        self.was_assigned = True
        self._leaving.difference_update(generations)
        for place, generation in generations.items():
            self._generations[place] = generation
            self._watermarks[place] = Watermark()
            self._committed.pop(place, None)
        log.info("partitions_assigned", worker=self._group, partitions=len(generations), count=self.partitions)

    async def revoked(self, partitions: Collection[Partition]) -> Offsets:
        leaving = {place: self._generations.get(place) for place in partitions}
        self._leaving.update(partitions)
        self._on_gone(partitions)
        try:
            async with asyncio.timeout(REVOKE_BUDGET_S):
                await self.quiet(partitions)
        except TimeoutError:
            log.warning("revoked_with_work_in_flight", worker=self._group, partitions=len(partitions))
        offsets = self._committable(partitions)
        await self._crashes.left(partitions)
        # The poll thread's patience may have ended before this, and the partition be ours again.
        self._forget([place for place, generation in leaving.items() if self._generations.get(place) == generation])
        log.info("partitions_revoked", worker=self._group, partitions=len(partitions), count=self.partitions)
        return offsets

    def lost(self, partitions: Collection[Partition]) -> None:
        self._on_gone(partitions)
        self._crashes.forget(partitions)
        self._forget(partitions)
        log.warning("partitions_lost", worker=self._group, partitions=len(partitions), count=self.partitions)

    def committed(self, offsets: Offsets) -> None:
        reached(AFTER_OFFSETS)
        for place, offset in offsets.items():
            watermark = self._watermarks.get(place)
            # Not what was on its way when the log was cut off.
            if watermark is not None and offset <= (watermark.position or 0):
                self._committed[place] = max(offset, self._committed.get(place, offset))

    def _busy(self, partitions: Collection[Partition] | None) -> bool:
        return any(self._in_flight[place] for place in (self._in_flight if partitions is None else partitions))

    def _committable(self, partitions: Collection[Partition]) -> Offsets:
        offsets = {}
        for place in partitions:
            watermark = self._watermarks.get(place)
            position = None if watermark is None else watermark.position
            if position is not None and position > self._committed.get(place, position):
                offsets[place] = position
        return offsets

    def _forget(self, partitions: Collection[Partition]) -> None:
        self._leaving.difference_update(partitions)
        for place in partitions:
            self._generations.pop(place, None)
            self._watermarks.pop(place, None)
            self._committed.pop(place, None)
