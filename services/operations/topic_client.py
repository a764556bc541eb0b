"""A consumer that joins no group, and what it is told of a topic's partitions. Errors are translated here, once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from services.common.errors import DependencyError
from services.common.kafka_config import client_config
from services.common.settings import Settings

CALL_S = 10.0
_TRIES = 20
_MOVING = frozenset(
    {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}
)
# (topic, partition) -> (first offset, the offset after the last)
Ends = Mapping[tuple[str, int], tuple[int, int]]


def consumer_for(settings: Settings, group: str) -> Consumer:
    """The caller closes it."""
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
            # Per partition, fetched ahead of a slow reader: bounded memory.
            "queued.max.messages.kbytes": 4_096,
        }
    )


def partitions_of(consumer: Consumer, topics: Sequence[str]) -> list[tuple[str, int]]:
    """Of the topics that exist."""
    known = consumer.list_topics(timeout=CALL_S).topics
    return [(topic, partition) for topic in topics if topic in known for partition in known[topic].partitions]


def ends_of(consumer: Consumer, topics: Sequence[str]) -> Ends:
    """Of every partition of the topics that exist. Raises DependencyError, KafkaException."""
    return {place: watermarks_of(consumer, place) for place in partitions_of(consumer, topics)}


@contextmanager
def translated() -> Iterator[None]:
    """KafkaException as DependencyError."""
    try:
        yield
    except KafkaException as error:
        raise DependencyError(f"Kafka: {error.args[0].str()}", dependency="kafka") from error


def watermarks_of(consumer: Consumer, place: tuple[str, int]) -> tuple[int, int]:
    """The first offset and the one after the last. A partition that was just made, or whose leader moves, has none for
    a moment. Raises DependencyError, KafkaException.
    """
    for left in reversed(range(_TRIES)):
        try:
            watermarks = consumer.get_watermark_offsets(TopicPartition(*place), timeout=CALL_S)
        except KafkaException as error:
            if not left or error.args[0].code() not in _MOVING:
                raise
            # Waits, and lets the client hear of the new leader.
            consumer.list_topics(timeout=CALL_S)
            consumer.poll(0.1)
            continue
        if watermarks is not None:
            return watermarks
    raise DependencyError(f"no watermarks of {place[0]}/{place[1]}", dependency="kafka")
