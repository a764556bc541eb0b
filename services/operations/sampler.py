"""Looks at the cluster and the database every few seconds and keeps what it saw in metrics, so that a scrape only reads
memory. What it could not see keeps its last value; `coursepay_sampler_last_success_timestamp_seconds` tells its age.
"""

import asyncio
import time

from services.common.database import Database
from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import WORKERS, Topics
from services.operations.backlog import Backlog, measure_backlog
from services.operations.stock import Stock, count_stock


class Sampler:
    def __init__(self, settings: Settings, database: Database, metrics: Metrics) -> None:
        self._settings = settings
        self._topics = Topics.of(settings)
        self._database = database
        self._metrics = metrics

    async def sample(self) -> None:
        """Looks at both, whatever one of them meets. Raises the first RecordError."""
        started = time.monotonic()
        seen = await asyncio.gather(self._sample_stock(), self._sample_backlog(), return_exceptions=True)
        for error in seen:
            if isinstance(error, BaseException):
                raise error
        self._metrics.sampler_duration.set(time.monotonic() - started)
        self._metrics.sampler_last_success.set_to_current_time()

    async def _sample_stock(self) -> None:
        _show_stock(await count_stock(self._database), self._topics, self._metrics)

    async def _sample_backlog(self) -> None:
        _show_backlog(await measure_backlog(self._settings), self._metrics)


def _show_stock(stock: Stock, topics: Topics, metrics: Metrics) -> None:
    metrics.outbox_pending.set(stock.outbox_rows)
    metrics.outbox_oldest.set(stock.outbox_oldest_s)
    metrics.pending_allocations.set(stock.pending_allocations)
    metrics.pending_oldest.set(stock.pending_oldest_s)
    metrics.shortfall_sessions.set(stock.shortfall_sessions)
    metrics.expired_unserved.set(stock.expired_unserved)
    metrics.payments_in_review.set(stock.payments.in_review)
    metrics.payment_tasks_given_up.set(stock.payments.given_up)
    metrics.captures_without_order.set(stock.payments.without_order)
    for worker in WORKERS:
        metrics.dlq_unresolved.labels(worker).set(stock.unresolved.get(worker, 0))
        metrics.dlq_made_anew.labels(worker).set(topics.dead_letters(worker) in stock.made_anew)
    # A cause that is gone shall not stay at its last count.
    metrics.dlq_causes.clear()
    for (worker, error_class), count in stock.causes.items():
        metrics.dlq_causes.labels(worker, error_class).set(count)


def _show_backlog(backlog: Backlog, metrics: Metrics) -> None:
    for (topic, group), count in backlog.lag.items():
        metrics.consumer_lag.labels(topic, group).set(count)
    for (worker, tier), count in backlog.waiting.items():
        metrics.retry_backlog.labels(worker, tier).set(count)
