"""The sessions to come of trainers who leave are given to others, one purchase a transaction, until none is left.

A job that is cut off goes on where it was: what is left is what the trainer still has. A purchase that cannot be given
away holds up no other: it is set aside for a minute, and the job's report has its error meanwhile.
Tables: trainer_departures (read; functions of sql/ write), outbox (added to).
"""

import asyncio
from uuid import UUID

import structlog

from services.assignment_worker.allocations import depart_next
from services.common.codec import Codec
from services.common.database import Database
from services.common.errors import DeadlineError, DependencyError, PermanentError, TransientError
from services.common.events import allocation_event
from services.common.outbox import add_event
from services.common.telemetry.traces import current_traceparent

_INTERVAL_S = 5.0
_PURCHASES_AT_ONCE = 100
_OPEN = "SELECT id FROM trainer_departures WHERE finished_at IS NULL ORDER BY created_at"
_DUE = "SELECT * FROM departing($1, $2)"
_SET_ASIDE = "SELECT set_departure_aside($1, $2, $3)"
_FINISH = "SELECT finish_departure($1)"
log = structlog.get_logger()


async def look_after_departures(
    database: Database, codec: Codec, stop: asyncio.Event, *, interval_s: float = _INTERVAL_S
) -> None:
    """Until `stop` is set. While PostgreSQL is away, it waits for the next turn."""
    while not stop.is_set():
        try:
            await finish_departures(database, codec, stop)
        except (DependencyError, TransientError, PermanentError) as error:
            log.warning("departures_postponed", error=str(error), error_kind=error.kind)
        try:
            async with asyncio.timeout(interval_s):
                await stop.wait()
        except TimeoutError:
            continue


async def finish_departures(database: Database, codec: Codec, stop: asyncio.Event) -> None:
    """One turn: of every open job all that can be done now, or until `stop`. Raises RecordError kinds."""
    async with database.connection() as connection:
        jobs = [row[0] for row in await connection.fetch(_OPEN)]
    for job in jobs:
        while not stop.is_set() and (due := await _due(database, job)):
            for purchase_id in due:
                await _give_away(database, codec, job, purchase_id)
                if stop.is_set():
                    return
        async with database.connection() as connection:
            await connection.execute(_FINISH, job)


async def _due(database: Database, job: UUID) -> list[UUID]:
    async with database.connection() as connection:
        return [row[0] for row in await connection.fetch(_DUE, job, _PURCHASES_AT_ONCE)]


async def _give_away(database: Database, codec: Codec, job: UUID, purchase_id: UUID) -> None:
    try:
        async with database.transaction() as transaction:
            decision = await depart_next(transaction, job, purchase_id)
            if decision["result"] in {"ok", "pending"}:
                await add_event(transaction, allocation_event(decision), codec, traceparent=current_traceparent())
    except (TransientError, PermanentError, DeadlineError) as error:
        log.warning("departure_set_aside", purchaseId=str(purchase_id), error=str(error), error_kind=error.kind)
        async with database.connection() as connection:
            await connection.execute(_SET_ASIDE, job, purchase_id, str(error))
