"""Paid sessions that found no date are looked at again every hour: by then one may be free.

Table: outbox (added to). The functions shortfalls_to_retry and make_up_shortfall of sql/ do the rest.
"""

from uuid import UUID

import structlog

from services.assignment_worker.allocations import make_up_shortfall
from services.common.codec import Codec
from services.common.database import Database
from services.common.errors import DeadlineError, PermanentError, TransientError
from services.common.events import allocation_event
from services.common.outbox import add_event
from services.common.telemetry.traces import current_traceparent

_AT_ONCE = 20
_DUE = "SELECT * FROM shortfalls_to_retry($1)"
_SET_ASIDE = "SELECT set_pending_aside($1)"
log = structlog.get_logger()


async def retry_shortfalls(database: Database, codec: Codec) -> None:
    """One turn. Raises RecordError kinds; one that fails by itself is set aside for a minute."""
    async with database.connection() as connection:
        due = [row[0] for row in await connection.fetch(_DUE, _AT_ONCE)]
    for purchase_id in due:
        await _retry(database, codec, purchase_id)


async def _retry(database: Database, codec: Codec, purchase_id: UUID) -> None:
    try:
        async with database.transaction() as transaction:
            decision = await make_up_shortfall(transaction, purchase_id)
            if decision["result"] is not None:
                await add_event(transaction, allocation_event(decision), codec, traceparent=current_traceparent())
    except (TransientError, PermanentError, DeadlineError) as error:
        log.warning("shortfall_set_aside", purchaseId=str(purchase_id), error=str(error), error_kind=error.kind)
        async with database.connection() as connection:
            await connection.execute(_SET_ASIDE, purchase_id)
