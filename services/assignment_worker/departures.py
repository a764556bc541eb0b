"""The sessions to come of trainers who leave are given to others, one purchase a transaction, until none is left.

A job that is cut off goes on where it was: what is left is what the trainer still has.
Tables: trainer_departures (read; the function depart_next of sql/ writes), outbox (added to).
"""

import asyncio
from uuid import UUID

import structlog

from services.assignment_worker.allocations import Decision, depart_next
from services.common.codec import Codec
from services.common.database import Database
from services.common.errors import DependencyError, PermanentError, TransientError
from services.common.events import allocation_event
from services.common.outbox import add_event
from services.common.telemetry import current_traceparent

_INTERVAL_S = 5.0
_OPEN = "SELECT id FROM trainer_departures WHERE finished_at IS NULL ORDER BY created_at"
log = structlog.get_logger()


async def look_after_departures(
    database: Database, codec: Codec, stop: asyncio.Event, *, interval_s: float = _INTERVAL_S
) -> None:
    """Until `stop` is set. While PostgreSQL is away, it waits for the next turn."""
    while not stop.is_set():
        try:
            await finish_departures(database, codec, stop)
        except (DependencyError, TransientError, PermanentError) as error:
            log.warning("departures_postponed", error=str(error), kind=error.kind)
        try:
            async with asyncio.timeout(interval_s):
                await stop.wait()
        except TimeoutError:
            continue


async def finish_departures(database: Database, codec: Codec, stop: asyncio.Event) -> None:
    """One turn: every open job to its end, or until `stop`. Raises RecordError kinds."""
    async with database.connection() as connection:
        jobs = [row[0] for row in await connection.fetch(_OPEN)]
    for job in jobs:
        while not stop.is_set() and (await _one(database, codec, job))["result"] != "none":
            pass


async def _one(database: Database, codec: Codec, job: UUID) -> Decision:
    async with database.transaction() as transaction:
        decision = await depart_next(transaction, job)
        if decision["result"] in {"ok", "pending"}:
            await add_event(transaction, allocation_event(decision), codec, traceparent=current_traceparent())
    return decision
