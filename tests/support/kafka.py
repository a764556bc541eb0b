"""What tests do to a cluster that no service does: commit for a group, send records as they please."""

import asyncio
import ctypes
from collections.abc import Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition, cimpl
from confluent_kafka.admin import AdminClient

from services.common.kafka_config import client_config
from services.common.settings import Settings
from services.engine.producer import open_producer
from services.engine.records import OutgoingRecord
from services.operations.topic_client import translated


async def send(settings: Settings, records: Sequence[OutgoingRecord]) -> None:
    async with open_producer(settings, client_id="test") as producer:
        await producer.send_all(records)


async def send_with_header_name(settings: Settings, record: OutgoingRecord, name: bytes) -> None:
    """As a client in another language may: Python's takes only names that are text. Straight to librdkafka, whose
    functions lie behind the client's module.
    """
    topic, key, value = record.topic.encode(), record.key or b"", record.value or b""
    copy, number, size = ctypes.c_int(2), ctypes.c_int, ctypes.c_size_t
    librdkafka = ctypes.CDLL(cimpl.__file__)
    librdkafka.rd_kafka_conf_new.restype = librdkafka.rd_kafka_new.restype = ctypes.c_void_p

    def produce() -> None:
        reason = ctypes.create_string_buffer(512)
        conf = ctypes.c_void_p(librdkafka.rd_kafka_conf_new())
        servers = str(settings.kafka_bootstrap_servers).encode()
        assert librdkafka.rd_kafka_conf_set(conf, b"bootstrap.servers", servers, reason, size(512)) == 0, reason.value
        producer = ctypes.c_void_p(librdkafka.rd_kafka_new(0, conf, reason, size(512)))
        assert producer, reason.value
        try:
            # The tags of rd_kafka_vtype_t: topic, message flags, value, key, header, end.
            error = librdkafka.rd_kafka_producev(
                producer, number(1), topic, number(7), copy, number(4), value, size(len(value)),
                number(5), key, size(len(key)), number(9), name, b"x", size(1), number(0),
            )  # fmt: skip
            assert (error, librdkafka.rd_kafka_flush(producer, 10_000)) == (0, 0)
        finally:
            librdkafka.rd_kafka_destroy(producer)

    await asyncio.to_thread(produce)


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


async def delete_topic(settings: Settings, topic: str) -> None:
    def delete() -> None:
        with translated(), AdminClient(client_config(settings, "test")) as client:
            for future in client.delete_topics([topic], request_timeout=10).values():
                future.result(timeout=30)

    await asyncio.to_thread(delete)


def text_headers(**headers: str | int) -> tuple[tuple[str, bytes | None], ...]:
    """`error_kind="poison"` -> ("error-kind", b"poison")."""
    return tuple((name.replace("_", "-"), str(value).encode()) for name, value in headers.items())
