"""What only time changes: allocations whose last session is past stop counting as their trainer's load, and purchases
whose time is over expire.

A purchase that expires with sessions that never had a date is money kept for nothing given: it is logged, and in the
audit log, from where stock.py counts it. Functions of sql/ do both, a short transaction for each portion.
"""

import structlog

from services.common.database import Database
from services.operations.limits import RELEASE_ROWS_MAX, RELEASE_S

_SWEEP = "SELECT sweep_allocations($1)"
_EXPIRE = "SELECT * FROM expire_purchases($1)"
log = structlog.get_logger()


class Releases:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def sweep(self) -> None:
        """Until nothing is left but what somebody holds. Raises RecordError kinds."""
        changed = RELEASE_ROWS_MAX
        while changed >= RELEASE_ROWS_MAX:
            changed = await self._release() + await self._expire()
            if changed:
                log.info("released", count=changed)

    async def _release(self) -> int:
        async with self._database.transaction(deadline_s=RELEASE_S) as transaction:
            released: int = await transaction.fetchval(_SWEEP, RELEASE_ROWS_MAX, timeout=RELEASE_S)
        return released

    async def _expire(self) -> int:
        async with self._database.transaction(deadline_s=RELEASE_S) as transaction:
            expired = await transaction.fetch(_EXPIRE, RELEASE_ROWS_MAX, timeout=RELEASE_S)
        for purchase in expired:
            if purchase["missing"]:
                log.warning(
                    "purchase_expired_unserved",
                    orderId=purchase["order_id"],
                    studentId=purchase["student_id"],
                    courseId=purchase["course_id"],
                    count=purchase["missing"],
                )
        return len(expired)
