"""What became of replayed records, as a counter: a command is gone before anybody could scrape it, so the operations
service counts what the commands have stored.

Tables, read only: replay_items, replay_runs.
"""

from collections import defaultdict
from itertools import product
from uuid import UUID

from services.common.database import Database
from services.common.metrics import REPLAY_RESULTS, Metrics
from services.common.topics import WORKERS

# A record that failed and is sent by a newer run counts there from then on; what the older run reported stays with it.
_COUNTS = """
SELECT run.id, run.worker,
       greatest(run.replayed, count(*) FILTER (WHERE item.result = 'replayed')) AS replayed,
       greatest(run.skipped_done, count(*) FILTER (WHERE item.result = 'skipped-done')) AS skipped_done,
       greatest(run.parked, count(*) FILTER (WHERE item.result = 'parked')) AS parked,
       greatest(run.failed, count(*) FILTER (WHERE item.result = 'failed')) AS failed
  FROM replay_runs run LEFT JOIN replay_items item ON item.run_id = run.id
 GROUP BY run.id
"""


class ReplayCounter:
    """After a restart it begins with all there ever was, so that the counter does not fall back. Until the tables were
    read once it shows nothing: after a zero, all of history would look like a burst.
    """

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._counted: defaultdict[tuple[UUID, str], int] = defaultdict(int)
        metrics.dlq_replayed.clear()

    async def count(self) -> None:
        """Raises RecordError kinds."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_COUNTS)
        for worker, result in product(WORKERS, REPLAY_RESULTS):
            more = sum(self._new_of(row["id"], result, row[result]) for row in rows if row["worker"] == worker)
            self._metrics.dlq_replayed.labels(worker, result).inc(more)

    def _new_of(self, run_id: UUID, result: str, count: int) -> int:
        """Run by run: what one has less than before shall not hide what another has more. A counter never falls."""
        more = max(0, count - self._counted[run_id, result])
        self._counted[run_id, result] += more
        return more
