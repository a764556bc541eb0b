"""What only time changes: allocations whose last session is past stop counting as their trainer's load, and purchases
whose time is over expire.

One server-side function does both, under the same locks as every decision about a trainer: sweep_allocations of sql/.
"""

import structlog

from services.common.database import Database
from services.operations.limits import RELEASE_ROWS_MAX, RELEASE_S

_SWEEP = "SELECT sweep_allocations($1)"
log = structlog.get_logger()


class Releases:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def sweep(self) -> None:
        """Until nothing is left but what somebody holds; a transaction for each portion. Raises RecordError kinds."""
        changed = RELEASE_ROWS_MAX
        while changed >= RELEASE_ROWS_MAX:
            async with self._database.transaction(deadline_s=RELEASE_S) as transaction:
                changed = await transaction.fetchval(_SWEEP, RELEASE_ROWS_MAX, timeout=RELEASE_S)
            if changed:
                log.info("released", count=changed)
