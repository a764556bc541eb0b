"""What tests do to a cluster that no service does: commit for a group, send records as they please."""

import asyncio
from collections.abc import Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from services.common.kafka_config import client_config
from services.common.settings import Settings
from services.engine.producer import open_producer
from services.engine.records import OutgoingRecord
from services.operations.topic_client import translated


async def send(settings: Settings, records: Sequence[OutgoingRecord]) -> None:
    async with open_producer(settings, client_id="test") as producer:
        await producer.send_all(records)


async def commit(settings: Settings, group: str, topic: str, offsets: Sequence[int]) -> None:
    """`offsets` by partition: the next record that the group would read. Raises DependencyError."""
    positions = [TopicPartition(topic, number, offset) for number, offset in enumerate(offsets)]

    def alter() -> None:
        with translated(), AdminClient(client_config(settings, "test")) as client:
            wanted = [ConsumerGroupTopicPartitions(group, positions)]
            # librdkafka gives up first, so that a server away is told as such.
            for future in client.alter_consumer_group_offsets(wanted, request_timeout=10).values():
                future.result(timeout=30)

    await asyncio.to_thread(alter)


async def forget_before(settings: Settings, topic: str, *, partition: int, offset: int) -> None:
    """As retention would."""

    def delete() -> None:
        client = AdminClient(client_config(settings, "test"))
        for future in client.delete_records([TopicPartition(topic, partition, offset)]).values():
            future.result(timeout=10)

    await asyncio.to_thread(delete)


def text_headers(**headers: str | int) -> tuple[tuple[str, bytes | None], ...]:
    """`error_kind="poison"` -> ("error-kind", b"poison")."""
    return tuple((name.replace("_", "-"), str(value).encode()) for name, value in headers.items())
