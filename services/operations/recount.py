"""Figures that must be zero, and that cost a walk through whole tables: so they are looked at every ten minutes.

Progress that differs from a recount means that something wrote past the triggers; a trainer's load that does, past the
functions. An active purchase that lacks sessions and has no decision about its trainer, not even a pending one, is a
student whom the system has forgotten, or is about to. That is looked for by itself: no other query that has grown slow
may hide it.
Tables, all read only: progress_drift, load_drift, student_course_purchases, trainer_allocations, tutoring_sessions.
"""

from services.common.database import Database
from services.common.metrics import Metrics
from services.operations.limits import RECOUNT_S

_DRIFT = "SELECT count(*) FROM progress_drift"
_LOAD_DRIFT = "SELECT count(*) FROM load_drift"
# Sessions are counted for the few without an allocation only.
_UNALLOCATED = """
WITH bare AS MATERIALIZED (
    SELECT * FROM student_course_purchases bought
     WHERE status = 'active'
       AND NOT EXISTS (SELECT FROM trainer_allocations made
                        WHERE made.purchase_id = bought.id AND made.status <> 'cancelled')
)
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8
  FROM bare
 WHERE sessions_total > (SELECT count(*) FROM trainer_allocations earlier
                           JOIN tutoring_sessions held ON held.allocation_id = earlier.id AND held.status <> 'cancelled'
                          WHERE earlier.purchase_id = bare.id)
"""


class Recount:
    """`within_s`: how long each of its queries may take, one transaction for each. All raise RecordError kinds."""

    def __init__(self, database: Database, metrics: Metrics, *, within_s: float = RECOUNT_S) -> None:
        self._database = database
        self._metrics = metrics
        self._within_s = within_s

    async def look_for_the_forgotten(self) -> None:
        # The clocks of two connections may differ by a moment.
        self._metrics.unallocated_oldest.set(max(0.0, await self._ask(_UNALLOCATED)))

    async def look_for_drift(self) -> None:
        self._metrics.progress_drift.set(await self._ask(_DRIFT))
        self._metrics.load_drift.set(await self._ask(_LOAD_DRIFT))

    async def _ask(self, query: str) -> float:
        async with self._database.transaction(deadline_s=self._within_s) as transaction:
            answer: float = await transaction.fetchval(query, timeout=self._within_s)
            return answer
