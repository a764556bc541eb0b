"""Reads topics as they are: whole, or ranges of offsets with bounded memory; by assignment and never as a member of a
group, so that no live consumer notices. Also how far the groups have committed, and whether anybody is in them.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from services.common.errors import DependencyError
from services.common.kafka_config import client_config
from services.common.settings import Settings
from services.engine.records import Record, record_of
from services.operations.topic_client import (
    CALL_S,
    Ends,
    committed_of,
    consumer_for,
    ends_of,
    partitions_of,
    translated,
)

_FETCH_S = 0.2
_FETCH_RECORDS = 2_000
_NEW_S = 20.0
RECORDS_MAX = 5_000_000


async def read_topics(
    settings: Settings, topics: Sequence[str], *, within_s: float = 120.0, records_max: int = RECORDS_MAX
) -> list[Record]:
    """Every record between the low watermark and the end as of now. Order within a partition is kept.

    A topic that does not exist counts as empty. Raises DependencyError when Kafka does not answer or the end is not
    reached within `within_s`; ValueError when there are more than `records_max`.
    """
    return await asyncio.to_thread(_read, settings, tuple(topics), within_s, records_max)


async def read_new(
    settings: Settings, topics: Sequence[str], after: Mapping[tuple[str, int], int], *, records_max: int
) -> tuple[list[Record], frozenset[str]]:
    """What lies behind the offsets `after`, by (topic, partition); from the first record where there is none. At most
    `records_max` of each partition: whoever gets as many asks again. And the topics that end before `after`: what lay
    there is gone. Raises DependencyError.
    """
    return await asyncio.to_thread(_read_after, settings, tuple(topics), after, records_max)


async def stream_records(
    settings: Settings, ranges: Ends, *, idle_s: float = 30.0
) -> AsyncGenerator[list[Record], None]:
    """The records of `ranges` in batches, in order within a partition. The caller takes the time it needs: what
    librdkafka fetches ahead is bounded.
    Raises DependencyError when Kafka sends nothing for `idle_s` before the end of a range.
    """
    consumer = consumer_for(settings, "coursepay-topic-reader")
    batches = _read_to(consumer, ranges, idle_s)
    try:
        with translated():
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                if batch:
                    yield batch
    finally:
        await asyncio.to_thread(consumer.close)


async def read_ends(settings: Settings, topics: Sequence[str]) -> Ends:
    """Of every partition of the topics that exist. Raises DependencyError when Kafka does not answer."""
    return await asyncio.to_thread(_with_consumer, settings, lambda consumer: ends_of(consumer, topics))


async def offsets_since(settings: Settings, topics: Sequence[str], timestamp_ms: int) -> Ends:
    """Like `read_ends`, but beginning with the first record that is not older than `timestamp_ms`."""
    return await asyncio.to_thread(_with_consumer, settings, lambda consumer: _since(consumer, topics, timestamp_ms))


async def read_topic_ids(settings: Settings, topics: Sequence[str]) -> dict[str, str | None]:
    """What Kafka calls them, which no other topic is ever called; one that does not exist is left out.
    Raises DependencyError when Kafka does not answer.
    """
    return await asyncio.to_thread(_topic_ids, settings, topics)


async def group_has_members(settings: Settings, group: str) -> bool:
    """Whether a live consumer is in the group. Raises DependencyError when Kafka does not answer."""
    return await asyncio.to_thread(_has_members, settings, group)


async def read_positions(settings: Settings, group: str, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
    """What `group` has committed of `topics`: (topic, partition) -> the offset after the last finished record.
    Raises DependencyError when Kafka does not answer.
    """
    return await asyncio.to_thread(_positions, settings, group, tuple(topics))


async def read_lag(settings: Settings, group: str, topics: Sequence[str]) -> int:
    """Records of `topics` that `group` has not committed. Raises DependencyError when Kafka does not answer."""
    return await asyncio.to_thread(_lag, settings, group, tuple(topics))


def _read(settings: Settings, topics: Sequence[str], within_s: float, records_max: int) -> list[Record]:
    consumer = consumer_for(settings, "coursepay-topic-reader")
    try:
        with translated():
            ends = ends_of(consumer, topics)
            total = sum(high - low for low, high in ends.values())
            if total > records_max:
                raise ValueError(f"{total} records are more than {records_max}")
            return [record for batch in _read_to(consumer, ends, within_s) for record in batch]
    finally:
        consumer.close()


def _read_after(
    settings: Settings, topics: Sequence[str], after: Mapping[tuple[str, int], int], records_max: int
) -> tuple[list[Record], frozenset[str]]:
    consumer = consumer_for(settings, "coursepay-topic-reader")
    try:
        with translated():
            wanted = {}
            ends = ends_of(consumer, topics)
            cut_off = frozenset(place[0] for place, (_, high) in ends.items() if after.get(place, -1) >= high)
            for place, (low, high) in ends.items():
                start = max(low, after.get(place, -1) + 1)
                if start < high:
                    wanted[place] = (start, min(high, start + records_max))
            return [record for batch in _read_to(consumer, wanted, _NEW_S) for record in batch], cut_off
    finally:
        consumer.close()


def _read_to(consumer: Consumer, ends: Ends, idle_s: float) -> Iterator[list[Record]]:
    """A partition is read when its end as of the start was passed, or Kafka says that there is no more: counting
    would wait for ever on offsets that retention or an aborted transaction took away.
    """
    unread = {partition for partition, (low, high) in ends.items() if high > low}
    consumer.assign([TopicPartition(*partition, ends[partition][0]) for partition in unread])
    idle_rounds_max = max(1, int(idle_s / _FETCH_S))
    idle_rounds = 0
    while unread:
        messages = consumer.consume(_FETCH_RECORDS, _FETCH_S)
        idle_rounds = 0 if messages else idle_rounds + 1
        if idle_rounds >= idle_rounds_max:
            raise DependencyError(f"the end of {len(unread)} partitions was not reached", dependency="kafka")
        batch = []
        for message in messages:
            partition = (message.topic() or "", message.partition() or 0)
            offset, end = message.offset() or 0, ends[partition][1]
            if _is_data(message) and offset < end:
                batch.append(record_of(message))
            if not _is_data(message) or offset >= end - 1:
                unread.discard(partition)
        yield batch


def _since(consumer: Consumer, topics: Sequence[str], timestamp_ms: int) -> Ends:
    ends = ends_of(consumer, topics)
    wanted = [TopicPartition(*partition, timestamp_ms) for partition in ends]
    found = consumer.offsets_for_times(wanted, timeout=CALL_S) if wanted else []
    starts = {(at.topic, at.partition): at.offset for at in found}
    # A negative offset says that nothing is that new.
    return {
        partition: (max(low, starts[partition]) if starts[partition] >= 0 else high, high)
        for partition, (low, high) in ends.items()
    }


def _topic_ids(settings: Settings, topics: Sequence[str]) -> dict[str, str | None]:
    ids: dict[str, str | None] = {}
    with translated(), AdminClient(client_config(settings, "coursepay-topic-reader")) as client:
        described = client.describe_topics(TopicCollection(list(topics)), request_timeout=CALL_S)
        for topic, answer in described.items():
            try:
                ids[topic] = str(answer.result().topic_id)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
    return ids


def _has_members(settings: Settings, group: str) -> bool:
    with translated(), AdminClient(client_config(settings, "coursepay-topic-reader")) as client:
        described = client.describe_consumer_groups([group], request_timeout=CALL_S)[group].result()
    return bool(described.members)


def _with_consumer(settings: Settings, question: Callable[[Consumer], Ends]) -> Ends:
    consumer = consumer_for(settings, "coursepay-topic-reader")
    try:
        with translated():
            return question(consumer)
    finally:
        consumer.close()


def _positions(settings: Settings, group: str, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
    consumer = consumer_for(settings, group)
    try:
        with translated():
            committed = committed_of(consumer, partitions_of(consumer, topics))
            return {(at.topic, at.partition): max(0, at.offset) for at in committed}
    finally:
        consumer.close()


def _lag(settings: Settings, group: str, topics: Sequence[str]) -> int:
    # A fresh client each time: an old one may get no offsets after a broker restart.
    consumer = consumer_for(settings, group)
    try:
        with translated():
            # Committed first: an end read earlier would make the lag negative.
            committed = committed_of(consumer, partitions_of(consumer, topics))
            ends = ends_of(consumer, topics)
            return sum(_behind(ends, position) for position in committed)
    finally:
        consumer.close()


def _behind(ends: Ends, position: TopicPartition) -> int:
    low, high = ends[position.topic, position.partition]
    return max(0, high - max(position.offset, low))


def _is_data(message: Message) -> bool:
    """False: the mark of a partition's end. Raises KafkaException for an error."""
    error = message.error()
    if error is None:
        return True
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's only name for it
        return False
    raise KafkaException(error)
