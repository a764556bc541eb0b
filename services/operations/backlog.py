"""How far the groups are behind, measured on the cluster.

From outside the workers, because a client's own lag freezes while its partitions are paused, and vanishes with the
worker. Per group: the sum over partitions of max(0, end - max(committed, low)). Commits are read before the ends, so
that what moves meanwhile makes a backlog too large for a moment and never negative. Nothing committed yet means
everything that is still there.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer

from services.common.settings import Settings
from services.common.topic_admin import TopicDifference
from services.common.topics import WORKERS, Topics
from services.operations.limits import KAFKA_CALL_S
from services.operations.topic_client import committed_of, consumer_for, translated, watermarks_of

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
    groups: dict[str, list[_Place]] = {}
    tiers: dict[str, tuple[str, str]] = {}
    with _client(settings, "coursepay-sampler") as client, translated():
        existing = client.list_topics(timeout=KAFKA_CALL_S).topics
        for worker in WORKERS:
            groups[topics.group(worker)] = _places(existing, topics.sources(worker))
            own = {topic: tier for topic in existing if (tier := _tier_of(topic, topics, worker)) is not None}
            groups[topics.retry_group(worker)] = _places(existing, own)
            tiers |= {topic: (worker, tier) for topic, tier in own.items()}
        committed = {group: _committed(settings, group, places) for group, places in groups.items()}
        ends = {place: watermarks_of(client, place) for places in groups.values() for place in places}
    behind = {
        (topic, group): sum(
            _behind(ends[place], committed[group].get(place, 0)) for place in places if place[0] == topic
        )
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


def _committed(settings: Settings, group: str, places: list[_Place]) -> Mapping[_Place, int]:
    """Only what the group has committed.

    Asked by a consumer that never joins: the admin client's call of that name crashed the process when the group's
    coordinator was new or moving (confluent-kafka 2.16.1). It is made anew for each look: an old client may get no
    offsets for minutes after a broker restart.
    """
    if not places:
        return {}
    with _client(settings, group) as client:
        positions = committed_of(client, places)
    return {(position.topic, position.partition): position.offset for position in positions if position.offset >= 0}


def _behind(ends: tuple[int, int], committed: int) -> int:
    low, high = ends
    return max(0, high - max(committed, low))


@contextmanager
def _client(settings: Settings, group: str) -> Iterator[Consumer]:
    consumer = consumer_for(settings, group)
    try:
        yield consumer
    finally:
        consumer.close()
