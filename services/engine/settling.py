"""What handling a record came to, made known: events and hand-offs, acknowledged by Kafka. There is no drop path."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import structlog
from opentelemetry.trace import Span, StatusCode

from services.common.codec import Codec
from services.common.errors import DependencyError, PermanentError, RecordError
from services.common.telemetry.traces import SEND_SPAN, messaging_span, traceparent_of
from services.common.topics import Topics
from services.engine.measures import Measures, Spans
from services.engine.outcomes import Dead, Done, Outcome
from services.engine.pauses import Gate
from services.engine.producer import KAFKA, Producer
from services.engine.records import Delivery, OutgoingRecord
from services.engine.retries import Ladder

log = structlog.get_logger()


class _Parcel(NamedTuple):
    """`hand_off`: to a tier or the dead letters. `error` is what is wrong with the delivery then. `span`: of its
    sending, where that is traced.
    """

    delivery: Delivery
    record: OutgoingRecord
    error: RecordError | None = None
    is_pointer: bool = False
    span: Span | None = None

    @property
    def is_hand_off(self) -> bool:
        return self.error is not None


class Settler:
    """Construct one per worker process."""

    def __init__(
        self, *, producer: Producer, gate: Gate, ladder: Ladder, codec: Codec, topics: Topics, measures: Measures
    ) -> None:
        self._producer = producer
        self._gate = gate
        self._ladder = ladder
        self._codec = codec
        self._topics = topics
        self._measures = measures

    async def settle(self, handled: Sequence[tuple[Delivery, Outcome]], spans: Spans) -> None:
        """Returns when everything is acknowledged, however long Kafka is away. `spans`: below which it is sent."""
        waiting: list[_Parcel] = []
        for delivery, outcome in handled:
            if isinstance(outcome, Done):
                waiting.extend(self._emitted(delivery, outcome))
            else:
                record = self._ladder.hand_off(delivery, outcome, now_ms=_now_ms())
                waiting.append(_Parcel(delivery=delivery, record=record, error=outcome.error))

        if spans:
            waiting = [_traced(parcel, spans.get(parcel.delivery)) for parcel in waiting]

        async def send(probing: bool) -> None:  # noqa: FBT001 - the gate's own call
            await self._send(waiting, 1 if probing else len(waiting))

        while waiting:
            await self._gate.run(send)

    def _emitted(self, delivery: Delivery, done: Done) -> list[_Parcel]:
        trace = tuple(header for header in delivery.record.headers if header[0] == "traceparent")[:1]
        return [
            _Parcel(
                delivery=delivery,
                record=OutgoingRecord(
                    topic=self._topics.main(type(event)),
                    key=event.order_id.encode(),
                    value=self._codec.encode_framed(event),
                    headers=trace,
                ),
            )
            for event in done.emit
        ]

    async def _send(self, waiting: list[_Parcel], count: int) -> None:
        """Takes the acknowledged ones off `waiting`. Raises DependencyError when some were not, and remain."""
        sent = waiting[:count]
        errors = await self._producer.deliver([parcel.record for parcel in sent])
        unsent: list[_Parcel] = []
        away: DependencyError | None = None
        for parcel, error in zip(sent, errors, strict=True):
            if error is None:
                if parcel.span is not None:
                    parcel.span.end()
                continue
            if parcel.is_hand_off:
                self._measures.hand_off_failed()
            if isinstance(error, PermanentError) and not parcel.is_pointer:
                unsent.append(self._refused(parcel, error))
            else:
                unsent.append(parcel)
                away = away or _as_dependency(error)
        waiting[:count] = unsent
        if away is not None:
            raise away

    def _refused(self, parcel: _Parcel, refusal: PermanentError) -> _Parcel:
        """An event that no topic takes makes its source a dead letter; a hand-off becomes a pointer."""
        delivery, now_ms = parcel.delivery, _now_ms()
        log.error("record_refused_by_kafka", topic=parcel.record.topic, error=str(refusal))
        if parcel.span is not None:
            parcel.span.set_status(StatusCode.ERROR)
            parcel.span.end()
        if parcel.error is None:
            record = self._ladder.hand_off(delivery, Dead(refusal), now_ms=now_ms)
            return _Parcel(delivery=delivery, record=record, error=refusal)
        record = self._ladder.pointer(delivery, parcel.error, now_ms=now_ms)
        return _Parcel(delivery=delivery, record=record, error=parcel.error, is_pointer=True)


def _traced(parcel: _Parcel, attempt: Span | None) -> _Parcel:
    """With its send span, which the record tells of. It ends when Kafka has the record."""
    if attempt is None:
        return parcel
    record = parcel.record
    span = messaging_span("send", record.topic, traceparent=traceparent_of(attempt) or "")
    headers = (*record.headers, (SEND_SPAN, (traceparent_of(span) or "").encode()))
    return parcel._replace(record=replace(record, headers=headers), span=span)


def _as_dependency(error: RecordError) -> DependencyError:
    """A pointer that is refused as too large is the topic's fault: its limit has to be raised."""
    return error if isinstance(error, DependencyError) else DependencyError(str(error), dependency=KAFKA)


def _now_ms() -> int:
    return int(time.time() * 1000)
