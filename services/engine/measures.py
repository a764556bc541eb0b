"""What a worker tells about its work: instruments once per batch, one canonical log line per record, spans when traced.

A line per record costs more than handling it in a batch. So routine lines have a budget; what is not routine
(retried, dead, pending) is always told.
"""

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog
from opentelemetry.trace import Span, StatusCode

from services.common.database import Database
from services.common.events import Event
from services.common.metrics import STAGE_OF_WORKER, Metrics
from services.common.settings import has_otlp_endpoint
from services.common.telemetry.traces import SEND_SPAN, exemplar_of, is_sampled, messaging_span, trace_id_in
from services.engine.failures import fingerprint_of, message_of
from services.engine.outcomes import Done, Outcome
from services.engine.pauses import Reason
from services.engine.records import Delivery
from services.engine.retries import Ladder

_ROUTINE_LINES_PER_S = 100
# Of attempts whose trace is sampled, while what follows from them is sent.
Spans = Mapping[Delivery, Span]
log = structlog.get_logger()


class Measures:
    """Of one worker process."""

    def __init__(self, metrics: Metrics, worker: str, ladder: Ladder) -> None:
        self._metrics = metrics
        self._worker = worker
        self._stage = STAGE_OF_WORKER[worker]
        self._ladder = ladder
        # Looking labels up costs as much as observing.
        self._end_to_end = {
            retried: metrics.end_to_end.labels(self._stage, str(retried).lower()) for retried in (True, False)
        }
        self._traced = has_otlp_endpoint()
        self._routine_second = 0
        self._routine_lines = 0

    def begun(self, handled: Sequence[tuple[Delivery, Outcome]], seconds: float) -> None:
        """`seconds` ago. Once for each record, so not for tries that an outage or a flood took back."""
        begun_ms = (time.time() - seconds) * 1000
        for delivery, _ in handled:
            if delivery.tier is not None and delivery.due_ms is not None:
                late_s = max(0.0, begun_ms - delivery.due_ms) / 1000
                self._metrics.retry_lateness.labels(self._worker, delivery.tier).observe(late_s)

    def handled(self, handled: Sequence[tuple[Delivery, Outcome]], seconds: float, spans: Spans) -> None:
        """`seconds`: how long handling them took, together."""
        metrics, now = self._metrics, datetime.now(UTC)
        results: Counter[str] = Counter()
        for delivery, outcome in handled:
            result = self._result(delivery, outcome)
            results[result] += 1
            if isinstance(outcome, Done) and outcome.since is not None:
                waited_s = (now - outcome.since).total_seconds()
                self._end_to_end[delivery.retries > 0].observe(waited_s, exemplar_of(spans.get(delivery)))
            if result not in {"ok", "duplicate"} or self._has_room_for_a_line():
                self._write_line(delivery, outcome, result, seconds)
        for result, count in results.items():
            metrics.stage_results.labels(self._stage, result).inc(count)
        metrics.stage_duration.labels(self._stage).observe(seconds, exemplar_of(next(iter(spans.values()), None)))
        for span in spans.values():
            span.end()

    def hand_off_failed(self) -> None:
        self._metrics.handoff_failures.labels(self._worker).inc()

    def paused(self, reason: Reason, *, standing: bool) -> None:
        self._metrics.worker_paused.labels(self._worker, reason).set(standing)

    def sampled(self, *, last_poll_at: float, partitions: int, parked: int, overdue_s: dict[str, float]) -> None:
        metrics = self._metrics
        metrics.last_poll.labels(self._worker).set(last_poll_at)
        metrics.assigned_partitions.labels(self._worker).set(partitions)
        metrics.parked_records.labels(self._worker).set(parked)
        for tier in self._ladder.tiers:
            metrics.retry_overdue.labels(self._worker, tier).set(overdue_s.get(tier, 0.0))

    def sampled_pool(self, database: Database) -> None:
        idle = database.pool.get_idle_size()
        self._metrics.db_pool_connections.labels("idle").set(idle)
        self._metrics.db_pool_connections.labels("used").set(database.pool.get_size() - idle)

    def _result(self, delivery: Delivery, outcome: Outcome) -> str:
        if isinstance(outcome, Done):
            return outcome.result
        return "dead" if self._ladder.is_dead(delivery, outcome) else "retried"

    def _has_room_for_a_line(self) -> bool:
        second = int(time.monotonic())
        if second != self._routine_second:
            self._routine_second, self._routine_lines = second, 0
        self._routine_lines += 1
        return self._routine_lines <= _ROUTINE_LINES_PER_S

    def _write_line(self, delivery: Delivery, outcome: Outcome, result: str, seconds: float) -> None:
        record = delivery.record
        fields: dict[str, object] = {
            "stage": self._stage,
            "outcome": result,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "attempt": delivery.retries + 1,
            "duration_ms": round(seconds * 1000, 1),
            **_ids_of(delivery.event),
        }
        trace_id = trace_id_in(record.header("traceparent"))
        if trace_id is not None:
            fields["trace_id"] = trace_id
        if isinstance(outcome, Done):
            log.info("record_handled", **fields)
            return
        log.warning(
            "record_failed",
            **fields,
            error_class=outcome.error.cause_class,
            error_kind=outcome.error.kind.value,
            error=message_of(outcome.error).decode(),
            fingerprint=fingerprint_of(outcome.error).decode(),
        )

    def begin_spans(self, handled: Sequence[tuple[Delivery, Outcome]], seconds: float) -> Spans:
        """One for each attempt of a trace that is sampled, begun when handling began: what follows from it is sent
        below it. `handled` ends them.
        """
        if not self._traced:
            return {}
        started_ns = time.time_ns() - int(seconds * 1e9)
        return {
            delivery: self._begin_span(delivery, outcome, traceparent, started_ns)
            for delivery, outcome in handled
            if (traceparent := delivery.record.header("traceparent")) is not None and is_sampled(traceparent)
        }

    def _begin_span(self, delivery: Delivery, outcome: Outcome, traceparent: str, started_ns: int) -> Span:
        record = delivery.record
        attributes: dict[str, str | int] = {
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._worker if delivery.tier is None else f"{self._worker}.retry",
            "coursepay.outcome": self._result(delivery, outcome),
            "coursepay.attempt": delivery.retries + 1,
        }
        span = messaging_span(
            "process",
            record.topic,
            traceparent=traceparent,
            links=[record.header(SEND_SPAN)],
            started_ns=started_ns,
            attributes=attributes,
        )
        if not isinstance(outcome, Done):
            span.set_attribute("error.type", outcome.error.cause_class)
            span.set_status(StatusCode.ERROR)
        return span


def _ids_of(event: Event | None) -> dict[str, str]:
    """order_id -> orderId, and so on: the ids are what a line is searched by."""
    if event is None:
        return {}
    names = (field.name for field in dataclasses.fields(event) if field.name.endswith("_id"))
    return {_camel_case(name): str(getattr(event, name)) for name in names}


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)
