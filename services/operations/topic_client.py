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
# A new cluster makes the topic of the groups' positions when it is first asked for one.
_FINDING_COORDINATOR = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError._WAIT_COORD,  # noqa: SLF001 - librdkafka's own errors have no other names
    }
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
        known = error.args[0]
        hint = " (`coursepay topics check` tells why)" if known.code() == KafkaError._TRANSPORT else ""  # noqa: SLF001
        raise DependencyError(f"Kafka: {known.str()}{hint}", dependency="kafka") from error


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


def committed_of(consumer: Consumer, places: Sequence[tuple[str, int]]) -> list[TopicPartition]:
    """The positions of the consumer's group; a negative offset where it has none. Raises KafkaException."""
    wanted = [TopicPartition(*place) for place in places]
    for left in reversed(range(_TRIES)):
        try:
            return consumer.committed(wanted, timeout=CALL_S) if wanted else []
        except KafkaException as error:
            if not left or error.args[0].code() not in _FINDING_COORDINATOR:
                raise
            # Waits, and lets the client look for the coordinator again.
            consumer.poll(0.1)
    raise AssertionError("the last try returns or raises")
