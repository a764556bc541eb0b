"""What no event causes: those who wait for a trainer are tried again when one comes or gets time back.

Each decision writes its event to the outbox in its own transaction. Several processes may do this at once: the locks of
the decision let one of them find it already made.
Table: outbox (added to). The function pendings_to_retry of sql/ says who is due.
"""

import asyncio
import time
from uuid import UUID

import structlog

from services.assignment_worker.allocations import assign
from services.assignment_worker.shortfalls import retry_shortfalls
from services.common.codec import Codec
from services.common.database import Database
from services.common.errors import DeadlineError, DependencyError, PermanentError, TransientError
from services.common.events import allocation_event
from services.common.outbox import add_event
from services.common.telemetry.traces import current_traceparent

# A new or freed trainer is found within 30 s.
_RETRY_INTERVAL_S = 5.0
_RETRIES_MAX = 200
# No more are begun after that: who was freed meanwhile is for the next turn.
_TURN_S = 10.0
_DUE = "SELECT * FROM pendings_to_retry($1)"
_SET_ASIDE = "SELECT set_pending_aside($1)"
log = structlog.get_logger()


async def look_after_pendings(
    database: Database, codec: Codec, stop: asyncio.Event, *, interval_s: float = _RETRY_INTERVAL_S
) -> None:
    """Until `stop` is set. While PostgreSQL is away, it waits for the next turn."""
    while not stop.is_set():
        try:
            await retry_pendings(database, codec)
            await retry_shortfalls(database, codec)
        except (DependencyError, TransientError, PermanentError) as error:
            log.warning("pendings_postponed", error=str(error), error_kind=error.kind)
        try:
            async with asyncio.timeout(interval_s):
                await stop.wait()
        except TimeoutError:
            continue


async def retry_pendings(database: Database, codec: Codec) -> int:
    """One turn. Returns how many were decided anew: approved, or pending for another reason. One that fails by itself
    is set aside for a minute, so that those behind it get their turn. Raises RecordError kinds.
    """
    ends_at = time.monotonic() + _TURN_S
    async with database.connection() as connection:
        due = [row[0] for row in await connection.fetch(_DUE, _RETRIES_MAX)]
    decided = 0
    for purchase_id in due:
        decided += await _retry(database, codec, purchase_id)
        if time.monotonic() > ends_at:
            break
    return decided


async def _retry(database: Database, codec: Codec, purchase_id: UUID) -> bool:
    try:
        async with database.transaction() as transaction:
            decision = await assign(transaction, purchase_id)
            if decision["result"] not in {"ok", "pending"}:
                return False
            await add_event(transaction, allocation_event(decision), codec, traceparent=current_traceparent())
    except (TransientError, PermanentError, DeadlineError) as error:
        log.warning("pending_set_aside", purchaseId=str(purchase_id), error=str(error), error_kind=error.kind)
        async with database.connection() as connection:
            await connection.execute(_SET_ASIDE, purchase_id)
        return False
    log.info(
        "pending_tried_again",
        orderId=decision["order_id"],
        studentId=decision["student_id"],
        courseId=decision["course_id"],
        status=decision["status"],
    )
    return True
