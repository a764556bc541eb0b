"""The contract of a handler: what it is given, and what handling one record came to (a closed union).

A handler may run twice for a record. It returns one outcome per event, in the same order, and may raise the RecordError
kinds. Three shapes of worker:

Batched: many records in one transaction; it is bisected when it fails. Concurrent: one short transaction a record,
several in flight, never two of one key. Networked: the same without a transaction of the engine's, for what talks to a
network.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from services.common.database import Transaction
from services.common.errors import RecordError
from services.common.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Handled, now or before. `emit`: the events to send once the transaction has committed; emitted again when the
    record comes again. `since`: when the payment was made, for coursepay_end_to_end_seconds.
    """

    emit: tuple[Event, ...] = ()
    result: Literal["ok", "duplicate", "pending"] = "ok"
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now: to the next tier, after the last one to the dead letters."""

    error: RecordError


@dataclass(frozen=True, slots=True)
class Dead:
    """Never: to the dead letters."""

    error: RecordError


Outcome = Done | Retry | Dead

# The first argument is of the event type that the handler is registered for.
BatchHandler = Callable[[Sequence[Any], Transaction], Awaitable[Sequence[Outcome]]]
RecordHandler = Callable[[Any, Transaction], Awaitable[Outcome]]
NetworkHandler = Callable[[Any], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Batched:
    handlers: Mapping[type[Event], BatchHandler]


@dataclass(frozen=True, slots=True)
class Concurrent:
    handlers: Mapping[type[Event], RecordHandler]


@dataclass(frozen=True, slots=True)
class Networked:
    handlers: Mapping[type[Event], NetworkHandler]


Shape = Batched | Concurrent | Networked
