"""What became of replayed records, as a counter: a command is gone before anybody could scrape it, so the operations
service counts what the commands have stored.

Tables, read only: replay_items, replay_runs.
"""

from collections import Counter

from services.common.database import Database
from services.common.metrics import Metrics

_COUNTS = """
SELECT run.worker, replace(item.result, '-', '_') AS result, count(*) AS count
  FROM replay_items item JOIN replay_runs run ON run.id = item.run_id
 WHERE item.result IN ('replayed', 'skipped-done', 'parked', 'failed')
 GROUP BY 1, 2
"""


class ReplayCounter:
    """After a restart it begins with all there ever was, so that the counter does not fall back."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._counted: Counter[tuple[str, str]] = Counter()

    async def count(self) -> None:
        """Raises RecordError kinds."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_COUNTS)
        for row in rows:
            labels = (row["worker"], row["result"])
            # One that failed and is sent by a later run leaves its count behind: a counter never falls.
            more = row["count"] - self._counted[labels]
            if more > 0:
                self._metrics.dlq_replayed.labels(*labels).inc(more)
                self._counted[labels] = row["count"]
