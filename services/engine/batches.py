"""How each shape of worker handles deliveries: decode, then the handler in its transaction. One outcome per delivery.

DependencyError comes out as it is, for the gate; every other failure ends as the outcome of the record whose it is:
a batch whose transaction fails is taken apart until the culprits stand alone.
"""

import math
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar, assert_never

import structlog
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random

from services.common.codec import Codec
from services.common.database import Database
from services.common.errors import DeadlineError, DependencyError, ErrorKind, PoisonError, RecordError, TransientError
from services.common.events import Event
from services.common.limits import CONCURRENT_RECORDS_MAX, POOL_ACQUIRE_S, QUICK_TRIES, QUICK_TRIES_BUDGET_S
from services.common.runtime import IN_TRANSACTION, reached
from services.engine.outcomes import (
    Batched,
    BatchHandler,
    Concurrent,
    Dead,
    Networked,
    Outcome,
    RecordHandler,
    Retry,
    Shape,
)
from services.engine.records import Delivery

T = TypeVar("T")
Attempt = Callable[[Sequence[T]], Awaitable[Sequence[Outcome]]]
NamedBy = Callable[[RecordError, Sequence[T]], Sequence[T]]
# Of the records tried so far: with more than a third to blame, a pair fails more often than not, and the rest is tried
# one by one.
_MANY = 1 / 3
_PART_MIN = 8
_TELLING_RECORDS = 50
# Of a batch: a trigger that names the wrong ones must not cost more than the search that it saves.
_NAMED_MAX = 32
_find_words = re.compile(rb"[A-Za-z0-9_-]+").findall
# Deadlock, serialization failure, lock timeout: gone at the next try, more often than not.
_QUICK = frozenset({"DeadlockDetectedError", "SerializationError", "LockNotAvailableError"})
log = structlog.get_logger()


class Handling:
    """`at_once`: how many calls of `handle` may run at the same time. `singly`: each with one delivery only.
    `in_flight`: how many of them may be anywhere between dispatch and finish.
    """

    def __init__(self, shape: Shape, database: Database, codec: Codec) -> None:
        self._shape = shape
        self._database = database
        self._codec = codec
        self._culprits = Culprits()
        self.singly = not isinstance(shape, Batched)
        self.at_once = CONCURRENT_RECORDS_MAX if self.singly else 1
        # One batch is handled while the one before it is being acknowledged and the one after it is decoded.
        self.in_flight = self.at_once if self.singly else 3

    async def handle(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Committed when it returns. Raises DependencyError when nothing can be handled now."""
        outcomes: dict[Delivery, Outcome] = {}
        by_type: defaultdict[type[Event], list[Delivery]] = defaultdict(list)
        for delivery in deliveries:
            decoded = self._decode(delivery)
            if isinstance(decoded, RecordError):
                outcomes[delivery] = outcome_of(decoded)
            else:
                by_type[type(decoded)].append(delivery)
        # In the order of the mapping: what stands first there is handled first.
        for event_type in self._shape.handlers:
            if group := by_type[event_type]:
                outcomes.update(zip(group, await self._handle_group(event_type, group), strict=True))
        return [outcomes[delivery] for delivery in deliveries]

    def decode_ahead(self, deliveries: Sequence[Delivery]) -> None:
        """While an earlier batch waits for PostgreSQL. What cannot be decoded is told when it is handled."""
        for delivery in deliveries:
            self._decode(delivery)

    def _decode(self, delivery: Delivery) -> Event | RecordError:
        """Once per delivery that is an event."""
        if delivery.event is None:
            if delivery.record.has_bad_headers:
                return PoisonError("a header's name is no UTF-8", cause_class="BadHeaders")
            try:
                event = self._codec.decode(delivery.record.value, delivery.record.key)
            except RecordError as error:
                return error
            if type(event) is not (delivery.expected or type(event)) or type(event) not in self._shape.handlers:
                name = type(event).__name__
                return PoisonError(f"{name} does not belong on {delivery.record.topic}", cause_class="WrongType")
            delivery.event = event
        return delivery.event

    async def _handle_group(self, event_type: type[Event], group: Sequence[Delivery]) -> list[Outcome]:
        match self._shape:
            case Batched():
                in_batch = self._shape.handlers[event_type]
                return await self._culprits.single_out(group, lambda part: self._batch(in_batch, part), _named_by)
            case Concurrent():
                record = partial(self._record, self._shape.handlers[event_type])
                return [await self._single(partial(record, delivery)) for delivery in group]
            case Networked():
                return [await self._single(partial(self._shape.handlers[event_type], d.event)) for d in group]
            case _:
                assert_never(self._shape)

    async def _single(self, call: Callable[[], Awaitable[Outcome]]) -> Outcome:
        try:
            return await self._judged(call, quick=True)
        except DependencyError:
            raise
        except RecordError as error:
            return outcome_of(error)

    async def _batch(self, handler: BatchHandler, part: Sequence[Delivery]) -> Sequence[Outcome]:
        async def in_one_transaction() -> Sequence[Outcome]:
            async with self._database.transaction() as transaction:
                outcomes = await handler([delivery.event for delivery in part], transaction)
                if len(outcomes) != len(part):
                    raise ValueError(f"{len(outcomes)} outcomes for {len(part)} events")
                reached(IN_TRANSACTION)
            return outcomes

        return await self._judged(in_one_transaction, quick=len(part) == 1)

    async def _record(self, handler: RecordHandler, delivery: Delivery) -> Outcome:
        async with self._database.transaction() as transaction:
            outcome = await handler(delivery.event, transaction)
            reached(IN_TRANSACTION)
        return outcome

    async def _judged(self, call: Callable[[], Awaitable[T]], *, quick: bool) -> T:
        """Raises RecordError kinds only. `quick`: one more try, for a single record; for several, halves are tried."""
        try:
            return await (_quickly(call) if quick else call())
        except DeadlineError as error:
            # Others are served: it is this work that takes too long.
            if await self._database.probe(within_s=POOL_ACQUIRE_S):
                raise TransientError(str(error), cause_class=error.cause_class) from error
            raise
        except RecordError:
            raise
        # Whatever else a handler raises is a mistake in it: the record is retried, and then a person looks.
        except Exception as error:
            if quick:
                log.exception("handler_failed", error_class=type(error).__name__)
            raise TransientError(f"{type(error).__name__}: {error}", cause_class=type(error).__name__) from error


async def _quickly(call: Callable[[], Awaitable[T]]) -> T:
    tries = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, TransientError) and error.cause_class in _QUICK),
        stop=stop_after_attempt(QUICK_TRIES) | stop_after_delay(QUICK_TRIES_BUDGET_S),
        wait=wait_random(min=0.02, max=0.1),
        reraise=True,
    )
    return await tries(call)


def _named_by(error: RecordError, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """PostgreSQL's DETAIL often quotes the row that it refused. It stays out of our messages, and helps here."""
    words = frozenset(_find_words(f"{error} {getattr(error.__cause__, 'detail', None)}".encode()))
    return [delivery for delivery in deliveries if delivery.record.key in words]


class Culprits:
    """Singles them out. After a batch with some that no error named, the next is tried in parts with a fair chance."""

    def __init__(self) -> None:
        self._share = 0.0

    async def single_out(self, items: Sequence[T], attempt: Attempt[T], named_by: NamedBy[T]) -> list[Outcome]:
        """One outcome per item, in order. `attempt` handles some of them in one transaction, all or nothing, and raises
        a RecordError when that was rolled back; `named_by` tells which of them the error speaks of, if any.
        DependencyError is raised on: no record is at fault then.
        """
        size = max(_PART_MIN, int(math.log(2) / self._share)) if self._share else len(items)
        search, outcomes = _Search(attempt, named_by), list[Outcome]()
        for start in range(0, len(items), size):
            outcomes += await search.in_part(items[start : start + size])
        # A few records tell nothing about the next batch.
        if len(items) >= _TELLING_RECORDS:
            self._share = search.unnamed / len(items)
        return outcomes


def outcome_of(error: RecordError) -> Outcome:
    """For an error that is this record's own."""
    return Retry(error) if error.kind is ErrorKind.TRANSIENT else Dead(error)


class _Search(Generic[T]):
    """By what the error names, else by halving: one culprit among n costs two transactions more, or about 1.5 log2 n. A
    savepoint per record would cost every batch, and more than 64 of them fall off a cliff in PostgreSQL.
    """

    def __init__(self, attempt: Attempt[T], named_by: NamedBy[T]) -> None:
        self._attempt = attempt
        self._named_by = named_by
        self._apart = 0
        self._judged = 0
        self._culprits = 0
        self.unnamed = 0

    async def in_part(self, items: Sequence[T]) -> list[Outcome]:
        try:
            outcomes = list(await self._attempt(items))
        except DependencyError:
            raise
        except RecordError as error:
            if len(items) == 1:
                self._judged += 1
                self._culprits += 1
                self.unnamed += 1
                return [outcome_of(error)]
            named = self._named_by(error, items)
            if 0 < len(named) < len(items) and self._apart + len(named) <= _NAMED_MAX:
                return await self._without(named, items)
            return await self._in_halves(items)
        self._judged += len(items)
        return outcomes

    async def _without(self, named: Sequence[T], items: Sequence[T]) -> list[Outcome]:
        """An error's word is a hint and no proof: those that it names are tried too, alone, after the others."""
        self._apart += len(named)
        others = [item for item in items if item not in named]
        outcomes = dict(zip(others, await self.in_part(others), strict=True))
        unnamed = self.unnamed
        for item in named:
            [outcomes[item]] = await self.in_part([item])
        self.unnamed = unnamed
        return [outcomes[item] for item in items]

    async def _in_halves(self, items: Sequence[T]) -> list[Outcome]:
        """There is a culprit among them. When the first half has none, the other need not be tried as a whole."""
        if len(items) == 1 or self._culprits > _MANY * self._judged:
            return [outcome for item in items for outcome in await self.in_part([item])]
        half, found = len(items) // 2, self._culprits
        first = await self.in_part(items[:half])
        second = self._in_halves if self._culprits == found else self.in_part
        return first + await second(items[half:])
