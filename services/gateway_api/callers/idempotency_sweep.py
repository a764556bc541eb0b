"""Removes idempotency keys that nobody may repeat any more, in small batches, once an hour in every gateway.

Table: idempotency_keys.
"""

import asyncio
import random
from datetime import timedelta

import structlog

from services.common.database import Database
from services.common.errors import RecordError
from services.gateway_api.limits import IDEMPOTENCY_KEPT_HOURS, SWEEP_INTERVAL_S, SWEEP_ROWS

log = structlog.get_logger()
_KEPT = timedelta(hours=2 * IDEMPOTENCY_KEPT_HOURS)
_DELETE = """
DELETE FROM idempotency_keys
 WHERE (caller, route, key) IN (
       SELECT caller, route, key FROM idempotency_keys
        WHERE created_at < now() - $1::interval
        LIMIT $2
          FOR UPDATE SKIP LOCKED)
"""


async def run_key_sweep(database: Database, stop: asyncio.Event, *, interval_s: float = SWEEP_INTERVAL_S) -> None:
    """Until `stop`. A sweep that fails is left to the next one."""
    while not stop.is_set():
        try:
            # Gateways that start together would otherwise sweep together for ever.
            async with asyncio.timeout(interval_s * random.uniform(0.5, 1.5)):  # noqa: S311 - no secret
                await stop.wait()
        except TimeoutError:
            try:
                await sweep_keys(database)
            except RecordError as error:
                log.warning("key_sweep_failed", error_class=error.cause_class, error=str(error))


async def sweep_keys(database: Database) -> int:
    """The number of removed keys. Raises RecordError."""
    removed = 0
    while True:
        async with database.connection() as connection:
            count = int((await connection.execute(_DELETE, _KEPT, SWEEP_ROWS)).removeprefix("DELETE "))
        removed += count
        if count < SWEEP_ROWS:
            return removed
