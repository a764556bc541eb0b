"""A record that kills the process runs no exception handler, so deaths are counted in PostgreSQL.

The first dispatch of a partition after its assignment writes one row, which a clean end removes: no cost per batch. A
row found there is an unclean end. After CRASHES_MAX of them without progress the partition is handled with care: one
record at a time with a mark before each, ahead of decoding. A record whose mark survived MARKS_MAX deaths is the one.

While a mark stands, nothing else of the process is handled (`Hands`), and it is taken away before anything else is: a
death cannot be blamed on a record of another partition.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from services.common.database import POSTGRESQL, Database, Transaction
from services.common.errors import DependencyError, PermanentError, RecordError, TransientError
from services.common.limits import BATCH_RECORDS_MAX, CRASHES_MAX
from services.engine.records import Delivery, Partition

MARKS_MAX = 2
# Everything that can have been in flight when the process died.
_CARE_RECORDS = 4 * BATCH_RECORDS_MAX
_LEAVE_S = 1.0
log = structlog.get_logger()

_BEGIN = """
    INSERT INTO worker_crashes AS known (worker, topic, kafka_partition, committed_offset, dispatched)
    SELECT $1, place.topic, place.kafka_partition, place.first_offset, true
    FROM unnest($2::text[], $3::integer[], $4::bigint[]) AS place (topic, kafka_partition, first_offset)
    ORDER BY place.topic, place.kafka_partition
    ON CONFLICT (worker, topic, kafka_partition) DO UPDATE SET
        unclean_starts = CASE
            WHEN known.committed_offset = excluded.committed_offset OR known.marked_offset >= excluded.committed_offset
            THEN known.unclean_starts + 1 ELSE 0 END,
        marked_offset = CASE WHEN known.marked_offset >= excluded.committed_offset THEN known.marked_offset END,
        mark_crashes = CASE WHEN known.marked_offset >= excluded.committed_offset THEN known.mark_crashes ELSE 0 END,
        committed_offset = excluded.committed_offset,
        dispatched = true,
        updated_at = clock_timestamp()
    RETURNING topic, kafka_partition, unclean_starts
"""
# A record below the mark was survived before: it comes again because that was not committed, and leaves the mark alone.
_MARK = """
    UPDATE worker_crashes AS known SET
        mark_crashes = CASE
            WHEN known.marked_offset = $4 THEN known.mark_crashes + 1
            WHEN known.marked_offset > $4 THEN known.mark_crashes
            ELSE 0 END,
        marked_offset = greatest(known.marked_offset, $4),
        updated_at = clock_timestamp()
    WHERE worker = $1 AND topic = $2 AND kafka_partition = $3
    RETURNING CASE WHEN marked_offset = $4 THEN mark_crashes ELSE 0 END
"""
_UNMARK = """
    UPDATE worker_crashes SET marked_offset = NULL, mark_crashes = 0
    WHERE worker = $1 AND topic = $2 AND kafka_partition = $3 AND marked_offset = $4
"""
_END_OF_CARE = """
    UPDATE worker_crashes SET unclean_starts = 0, marked_offset = NULL, mark_crashes = 0, committed_offset = $4
    WHERE worker = $1 AND topic = $2 AND kafka_partition = $3
"""
_LEAVE = """
    DELETE FROM worker_crashes USING unnest($2::text[], $3::integer[]) AS place (topic, kafka_partition)
    WHERE worker_crashes.worker = $1 AND worker_crashes.topic = place.topic
    AND worker_crashes.kafka_partition = place.kafka_partition
"""


class Hands:
    """What the process has in hand: any number of records together, or one suspect alone."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._held = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        # Behind a suspect that waits, or it would wait forever.
        async with self._turn:
            self._held += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._held -= 1
            if not self._held:
                self._empty.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        async with self._turn:
            await self._empty.wait()
            yield


class CrashWatch:
    """Of one worker process."""

    def __init__(self, database: Database, worker: str) -> None:
        self.hands = Hands()
        self._database = database
        self._worker = worker
        # Partition -> generation that was written down.
        self._begun: dict[Partition, int] = {}
        # Partition -> records still to be handled with care.
        self._careful: dict[Partition, int] = {}
        self._marked: dict[Partition, int] = {}
        self._turn = asyncio.Lock()

    async def begin(self, deliveries: Sequence[Delivery]) -> None:
        """Before they are dispatched. One statement after an assignment, nothing afterwards."""
        if self.has_begun(deliveries):
            return
        async with self._turn:
            firsts: dict[Partition, Delivery] = {}
            for delivery in deliveries:
                place = delivery.place
                if self._begun.get(place) != delivery.generation:
                    firsts.setdefault(place, delivery)
            if firsts:
                await self._write_down(list(firsts.values()))

    def has_begun(self, deliveries: Sequence[Delivery]) -> bool:
        """Whether a death from now on would be counted for all of them."""
        return all(self._begun.get(delivery.place) == delivery.generation for delivery in deliveries)

    @property
    def asks_care_somewhere(self) -> bool:
        return bool(self._careful)

    def asks_care(self, delivery: Delivery) -> bool:
        return delivery.place in self._careful

    async def is_deadly(self, delivery: Delivery) -> bool:
        """Marks a record that is handled with care; True when its mark has survived too many deaths."""
        record = delivery.record
        if self._marked.get(record.place) == record.offset:
            return False
        async with self._writing() as connection:
            survived = await connection.fetchval(_MARK, self._worker, *record.place, record.offset)
        is_deadly = survived is not None and survived >= MARKS_MAX
        if not is_deadly:
            self._marked[record.place] = record.offset
        return is_deadly

    async def survived(self, delivery: Delivery, *, deadly: bool) -> None:
        """A record handled with care is finished. Care ends with the culprit, or when all suspects have passed."""
        record = delivery.record
        suspects = 0 if deadly else self._careful.get(record.place, 0) - 1
        async with self._writing() as connection:
            if suspects > 0:
                await connection.execute(_UNMARK, self._worker, *record.place, record.offset)
            else:
                await connection.execute(_END_OF_CARE, self._worker, *record.place, record.offset + 1)
        self._marked.pop(record.place, None)
        self._careful[record.place] = suspects
        if suspects <= 0:
            del self._careful[record.place]

    async def let_go(self, delivery: Delivery) -> None:
        """A record handled with care was survived, but is not finished: it is a suspect still, out of our hands."""
        record = delivery.record
        async with self._writing() as connection:
            await connection.execute(_UNMARK, self._worker, *record.place, record.offset)
        self._marked.pop(record.place, None)

    async def left(self, partitions: Collection[Partition]) -> None:
        """A clean end, also of what is still in flight: whoever gives partitions back is alive."""
        begun = self.forget(partitions)
        # Not worth holding up a rebalance: a row that stays counts as one unclean end.
        with suppress(RecordError, TimeoutError):
            async with asyncio.timeout(_LEAVE_S), self._database.connection(deadline_s=_LEAVE_S) as connection:
                topics, numbers = [place[0] for place in begun], [place[1] for place in begun]
                if begun:
                    await connection.execute(_LEAVE, self._worker, topics, numbers)

    def forget(self, partitions: Collection[Partition]) -> list[Partition]:
        """They are somebody else's now. Those that were written down."""
        for place in partitions:
            self._careful.pop(place, None)
            self._marked.pop(place, None)
        return [place for place in partitions if self._begun.pop(place, None) is not None]

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Transaction]:
        """No record is to blame for what goes wrong here, be it a lock that a migration holds."""
        try:
            async with self._database.connection() as connection:
                yield connection
        except (TransientError, PermanentError) as error:
            raise DependencyError(str(error), dependency=POSTGRESQL, cause_class=error.cause_class) from error

    async def _write_down(self, firsts: Sequence[Delivery]) -> None:
        async with self._writing() as connection:
            rows = await connection.fetch(
                _BEGIN,
                self._worker,
                [delivery.record.topic for delivery in firsts],
                [delivery.record.partition for delivery in firsts],
                [delivery.record.offset for delivery in firsts],
            )
        self._begun.update({delivery.place: delivery.generation for delivery in firsts})
        for topic, partition, unclean_starts in rows:
            if unclean_starts >= CRASHES_MAX:
                self._careful[topic, partition] = _CARE_RECORDS
                log.error("handling_with_care", topic=topic, partition=partition, count=unclean_starts)
