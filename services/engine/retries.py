"""The retry ladder: which tier is next, and the headers of a record on its way there or to the dead letters. Pure.

Bytes and key stay as they came, and so do headers that are not ours. Ours are written anew at each hop, each once,
at most HEADERS_BYTES_MAX together. The first `traceparent` is never replaced; SEND_SPAN is the business of who sends.
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping

from services.common.errors import ConfigurationError, RecordError
from services.common.events import Event
from services.common.limits import DEAD_LETTER_BYTES_MAX, HEADERS_BYTES_MAX, RETRY_JITTER
from services.common.setting_kinds import parse_duration_s
from services.common.telemetry.traces import SEND_SPAN
from services.common.topics import WORKERS, Topics
from services.engine.failures import class_of, cut, fingerprint_of, message_of, stack_of
from services.engine.outcomes import Dead, Retry
from services.engine.records import Delivery, Header, OutgoingRecord, Record

OUR_HEADERS = (
    "traceparent", SEND_SPAN, "retry-attempt", "retry-tier", "retry-due-ms",
    "origin-topic", "origin-partition", "origin-offset", "origin-timestamp-ms", "first-failed-ms", "last-failed-ms",
    "error-class", "error-message", "error-kind", "error-fingerprint", "error-stack",
    "worker", "replay-count", "replay-id",
)  # fmt: skip
# What Kafka adds per record and header, generously.
_FRAMING_BYTES = 4_096
_CARRIED_BYTES_MAX = 128
_TOPIC_BYTES_MAX = 249
_KEY_BYTES_MAX = 1_024


class Ladder:
    """Of one worker. `jitter()` gives numbers in [0, 1)."""

    def __init__(self, topics: Topics, worker: str, jitter: Callable[[], float] = random.random) -> None:
        self._topics = topics
        self._worker = worker
        self._jitter = jitter
        self._tiers = tuple(topics.delays_s)
        self._retry_prefix = topics.retry(worker, "")
        self._sources: Mapping[str, type[Event]] = {topics.main(event): event for event in WORKERS[worker]}

    def read(self, record: Record, generation: int) -> Delivery:
        """What a polled record's topic and headers say. One on a tier without our headers has used no retry and is
        due now.
        """
        if not record.topic.startswith(self._retry_prefix):
            return Delivery(record=record, generation=generation, expected=self._sources.get(record.topic))
        origin = record.header("origin-topic")
        return Delivery(
            record=record,
            generation=generation,
            expected=None if origin is None else self._sources.get(origin),
            retries=record.number("retry-attempt") or 0,
            tier=record.topic.removeprefix(self._retry_prefix),
            due_ms=record.number("retry-due-ms"),
        )

    def delay_s(self, tier: str) -> float:
        """Also of a tier that is no longer configured. 0 for a topic name that is no delay."""
        try:
            return self._topics.delays_s.get(tier) or parse_duration_s(tier)
        except ConfigurationError:
            return 0.0

    @property
    def tiers(self) -> tuple[str, ...]:
        """As in the topic names, in order."""
        return self._tiers

    def is_exhausted(self, delivery: Delivery) -> bool:
        return delivery.retries >= len(self._tiers)

    def is_dead(self, delivery: Delivery, outcome: Retry | Dead) -> bool:
        """Whether `hand_off` goes to the dead letters."""
        return isinstance(outcome, Dead) or self.is_exhausted(delivery)

    def hand_off(self, delivery: Delivery, outcome: Retry | Dead, *, now_ms: int) -> OutgoingRecord:
        """The record for the next tier, or for the dead letters when it is refused or its retries are used up."""
        if self.is_dead(delivery, outcome):
            return self._dead_letter(delivery, outcome.error, now_ms)
        tier = self._tiers[delivery.retries]
        wait_ms = self._topics.delays_s[tier] * 1000 * (1 + RETRY_JITTER * self._jitter())
        ours = {
            **_carried(delivery.record),
            "retry-attempt": _number(delivery.retries + 1),
            "retry-tier": tier.encode(),
            # Rounded up: a retry is never early.
            "retry-due-ms": _number(math.ceil(now_ms + wait_ms)),
            **_failure(delivery.record, outcome.error, now_ms),
            "worker": self._worker.encode(),
        }
        outgoing = _with_headers(delivery.record, self._topics.retry(self._worker, tier), ours)
        return outgoing if _fits(outgoing) else self._dead_letter(delivery, outcome.error, now_ms)

    def pointer(self, delivery: Delivery, error: RecordError, *, now_ms: int) -> OutgoingRecord:
        """A dead letter without the record, for one that no topic takes: where it lies and what was wrong."""
        ours = self._dead_headers(delivery, error, now_ms)
        key = delivery.record.key if len(delivery.record.key or b"") <= _KEY_BYTES_MAX else None
        topic = self._topics.dead_letters(self._worker)
        return OutgoingRecord(topic=topic, key=key, value=None, headers=_in_order(ours))

    def _dead_letter(self, delivery: Delivery, error: RecordError, now_ms: int) -> OutgoingRecord:
        ours = self._dead_headers(delivery, error, now_ms)
        topic = self._topics.dead_letters(self._worker)
        for shed in ("", "error-stack", "error-message"):
            ours.pop(shed, None)
            outgoing = _with_headers(delivery.record, topic, ours)
            if _fits(outgoing):
                return outgoing
        return self.pointer(delivery, error, now_ms=now_ms)

    def _dead_headers(self, delivery: Delivery, error: RecordError, now_ms: int) -> dict[str, bytes]:
        return {
            **_carried(delivery.record),
            "retry-attempt": _number(delivery.retries),
            **_failure(delivery.record, error, now_ms),
            "error-stack": stack_of(error),
            "worker": self._worker.encode(),
        }


def _carried(record: Record) -> dict[str, bytes]:
    """What stays the same from hop to hop: the trace, the replay, and where the record first lay."""
    carried = {}
    for name in ("traceparent", "replay-count", "replay-id"):
        value = record.header(name)
        if value is not None:
            carried[name] = cut(value, _CARRIED_BYTES_MAX)
    origin = record.header("origin-topic"), record.number("origin-partition"), record.number("origin-offset")
    topic, partition, offset = origin
    timestamp_ms = record.number("origin-timestamp-ms")
    if topic is None or partition is None or offset is None:
        topic, partition, offset, timestamp_ms = record.topic, record.partition, record.offset, record.timestamp_ms
    return carried | {
        "origin-topic": cut(topic, _TOPIC_BYTES_MAX),
        "origin-partition": _number(partition),
        "origin-offset": _number(offset),
        "origin-timestamp-ms": _number(max(0, timestamp_ms or 0)),
    }


def _failure(record: Record, error: RecordError, now_ms: int) -> dict[str, bytes]:
    return {
        "first-failed-ms": _number(record.number("first-failed-ms") or now_ms),
        "last-failed-ms": _number(now_ms),
        "error-class": class_of(error),
        "error-message": message_of(error),
        "error-kind": error.kind.encode(),
        "error-fingerprint": fingerprint_of(error),
    }


def _with_headers(record: Record, topic: str, ours: Mapping[str, bytes]) -> OutgoingRecord:
    foreign = [header for header in record.headers if header[0] not in OUR_HEADERS]
    return OutgoingRecord(topic=topic, key=record.key, value=record.value, headers=(*_in_order(ours), *foreign))


def _in_order(ours: Mapping[str, bytes]) -> tuple[Header, ...]:
    headers = tuple((name, ours[name]) for name in OUR_HEADERS if name in ours)
    assert _size_bytes(headers) <= HEADERS_BYTES_MAX
    return headers


def _fits(record: OutgoingRecord) -> bool:
    size = len(record.key or b"") + len(record.value or b"") + _size_bytes(record.headers)
    return size + _FRAMING_BYTES <= DEAD_LETTER_BYTES_MAX


def _size_bytes(headers: Iterable[Header]) -> int:
    return sum(len(name) + len(value or b"") for name, value in headers)


def _number(value: int) -> bytes:
    return str(value).encode()
