"""One commit for what a provider or a caller told us: the fact, the state that all facts add up to, the event in the
outbox, the tasks for later.

Concurrent ones share a commit: a writer takes what waits, without a timer, so that a lone request waits for nothing;
when many wait, a few writers share them. The batch only takes payment rows that nobody holds; the others, and all after
an error that is one fact's own, are recorded order by order and wait for the row. A connection that is lost inside
COMMIT leaves open whether it took place, so what is there is read before anyone is told.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from services.common.database import Database
from services.common.errors import DependencyError, RecordError, TransientError
from services.common.runtime import AFTER_COMMIT, IN_TRANSACTION, reached
from services.common.telemetry.traces import current_traceparent
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import (
    RECORDING_DEADLINE_S,
    RECORDING_FACTS_MAX,
    RECORDING_FACTS_MIN,
    RECORDING_QUEUE_MAX,
    RECORDING_READ_BACK_S,
    RECORDING_WRITERS_MAX,
    RETRY_AFTER_S,
)
from services.gateway_api.payments.reads import find, read_back
from services.gateway_api.payments.rows import Recorded, Told
from services.gateway_api.payments.writes import Writer
from services.gateway_api.providers import VerifiedPayment
from services.gateway_api.web.problems import Problem

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Waiting:
    told: Told
    recorded: "asyncio.Future[Recorded]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def open_recorder(dependencies: Dependencies) -> "Recorder":
    verify_in = timedelta(seconds=dependencies.settings.verify_delay_s)
    return Recorder(
        dependencies.database,
        Writer(dependencies.codec, verify_in=verify_in),
        dependencies.outbox_written,
        connections_max=dependencies.settings.database_pool_max,
    )


class Recorder:
    """One per gateway process and purpose. `outbox_written` is set after each commit that wrote an event."""

    def __init__(
        self, database: Database, writer: Writer, outbox_written: asyncio.Event, *, connections_max: int
    ) -> None:
        self._database = database
        self._writer = writer
        self._outbox_written = outbox_written
        self._queue: deque[_Waiting] = deque()
        self._waiting = 0
        self._deadlines = _Deadlines()
        self._writing = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(max(1, (connections_max - RECORDING_WRITERS_MAX) // 2))

    async def record(self, fact: VerifiedPayment) -> Recorded:
        """After the commit. Raises RecordError when it did not happen, or may not have; Problem 503 above the limit of
        waiting ones. Repeating it is always right.
        """
        # While PostgreSQL says nothing nobody takes what callers have given up.
        while self._queue and self._queue[0].recorded.done():
            self._queue.popleft()
        if self._waiting >= RECORDING_QUEUE_MAX or len(self._queue) >= RECORDING_QUEUE_MAX:
            raise _overloaded()
        waiting = _Waiting(Told(fact=fact, traceparent=current_traceparent()))
        self._queue.append(waiting)
        self._waiting += 1
        if self._writing == 0 or (self._writing < RECORDING_WRITERS_MAX and len(self._queue) >= RECORDING_FACTS_MIN):
            self._writing += 1
            # A task of its own: a caller that hangs up must not take the others' commit with it.
            self._begin(self._write_all())
        self._deadlines.add(waiting.recorded)
        try:
            return await waiting.recorded
        finally:
            self._waiting -= 1

    async def find(self, provider: str, provider_order_id: str) -> Recorded | None:
        """What the books say about an order, without a new fact. Raises RecordError."""
        async with self._database.connection() as connection:
            return await find(connection, provider, provider_order_id)

    async def _write_all(self) -> None:
        try:
            await self._write_until_empty()
        finally:
            # At once, not when the task's end is noticed: until then a fact would wait for a writer that is gone.
            self._writing -= 1

    async def _write_until_empty(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(_share_of(len(self._queue)))]
            # Whoever has given up will ask again; recording it now would only make others wait.
            wanted = [waiting for waiting in batch if not waiting.recorded.done()]
            if not wanted:
                continue
            try:
                left = await self._write_together(wanted)
            except DependencyError as error:
                # Beside the next batch, which finds out by itself whether PostgreSQL is there.
                self._begin(self._tell_by_reading(wanted, error))
                continue
            # One fact's own fault, whatever it is, must not become the others'.
            except Exception as error:  # noqa: BLE001
                log.warning("batch_recorded_singly", error_class=type(error).__name__, records=len(wanted))
                left = wanted
            for group in _by_order(left):
                # Beside the next batch: a row that someone holds must not stop the others.
                self._begin(self._write_waiting(group))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_together(self, batch: Sequence[_Waiting]) -> list[_Waiting]:
        """The rest: those whose payment row was not to be had at once, or does not exist."""
        async with self._database.transaction() as transaction:
            recorded = await self._writer.write(transaction, [waiting.told for waiting in batch], wait=False)
            reached(IN_TRANSACTION)
        reached(AFTER_COMMIT)
        return self._tell(batch, recorded)

    async def _write_waiting(self, group: Sequence[_Waiting]) -> None:
        """Facts of one order, waiting for its row; one by one when they fail together."""
        # Those who wait for rows must not take every connection from those who need not.
        async with self._slots:
            wanted = [waiting for waiting in group if not waiting.recorded.done()]
            if not wanted:
                return
            try:
                async with self._database.transaction() as transaction:
                    recorded = await self._writer.write(transaction, [waiting.told for waiting in wanted], wait=True)
            except DependencyError as error:
                await self._tell_by_reading(wanted, error)
            # Answered to those who wait; the writer goes on.
            except Exception as error:  # noqa: BLE001
                if len(wanted) == 1 or isinstance(error, TransientError):
                    _fail(wanted, error)
            else:
                self._tell(wanted, recorded)
            wanted = [waiting for waiting in wanted if not waiting.recorded.done()]
        for waiting in wanted:
            await self._write_waiting([waiting])

    async def _tell_by_reading(self, batch: Sequence[_Waiting], error: DependencyError) -> None:
        """What was stored after all is a success; the rest gets the error."""
        recorded: Sequence[Recorded | None] = [None] * len(batch)
        with suppress(RecordError):
            async with self._database.connection(deadline_s=RECORDING_READ_BACK_S) as connection:
                recorded = await read_back(connection, [waiting.told.fact for waiting in batch])
        _fail(self._tell(batch, recorded), error)

    def _tell(self, batch: Sequence[_Waiting], recorded: Sequence[Recorded | None]) -> list[_Waiting]:
        left: list[_Waiting] = []
        for waiting, one in zip(batch, recorded, strict=True):
            if one is None:
                left.append(waiting)
            elif not waiting.recorded.done():
                waiting.recorded.set_result(one)
        if any(one is not None and one.wrote_event for one in recorded):
            self._outbox_written.set()
        return left


def _share_of(waiting: int) -> int:
    """What one writer takes, so that the others have work too: while PostgreSQL has the one's facts, another's are
    prepared here. All at once would leave either idle while the other works.
    """
    fair = max(-(-waiting // RECORDING_WRITERS_MAX), RECORDING_FACTS_MIN)
    return min(waiting, fair, RECORDING_FACTS_MAX)


class _Deadlines:
    """One timer for all who wait, since they run out in the order in which they came; one for each costs more than what
    it guards.
    """

    def __init__(self) -> None:
        self._ahead: deque[tuple[float, asyncio.Future[Recorded]]] = deque()

    def add(self, recorded: "asyncio.Future[Recorded]") -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + RECORDING_DEADLINE_S
        if not self._ahead:
            loop.call_at(ends, self._end)
        self._ahead.append((ends, recorded))

    def _end(self) -> None:
        loop = asyncio.get_running_loop()
        while self._ahead and (self._ahead[0][1].done() or self._ahead[0][0] <= loop.time()):
            _, recorded = self._ahead.popleft()
            _refuse(recorded, _too_late())
        if self._ahead:
            loop.call_at(self._ahead[0][0], self._end)


def _by_order(left: Sequence[_Waiting]) -> Iterable[list[_Waiting]]:
    groups: defaultdict[tuple[str, str | None], list[_Waiting]] = defaultdict(list)
    for waiting in left:
        groups[waiting.told.fact.provider, waiting.told.fact.provider_order_id].append(waiting)
    return groups.values()


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for waiting in batch:
        _refuse(waiting.recorded, error)


def _refuse(recorded: "asyncio.Future[Recorded]", error: Exception) -> None:
    if not recorded.done():
        recorded.set_exception(error)
        # Whoever waited may be gone: nobody has to look at it.
        recorded.exception()


def _too_late() -> DependencyError:
    return DependencyError("no commit in time", dependency="postgresql", cause_class="TimeoutError")


def _overloaded() -> Problem:
    return Problem(
        "overloaded",
        503,
        "More requests than the gateway takes at once",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
