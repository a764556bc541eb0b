"""Reads topics as they are: everything from the first offset to the end, without a group, so that no live consumer
notices; and how far the groups have committed.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from services.common.errors import DependencyError
from services.common.kafka_config import client_config
from services.common.settings import Settings

_CALL_S = 10.0
_FETCH_S = 0.2
_FETCH_RECORDS = 2_000
RECORDS_MAX = 5_000_000
# (topic, partition) -> (low, high)
Ends = Mapping[tuple[str, int], tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """One record as it lies in Kafka. `timestamp_ms` is the producer's or the broker's, as the topic is set."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    def header(self, name: str) -> str | None:
        """The last header of this name as text; None when it is absent or no UTF-8."""
        value = dict(self.headers).get(name)
        if value is None:
            return None
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None


async def read_topics(
    settings: Settings, topics: Sequence[str], *, within_s: float = 120.0, records_max: int = RECORDS_MAX
) -> list[StoredRecord]:
    """Every record between the low watermark and the end as of now. Order within a partition is kept.

    A topic that does not exist counts as empty. Raises DependencyError when Kafka does not answer or the end is not
    reached within `within_s`; ValueError when there are more than `records_max`.
    """
    return await asyncio.to_thread(_read, settings, tuple(topics), within_s, records_max)


async def read_lag(settings: Settings, group: str, topics: Sequence[str]) -> int:
    """Records of `topics` that `group` has not committed. Raises DependencyError when Kafka does not answer."""
    return await asyncio.to_thread(_lag, settings, group, tuple(topics))


def _read(settings: Settings, topics: Sequence[str], within_s: float, records_max: int) -> list[StoredRecord]:
    consumer = _consumer(settings, "coursepay-topic-reader")
    try:
        with _translated():
            ends = _ends(consumer, topics)
            total = sum(high - low for low, high in ends.values())
            if total > records_max:
                raise ValueError(f"{total} records are more than {records_max}")
            return list(_read_to(consumer, ends, within_s))
    finally:
        consumer.close()


def _read_to(consumer: Consumer, ends: Ends, within_s: float) -> Iterator[StoredRecord]:
    """A partition is read when its end as of the start was passed, or Kafka says that there is no more: counting
    would wait for ever on offsets that retention or an aborted transaction took away.
    """
    unread = {partition for partition, (low, high) in ends.items() if high > low}
    consumer.assign([TopicPartition(*partition, ends[partition][0]) for partition in unread])
    idle_rounds_max = max(1, int(within_s / _FETCH_S))
    while unread:
        messages = consumer.consume(_FETCH_RECORDS, _FETCH_S)
        idle_rounds_max -= not messages
        if idle_rounds_max <= 0:
            raise DependencyError(f"the end of {len(unread)} partitions was not reached", dependency="kafka")
        for message in messages:
            partition = (message.topic() or "", message.partition() or 0)
            offset, end = message.offset() or 0, ends[partition][1]
            if _is_data(message) and offset < end:
                yield _record(message)
            if not _is_data(message) or offset >= end - 1:
                unread.discard(partition)


def _lag(settings: Settings, group: str, topics: Sequence[str]) -> int:
    # A fresh client each time: an old one may get no offsets after a broker restart.
    consumer = _consumer(settings, group)
    try:
        with _translated():
            # Committed first: an end read earlier would make the lag negative.
            partitions = [TopicPartition(topic, partition) for topic, partition in _partitions(consumer, topics)]
            committed = consumer.committed(partitions, timeout=_CALL_S) if partitions else []
            ends = _ends(consumer, topics)
            return sum(_behind(ends, position) for position in committed)
    finally:
        consumer.close()


def _behind(ends: Ends, position: TopicPartition) -> int:
    low, high = ends[position.topic, position.partition]
    return max(0, high - max(position.offset, low))


def _consumer(settings: Settings, group: str) -> Consumer:
    return Consumer(
        {
            **client_config(settings, "coursepay-topic-reader"),
            # Never joined, never committed: librdkafka only wants a name, and `committed` asks for this one.
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
    )


def _partitions(consumer: Consumer, topics: Sequence[str]) -> list[tuple[str, int]]:
    known = consumer.list_topics(timeout=_CALL_S).topics
    return [(topic, partition) for topic in topics if topic in known for partition in known[topic].partitions]


def _ends(consumer: Consumer, topics: Sequence[str]) -> Ends:
    ends = {}
    for topic, partition in _partitions(consumer, topics):
        watermarks = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_CALL_S)
        if watermarks is None:
            raise DependencyError(f"no watermarks of {topic}/{partition}", dependency="kafka")
        ends[topic, partition] = watermarks
    return ends


def _is_data(message: Message) -> bool:
    """False: the mark of a partition's end. Raises KafkaException for an error."""
    error = message.error()
    if error is None:
        return True
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's only name for it
        return False
    raise KafkaException(error)


def _record(message: Message) -> StoredRecord:
    return StoredRecord(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=_headers(message),
    )


def _headers(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    pairs = message.headers() or []
    pairs = list(pairs.items()) if isinstance(pairs, dict) else pairs
    return tuple((name, value.encode() if isinstance(value, str) else value) for name, value in pairs)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise DependencyError(f"Kafka: {error.args[0].str()}", dependency="kafka") from error
