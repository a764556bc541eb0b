"""Reads what Kafka holds: every main topic, every tier, every dead-letter topic, and how far the groups are."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from services.common.codec import Codec
from services.common.errors import RecordError
from services.common.settings import Settings
from services.common.topics import EVENT_TOPICS, WORKERS, Topics
from services.engine.records import Record
from services.operations.topic_reader import read_lag, read_topics
from services.sandbox.ledger.evidence import EventRecord, Hop, KafkaEvidence, Origin, Poison


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What a topic is to a worker; `tier` is None for the dead letters."""

    worker: str
    tier: str | None


async def read_kafka_evidence(settings: Settings, codec: Codec) -> KafkaEvidence:
    """Raises DependencyError when Kafka does not answer."""
    topics = Topics.of(settings)
    main = [topics.main(event) for event in EVENT_TOPICS]
    places = _places(topics)
    events, poison = [], []
    for record in await read_topics(settings, main):
        try:
            event = codec.decode(record.value, record.key)
        except RecordError:
            poison.append(Poison(origin=(record.topic, record.partition, record.offset), value=record.value))
        else:
            events.append(EventRecord(event=event, timestamp_ms=record.timestamp_ms))
    hops = [_hop(record, places[record.topic], codec) for record in await read_topics(settings, list(places))]
    return KafkaEvidence(
        events=events,
        poison=poison,
        hops=[hop for hop in hops if hop.tier is not None],
        dead_letters=[hop for hop in hops if hop.tier is None],
        lag=await read_lags(settings),
    )


async def read_lags(settings: Settings) -> Mapping[str, int]:
    """Consumer group -> records that it has not finished. Raises DependencyError when Kafka does not answer."""
    topics = Topics.of(settings)
    lag = {}
    for worker in WORKERS:
        lag[topics.group(worker)] = await read_lag(settings, topics.group(worker), topics.sources(worker))
        lag[topics.retry_group(worker)] = await read_lag(settings, topics.retry_group(worker), topics.tiers(worker))
    return lag


def _places(topics: Topics) -> Mapping[str, _Place]:
    places = {}
    for worker in WORKERS:
        places[topics.dead_letters(worker)] = _Place(worker=worker, tier=None)
        for tier in topics.delays_s:
            places[topics.retry(worker, tier)] = _Place(worker=worker, tier=tier)
    return places


def _hop(record: Record, place: _Place, codec: Codec) -> Hop:
    order_id, event_id = _subject(record, codec)
    return Hop(
        worker=place.worker,
        tier=place.tier,
        origin=_origin(record),
        order_id=order_id,
        event_id=event_id,
        attempt=_number(record, "retry-attempt") or 0,
        due_ms=_number(record, "retry-due-ms"),
        failed_ms=_number(record, "last-failed-ms"),
        error_kind=record.header("error-kind"),
        error_class=record.header("error-class"),
        value=record.value,
    )


def _subject(record: Record, codec: Codec) -> tuple[str | None, UUID | None]:
    try:
        event = codec.decode(record.value, record.key)
    except RecordError:
        return None, None
    return event.order_id, event.event_id


def _origin(record: Record) -> Origin:
    topic = record.header("origin-topic")
    partition, offset = _number(record, "origin-partition"), _number(record, "origin-offset")
    if topic is None or partition is None or offset is None:
        return record.topic, record.partition, record.offset
    return topic, partition, offset


def _number(record: Record, name: str) -> int | None:
    text = record.header(name)
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
