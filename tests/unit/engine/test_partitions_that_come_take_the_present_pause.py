"""A worker that holds still is given partitions: they hold still too, whatever librdkafka remembers of them."""

from typing import Any, cast

import pytest
from confluent_kafka import TopicPartition

from services.common.settings import Settings
from services.engine.consumer import GroupConsumer
from services.engine.records import Partition

SETTINGS = Settings(kafka_bootstrap_servers="127.0.0.1:1")


class Client:
    """librdkafka as far as pauses go: it keeps the flag of a partition that comes back."""

    def __init__(self, paused_before: set[Partition]) -> None:
        self.paused = set(paused_before)

    def incremental_assign(self, _partitions: list[TopicPartition]) -> None: ...

    def incremental_unassign(self, _partitions: list[TopicPartition]) -> None: ...

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {(one.topic, one.partition) for one in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {(one.topic, one.partition) for one in partitions}


class Listener:
    """Hears nothing: what is tested here happens before."""

    def assigned(self, generations: object) -> None: ...

    def lost(self, partitions: object) -> None: ...


def _assign(consumer: GroupConsumer, client: Client, *places: Partition) -> None:
    consumer._on_assign(cast("Any", client), [TopicPartition(*place) for place in places])


@pytest.fixture
async def consumer() -> GroupConsumer:
    return GroupConsumer(SETTINGS, group="group", topics=["topic"], listener=cast("Any", Listener()))


async def test_while_everything_is_held(consumer: GroupConsumer) -> None:
    client = Client(set())
    consumer.hold_all(held=True)
    _assign(consumer, client, ("topic", 0), ("topic", 1))
    assert client.paused == {("topic", 0), ("topic", 1)}


async def test_while_one_partition_is_too_full(consumer: GroupConsumer) -> None:
    client = Client(set())
    consumer.hold(frozenset({("topic", 1)}))
    _assign(consumer, client, ("topic", 0), ("topic", 1))
    assert client.paused == {("topic", 1)}


async def test_a_pause_from_before_is_forgotten(consumer: GroupConsumer) -> None:
    client = Client({("topic", 0), ("topic", 1)})
    _assign(consumer, client, ("topic", 0))
    # Nobody asked about the other one, which stays where it is.
    assert client.paused == {("topic", 1)}


async def test_partitions_that_stay_keep_theirs(consumer: GroupConsumer) -> None:
    client = Client(set())
    consumer.hold(frozenset({("topic", 0)}))
    _assign(consumer, client, ("topic", 0))
    _assign(consumer, client, ("topic", 1))
    assert client.paused == {("topic", 0)}
