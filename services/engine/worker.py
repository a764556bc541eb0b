"""A worker: handlers per event type in one of three shapes, run by one engine.

Batched: many records in one transaction, and bisecting when that fails. Concurrent: one short transaction a record,
several in flight, never two of one key. Networked: the same without a transaction of the engine's, for what talks to a
network. A handler may run twice for a record; it returns one outcome per event, in the same order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.common.database import Database, Transaction
from services.common.events import Event
from services.common.settings import Settings
from services.engine.outcomes import Outcome

# The first argument is the event type that the handler is registered for.
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


async def run_worker(settings: Settings, name: str, shape: Shape, stop: asyncio.Event, *, database: Database) -> None:
    """A whole worker process, until `stop` is set and what is in flight has finished."""
    raise NotImplementedError
