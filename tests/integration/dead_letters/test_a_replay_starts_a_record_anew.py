from services.common.settings import Settings
from services.common.topics import EVENT_TOPICS, Topics
from services.operations.replay.targets import ORIGIN, PARKED
from services.operations.topic_reader import read_topics
from tests.support.dead_letters import (
    TRACEPARENT,
    WORKER,
    bury,
    dead_letter,
    fetch,
    headers_of,
    on_first_tier,
    on_parked,
    opened,
    orders_of,
    replay,
    wish,
)


async def test_bytes_and_key_stay_and_attempts_and_errors_are_forgotten(settings: Settings) -> None:
    await bury(settings, 1)
    async with opened(settings) as tools:
        report = await replay(tools)
    [record] = await on_first_tier(settings)
    letter = dead_letter(settings, 0)
    assert (record.key, record.value) == (letter.key, letter.value)
    assert headers_of(record) == {
        "origin-topic": f"{settings.kafka_topic_prefix}payment.succeeded".encode(),
        "origin-partition": b"0",
        "origin-offset": b"0",
        "origin-timestamp-ms": b"1700000000000",
        "traceparent": TRACEPARENT.encode(),
        "x-foreign": b"kept",
        "replay-id": str(report.run.id).encode(),
        "replay-count": b"1",
    }


async def test_a_second_replay_is_counted(settings: Settings) -> None:
    await bury(settings, 1, replay_count=1, replay_id="before")
    async with opened(settings) as tools:
        report = await replay(tools)
    [record] = await on_first_tier(settings)
    assert headers_of(record)["replay-count"] == b"2"
    assert headers_of(record)["replay-id"] == str(report.run.id).encode()


async def test_only_the_first_tier_of_the_worker_hears_of_it(settings: Settings) -> None:
    await bury(settings, 5)
    async with opened(settings) as tools:
        await replay(tools)
    topics = Topics.of(settings)
    others = [topics.main(event) for event in EVENT_TOPICS] + list(topics.tiers(WORKER)[1:])
    for worker in ("assignment-worker", "notifier"):
        others += [*topics.tiers(worker), topics.dead_letters(worker), topics.parked(worker)]
    assert await read_topics(settings, [*others, topics.parked(WORKER)]) == []
    assert len(await on_first_tier(settings)) == 5


async def test_the_origin_gets_it_when_asked(settings: Settings) -> None:
    await bury(settings, 2)
    async with opened(settings) as tools:
        await replay(tools, wish=wish(ORIGIN))
    topics = Topics.of(settings)
    records = await read_topics(settings, [topics.main(event) for event in EVENT_TOPICS])
    assert orders_of(records) == ["ord_0", "ord_1"]
    assert {record.topic for record in records} == {f"{settings.kafka_topic_prefix}payment.succeeded"}


async def test_a_header_cannot_send_it_to_a_topic_that_is_none_of_ours(settings: Settings) -> None:
    stranger = Topics.of(settings).dead_letters("notifier")
    await bury(settings, 1, origin_topic=stranger)
    async with opened(settings) as tools:
        report = await replay(tools, wish=wish(ORIGIN))
    assert (report.counts.replayed, report.counts.failed) == (0, 1)
    assert await read_topics(settings, [stranger]) == []
    [item] = await fetch(settings, "SELECT result, detail FROM replay_items")
    assert item["result"] == "failed"
    assert "origin-topic" in item["detail"]


async def test_a_parked_record_keeps_its_diagnosis(settings: Settings) -> None:
    await bury(settings, 1, replay_count=1)
    async with opened(settings) as tools:
        report = await replay(tools, wish=wish(PARKED))
    [record] = await on_parked(settings)
    letter = dict(dead_letter(settings, 0, replay_count=1).headers)
    assert headers_of(record) == {**letter, "replay-id": str(report.run.id).encode()}
    assert await fetch(settings, "SELECT status FROM dead_letters") == [{"status": "parked"}]


async def test_replayed_that_often_it_is_parked_instead(settings: Settings) -> None:
    await bury(settings, 2, replay_count=3)
    await bury(settings, 3, replay_count=2, origin_partition=1)
    async with opened(settings) as tools:
        report = await replay(tools, wish=wish("first-tier", replays_max=3))
    assert (report.counts.replayed, report.counts.parked) == (3, 2)
    assert len(await on_first_tier(settings)) == 3
    assert len(await on_parked(settings)) == 2
