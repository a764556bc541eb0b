"""A run: what is planned is sent, paced and guarded, in steps that are each acknowledged and recorded.

One step, in `_send`: skip what was done or decided meanwhile -> mark as sending, committed -> Kafka acknowledges ->
record, and settle the letters, committed. A stop or a tripped guard falls between two steps, and a kill within one is
found out by recovery.py. Then it is watched for a while what becomes of the records.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from services.common.codec import Codec
from services.common.database import Database, Transaction
from services.common.errors import DependencyError, PermanentError
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.producer import KafkaClientError, Producer
from services.engine.records import OutgoingRecord, Record
from services.operations.dead_letter_index import DeadLetterIndex
from services.operations.replay.choosing.filters import Filter
from services.operations.replay.choosing.letters import digest_of
from services.operations.replay.choosing.scanning import read_planned
from services.operations.replay.choosing.standing import settle_letters, standings
from services.operations.replay.fates import Seen, look_at
from services.operations.replay.guards import GuardTrippedError, StopOn, check_canary
from services.operations.replay.items import Item, mark_sending, planned_items, settle_items
from services.operations.replay.lock import Session
from services.operations.replay.pace import Pace, wait_unless
from services.operations.replay.runs import Run, State
from services.operations.replay.steady import steadily
from services.operations.replay.targets import PARKED, replayed
from services.operations.replay.whereabouts import Trail

_LOOK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    settings: Settings
    database: Database
    codec: Codec
    producer: Producer


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """`rate` in records/s; `canary`: so many first, then wait up to `canary_wait_s`; `records_max`: of this time;
    `watch_s`: how long to look at what becomes of the records at the end.
    """

    rate: float
    canary: int = 0
    canary_wait_s: float = 60.0
    records_max: int | None = None
    stop_on: tuple[StopOn, ...] = ()
    watch_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """`why`: one sentence for a run that did not finish. `sent` in `sending_s` seconds, this time."""

    state: State
    why: str | None
    sent: int
    sending_s: float


Observe = Callable[[int], None]


async def execute(
    tools: Tools, session: Session, run: Run, orders: Orders, *, stop: asyncio.Event, observe: Observe
) -> Ended:
    """Sends what is planned. `observe` is told how many records each step has settled.

    Raises RecordError kinds when PostgreSQL goes away; Kafka going away, or a producer
    that can never work again, interrupts the run.
    """
    async with session.transaction() as transaction:
        items = (await planned_items(transaction, run.id))[: orders.records_max]
    execution = _Execution(tools, session, run, orders, stop, observe)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    state: State = "finished"
    why = None
    try:
        await execution.send_all(items)
        async with session.transaction() as transaction:
            left = len(await planned_items(transaction, run.id))
        if left:
            state, why = "interrupted", f"{left} records are left" if not stop.is_set() else "it was asked to stop"
    except GuardTrippedError as error:
        state, why = "stopped", str(error)
    except KafkaClientError as error:
        # Another process can go on.
        state, why = "interrupted", str(error)
    except DependencyError as error:
        if error.dependency != "kafka":
            raise
        state, why = "interrupted", str(error)
    return Ended(state=state, why=why, sent=execution.sent, sending_s=loop.time() - began_s)


async def watch(tools: Tools, run: Run, *, within_s: float, stop: asyncio.Event) -> Seen:
    """Looks until every replayed record is done or back, or the time is up."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    trail = Trail(tools.settings, run)
    while True:
        seen = await _look(tools, run, trail)
        if not seen.pending and not seen.unknown:
            return seen
        left_s = until_s - loop.time()
        if left_s <= 0 or stop.is_set():
            return seen
        await wait_unless(stop, min(_LOOK_S, left_s))


class _Execution:
    def __init__(  # noqa: PLR0917 - made in one place
        self, tools: Tools, session: Session, run: Run, orders: Orders, stop: asyncio.Event, observe: Observe
    ) -> None:
        self._tools = tools
        self._session = session
        self._run = run
        self._orders = orders
        self._stop = stop
        self._observe = observe
        self._topics = Topics.of(tools.settings)
        self._statuses = Filter.from_json(run.options["filter"]).statuses
        self._pace = Pace(orders.rate)
        self._looked_s = asyncio.get_running_loop().time()
        self._trail = Trail(tools.settings, run)
        self.sent = 0

    async def send_all(self, items: Sequence[Item]) -> None:
        """Raises GuardTrippedError, DependencyError."""
        first = items[: self._orders.canary]
        if first:
            await self._send_some(first)
            if not self._stop.is_set():
                await self._wait_for_canary()
        await self._send_some(items[len(first) :])

    async def _send_some(self, items: Sequence[Item]) -> None:
        async with aclosing(self._chunks(items)) as chunks:
            async for chunk in chunks:
                await self._pace.wait_for(len(chunk), self._stop)
                if self._stop.is_set():
                    return
                await self._send(chunk)
                await self._check_guards()

    async def _chunks(self, items: Sequence[Item]) -> AsyncGenerator[list[tuple[Item, Record | None]], None]:
        of_place = {item.place: item for item in items}
        chunk: list[tuple[Item, Record | None]] = []
        async with aclosing(read_planned(self._tools.settings, self._run.topic, list(of_place))) as records:
            async for place, record in records:
                chunk.append((of_place[place], record))
                if len(chunk) >= self._pace.chunk:
                    yield chunk
                    chunk = []
        if chunk:
            yield chunk

    async def _send(self, chunk: Sequence[tuple[Item, Record | None]]) -> None:
        """Raises DependencyError: then the records that Kafka did not acknowledge are left as `sending`."""
        settled, leaving = await self._session.step(partial(self._prepare, chunk))
        errors = await self._tools.producer.deliver([outgoing for _, outgoing in leaving])
        answered = [(item, error) for (item, _), error in zip(leaving, errors, strict=True)]
        arrived = [item for item, error in answered if error is None]
        refused = [(item, error) for item, error in answered if isinstance(error, PermanentError)]
        results = [replace(item, result="parked" if item.target == PARKED else "replayed") for item in arrived]
        failed = [replace(item, result="failed", detail=str(error)) for item, error in refused]
        await self._session.step(partial(self._record, results + failed))
        self.sent += len(arrived)
        self._observe(len(settled) + len(arrived) + len(refused))
        for _, unanswered in answered:
            if unanswered is not None and not isinstance(unanswered, PermanentError):
                raise unanswered

    async def _prepare(
        self, chunk: Sequence[tuple[Item, Record | None]], transaction: Transaction
    ) -> tuple[list[Item], list[tuple[Item, OutgoingRecord]]]:
        """Those that need not or cannot be sent, settled; the others, marked as sending."""
        known = await standings(transaction, self._run.topic, [item.place for item, _ in chunk])
        settled, leaving = [], []
        for item, record in chunk:
            standing = known[item.place]
            # A plan is frozen, a decision about its letters is newer: done, discarded, parked, replayed by another run.
            if standing.done or standing.status not in self._statuses:
                detail = None if standing.done else f"it is {standing.status} since the plan was made"
                settled.append(replace(item, result="skipped-done", detail=detail))
                continue
            try:
                leaving.append((item, self._outgoing(item, record)))
            except PermanentError as error:
                settled.append(replace(item, result="failed", detail=str(error)))
        await settle_items(transaction, self._run.id, settled)
        await mark_sending(transaction, self._run.id, [item for item, _ in leaving])
        return settled, leaving

    async def _record(self, items: Sequence[Item], transaction: Transaction) -> None:
        await settle_items(transaction, self._run.id, items)
        for status in ("replayed", "parked"):
            places = [item.place for item in items if item.result == status]
            await settle_letters(transaction, self._run.topic, places, status)

    def _outgoing(self, item: Item, record: Record | None) -> OutgoingRecord:
        """Raises PermanentError."""
        if record is None:
            raise PermanentError("Kafka has no record at this offset any more")
        if digest_of(record) != item.digest:
            raise PermanentError("another record is at this offset than when the plan was made")
        return replayed(record, self._topics, self._run.worker, item.target, self._run.id)

    async def _check_guards(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if not self._orders.stop_on or now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        seen = await _look(self._tools, self._run, self._trail)
        for guard in self._orders.stop_on:
            guard.check(seen)

    async def _wait_for_canary(self) -> None:
        loop = asyncio.get_running_loop()
        within_s = self._orders.canary_wait_s
        until_s = loop.time() + within_s
        while not self._stop.is_set():
            time_is_up = loop.time() >= until_s
            seen = await _look(self._tools, self._run, self._trail)
            if check_canary(seen, within_s=within_s, time_is_up=time_is_up):
                return
            await wait_unless(self._stop, _LOOK_S / 2)


async def _look(tools: Tools, run: Run, trail: Trail) -> Seen:
    found = await trail.look()
    await steadily(DeadLetterIndex(tools.settings, tools.database, tools.codec).update)
    async with tools.database.connection() as connection:
        return await look_at(connection, run, found)
