"""The relay: publishes what commits left in the outbox. A task in every gateway; any number of them share the work.

It wakes at each commit of its own gateway, and polls for those of others. Kafka away: a breaker stops claiming and
lets one round probe; the gateway stays ready, the rows wait. A row is marked when every in-sync replica has its
record, never before, so that a crash means a duplicate and never a loss.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import structlog
from opentelemetry.trace import INVALID_SPAN, Span, StatusCode

from services.common.breaker import Breaker, CircuitState
from services.common.codec import EncodedEvent
from services.common.errors import PermanentError, RecordError
from services.common.runtime import RELAY_CLAIMED, RELAY_MARKED, RELAY_SENT, reached
from services.common.settings import has_otlp_endpoint
from services.common.telemetry.traces import SEND_SPAN, is_sampled, messaging_span, traceparent_of
from services.engine.producer import KAFKA, OutgoingRecord, Producer
from services.gateway_api.dependencies import Dependencies
from services.gateway_api.limits import (
    OUTBOX_BLOCKED_AFTER,
    OUTBOX_BLOCKED_WAIT_MAX_S,
    OUTBOX_DRAIN_S,
    OUTBOX_KEPT_DAYS,
    OUTBOX_LEASE_S,
    OUTBOX_POLL_S,
    OUTBOX_REMOVE_INTERVAL_S,
    OUTBOX_ROWS_MAX,
)
from services.gateway_api.publishing import outbox
from services.gateway_api.publishing.outbox import Claimed

log = structlog.get_logger()
_LEASE = timedelta(seconds=OUTBOX_LEASE_S)
_KEPT = timedelta(days=OUTBOX_KEPT_DAYS)
# Rows of a partition without a leader step behind those that can be published.
_AGAIN = timedelta(seconds=1)


async def run_relay(dependencies: Dependencies, producer: Producer, drained: asyncio.Event) -> None:
    """Until `drained` is set, which means that nobody writes any more, and then until the outbox has nothing that can
    be published now, for OUTBOX_DRAIN_S at most.
    """
    relay = _Relay(dependencies, producer)
    async with asyncio.TaskGroup() as tasks:
        removing = tasks.create_task(relay.remove_old())
        while not drained.is_set():
            if not await relay.publish_some():
                await _wait(dependencies.outbox_written, drained)
        removing.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(OUTBOX_DRAIN_S):
                while await relay.publish_some():
                    pass


@dataclass(slots=True, kw_only=True)
class _Round:
    """Rows under one lease. `published`: those that Kafka has and that are not marked yet."""

    token: UUID = field(default_factory=uuid4)
    published: Sequence[Claimed] = ()


class _Relay:
    def __init__(self, dependencies: Dependencies, producer: Producer) -> None:
        self._database = dependencies.database
        self._codec = dependencies.codec
        self._topics = dependencies.topics
        self._metrics = dependencies.metrics
        self._producer = producer
        self._traced = has_otlp_endpoint()
        # Kept until it is settled: when PostgreSQL goes away in between, only this process knows what Kafka has.
        self._round: _Round | None = None
        self._breaker = Breaker(dependencies.metrics.circuit_state.labels(KAFKA), failures_max=1, open_s=1.0)

    async def publish_some(self) -> bool:
        """Whether it is worth trying again at once. Claims nothing while Kafka or PostgreSQL is away."""
        if not self._breaker.allows_call():
            return False
        try:
            await self._end_interrupted()
            current = self._round = _Round()
            rows = await outbox.claim(self._database, current.token, lease=_LEASE, rows_max=OUTBOX_ROWS_MAX)
            if not rows:
                self._round = None
                self._breaker.succeeded()
                return False
            reached(RELAY_CLAIMED)
            errors = await self._send(rows)
            reached(RELAY_SENT)
            await self._settle(current, rows, errors)
            self._round = None
            reached(RELAY_MARKED)
        except RecordError as error:
            if self._breaker.state is CircuitState.HALF_OPEN:
                # PostgreSQL was away when it was time to probe Kafka: the next probe finds out.
                self._breaker.failed()
            log.warning("relay_interrupted", error_class=error.cause_class, error=str(error))
            return False
        return self._breaker.allows_call()

    async def _end_interrupted(self) -> None:
        """Marks what Kafka has of a round that PostgreSQL left open, and gives back the rest: without it all of them
        would wait for the end of the lease, and then what Kafka has would be sent again.
        """
        if self._round is not None:
            await self._mark(self._round)
            await outbox.give_back(self._database, self._round.token)
            self._round = None

    async def _send(self, rows: Sequence[Claimed]) -> list[RecordError | None]:
        """What became of each row."""
        sendable: list[tuple[int, OutgoingRecord, Span]] = []
        errors: list[RecordError | None] = [None] * len(rows)
        for position, row in enumerate(rows):
            try:
                sendable.append((position, *self._record_of(row)))
            except KeyError as error:
                # A newer release wrote it, and this one runs beside it during a deploy.
                errors[position] = PermanentError(f"unknown event {error}", cause_class="UnknownSchema")
        answers = await self._producer.deliver([record for _, record, _ in sendable])
        for (position, _, span), answer in zip(sendable, answers, strict=True):
            errors[position] = answer
            if answer is not None:
                span.set_status(StatusCode.ERROR)
            span.end()
        return errors

    def _record_of(self, row: Claimed) -> tuple[OutgoingRecord, Span]:
        """With the span of its sending, which is none unless its trace is sampled and somebody collects it."""
        encoded = EncodedEvent(type=row.type, version=row.version, body=row.payload)
        topic, headers = self._topics.main_of_type(row.type), dict[str, str]()
        span: Span = INVALID_SPAN
        if row.traceparent:
            headers["traceparent"] = row.traceparent
            if self._traced and is_sampled(row.traceparent):
                span = messaging_span("send", topic, traceparent=row.traceparent)
                headers[SEND_SPAN] = traceparent_of(span) or ""
        record = OutgoingRecord(
            topic=topic,
            key=row.order_id.encode(),
            value=self._codec.frame(encoded),
            headers=tuple((name, value.encode()) for name, value in headers.items()),
        )
        return record, span

    async def _settle(self, current: _Round, rows: Sequence[Claimed], errors: Sequence[RecordError | None]) -> None:
        published = current.published = [row for row, error in zip(rows, errors, strict=True) if error is None]
        await self._mark(current)
        waiting: list[int] = []
        for row, error in zip(rows, errors, strict=True):
            if isinstance(error, PermanentError):
                await self._block(current.token, row, error)
            elif error is not None:
                waiting.append(row.id)
        if waiting:
            await outbox.release(self._database, current.token, waiting, due_in=_AGAIN)
        if waiting and not published:
            self._breaker.failed()
        else:
            self._breaker.succeeded()

    async def _mark(self, current: _Round) -> None:
        if not current.published:
            return
        now = datetime.now(UTC)
        await outbox.mark_published(self._database, current.token, [row.id for row in current.published])
        self._metrics.outbox_published.inc(len(current.published))
        for row in current.published:
            self._metrics.outbox_delay.observe(max(0.0, (now - row.created_at).total_seconds()))
        # What is marked is counted once, whatever is interrupted after it.
        current.published = ()
        current.published = ()

    async def _block(self, token: UUID, row: Claimed, error: PermanentError) -> None:
        wait_s = min(2.0**row.attempts, OUTBOX_BLOCKED_WAIT_MAX_S)
        write = log.error if row.attempts + 1 >= OUTBOX_BLOCKED_AFTER else log.warning
        write(
            "outbox_row_refused", orderId=row.order_id, eventType=row.type, attempt=row.attempts + 1, error=str(error)
        )
        await outbox.block(self._database, token, row.id, error=str(error), due_in=timedelta(seconds=wait_s))

    async def remove_old(self) -> None:
        """In small batches, so that no delete is ever long."""
        while True:
            # Gateways that start together would otherwise delete together for ever.
            await asyncio.sleep(OUTBOX_REMOVE_INTERVAL_S * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            with suppress(RecordError):
                while (
                    await outbox.remove_published(self._database, older_than=_KEPT, rows_max=OUTBOX_ROWS_MAX)
                ) == OUTBOX_ROWS_MAX:
                    pass


async def _wait(written: asyncio.Event, drained: asyncio.Event) -> None:
    """Until someone wrote, the next poll is due, or it is time to stop."""
    tasks = [asyncio.create_task(written.wait()), asyncio.create_task(drained.wait())]
    poll_s = OUTBOX_POLL_S * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
    try:
        await asyncio.wait(tasks, timeout=poll_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        written.clear()
