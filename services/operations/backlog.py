"""How far the groups are behind, measured on the cluster.

From outside the workers, because a client's own lag freezes while its partitions are paused, and vanishes with the
worker. Per group: the sum over partitions of max(0, end - max(committed, low)). Commits are read before the ends, so
that what moves meanwhile makes a backlog too large for a moment and never negative. Nothing committed yet means
everything that is still there.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from services.common.errors import DependencyError
from services.common.kafka_config import client_config
from services.common.settings import Settings
from services.common.topic_admin import TopicDifference
from services.common.topics import WORKERS, Topics
from services.operations.limits import KAFKA_CALL_S

# A topic and the number of a partition of it.
_Place = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Records that are not finished. `lag`: (topic, group), of the main topics; `waiting`: (worker, tier), of every
    tier that exists, whether or not it is still configured. Topics that do not exist are missing.
    """

    lag: Mapping[tuple[str, str], int]
    waiting: Mapping[tuple[str, str], int]


async def measure_backlog(settings: Settings) -> Backlog:
    """Raises DependencyError when Kafka does not answer."""
    return await asyncio.to_thread(_measure, settings)


async def retired_tiers(settings: Settings) -> list[TopicDifference]:
    """The tiers that RETRY_DELAYS no longer names and that still hold records. Raises DependencyError."""
    topics = Topics.of(settings)
    backlog = await measure_backlog(settings)
    return [
        TopicDifference(topic=topics.retry(worker, tier), what=f"is a retired tier that still holds {count} records")
        for (worker, tier), count in sorted(backlog.waiting.items())
        if tier not in topics.delays_s and count > 0
    ]


def _measure(settings: Settings) -> Backlog:
    topics = Topics.of(settings)
    # A client of its own for each look: an old one may get no group offsets for minutes after a broker restart.
    client = AdminClient(client_config(settings, "coursepay-sampler"))
    with _translated():
        existing = client.list_topics(timeout=KAFKA_CALL_S).topics
        groups: dict[str, list[_Place]] = {}
        tiers: dict[str, tuple[str, str]] = {}
        for worker in WORKERS:
            groups[topics.group(worker)] = _places(existing, topics.sources(worker))
            own = {topic: tier for topic in existing if (tier := _tier_of(topic, topics, worker)) is not None}
            groups[topics.retry_group(worker)] = _places(existing, own)
            tiers |= {topic: (worker, tier) for topic, tier in own.items()}
        committed = {group: _committed(client, group, places) for group, places in groups.items()}
        low, high = _ends(client, {place for places in groups.values() for place in places})
    behind = {
        (topic, group): _sum_behind([place for place in places if place[0] == topic], committed[group], low, high)
        for group, places in groups.items()
        for topic in {place[0] for place in places}
    }
    return Backlog(
        lag={pair: count for pair, count in behind.items() if pair[0] not in tiers},
        waiting={tiers[topic]: count for (topic, _group), count in behind.items() if topic in tiers},
    )


def _tier_of(topic: str, topics: Topics, worker: str) -> str | None:
    start = topics.retry(worker, "")
    return topic.removeprefix(start) if topic.startswith(start) else None


def _places(existing: Mapping[str, Any], wanted: Iterable[str]) -> list[_Place]:
    return [(topic, number) for topic in wanted if topic in existing for number in existing[topic].partitions]


def _committed(client: AdminClient, group: str, places: list[_Place]) -> Mapping[_Place, int]:
    """Only what the group has committed."""
    if not places:
        return {}
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])
    futures = client.list_consumer_group_offsets([request], request_timeout=KAFKA_CALL_S)
    positions = _result(futures[group]).topic_partitions
    return {(position.topic, position.partition): position.offset for position in positions if position.offset >= 0}


def _ends(client: AdminClient, places: set[_Place]) -> tuple[Mapping[_Place, int], Mapping[_Place, int]]:
    if not places:
        return {}, {}
    low, high = (
        client.list_offsets({TopicPartition(*place): spec for place in places}, request_timeout=KAFKA_CALL_S)
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
    )
    return (
        {(at.topic, at.partition): _result(future).offset for at, future in low.items()},
        {(at.topic, at.partition): _result(future).offset for at, future in high.items()},
    )


def _sum_behind(
    places: list[_Place], committed: Mapping[_Place, int], low: Mapping[_Place, int], high: Mapping[_Place, int]
) -> int:
    return sum(max(0, high[place] - max(committed.get(place, 0), low[place])) for place in places)


def _result(future: "Future[Any]") -> Any:  # noqa: ANN401 - the client's own untyped results
    return future.result(timeout=KAFKA_CALL_S)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise DependencyError(f"Kafka: {error.args[0].str()}", dependency="kafka") from error
    except FutureTimeoutError as error:
        raise DependencyError("Kafka did not answer in time", dependency="kafka") from error
