"""Figures that must be zero, and that cost a walk through whole tables: so they are looked at every ten minutes.

Progress that differs from a recount means that something wrote past the triggers; a trainer's load that does, past the
functions. An active purchase that lacks sessions and has no decision about its trainer, not even a pending one, is a
student whom the system has forgotten, or is about to.
Tables, all read only: progress_drift, load_drift, student_course_purchases, trainer_allocations, tutoring_sessions.
"""

from services.common.database import Database
from services.common.metrics import Metrics

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
    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics

    async def look(self) -> None:
        """Raises RecordError kinds."""
        async with self._database.connection() as connection:
            drift = await connection.fetchval(_DRIFT)
            load_drift = await connection.fetchval(_LOAD_DRIFT)
            oldest_s = await connection.fetchval(_UNALLOCATED)
        self._metrics.progress_drift.set(drift)
        self._metrics.load_drift.set(load_drift)
        # The clocks of two connections may differ by a moment.
        self._metrics.unallocated_oldest.set(max(0.0, oldest_s))
