"""Figures against a backlog that is known because the test made it."""

from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import OutgoingRecord
from services.operations.backlog import measure_backlog, retired_tiers
from services.operations.topic_reader import read_topics
from tests.support.kafka import commit, send


async def fill(settings: Settings, topic: str, count: int) -> list[int]:
    """The ends of the topic's partitions afterwards."""
    await send(settings, [OutgoingRecord(topic=topic, key=b"%d" % number, value=b"") for number in range(count)])
    records = await read_topics(settings, [topic])
    return [sum(record.partition == number for record in records) for number in range(settings.kafka_partitions)]


async def test_nothing_committed_means_everything(settings: Settings) -> None:
    topics = Topics.of(settings)
    await fill(settings, f"{topics.prefix}payment.succeeded", 10)
    backlog = await measure_backlog(settings)
    pair = f"{topics.prefix}payment.succeeded", topics.group("purchase-worker")
    assert {key: count for key, count in backlog.lag.items() if count} == {pair: 10}
    assert set(backlog.waiting.values()) == {0}


async def test_what_a_group_has_committed_is_finished(settings: Settings) -> None:
    topics = Topics.of(settings)
    topic = f"{topics.prefix}purchase.created"
    ends = await fill(settings, topic, 20)
    await commit(settings, topics.group("notifier"), topic, [ends[0], 0])
    await commit(settings, topics.group("assignment-worker"), topic, ends)
    lag = (await measure_backlog(settings)).lag
    # Two groups read this topic, each at its own pace.
    assert lag[topic, topics.group("notifier")] == ends[1]
    assert lag[topic, topics.group("assignment-worker")] == 0


async def test_a_commit_behind_the_end_is_never_negative(settings: Settings) -> None:
    """As after a topic was made anew."""
    topics = Topics.of(settings)
    topic = f"{topics.prefix}purchase.created"
    await fill(settings, topic, 2)
    await commit(settings, topics.group("notifier"), topic, [1000, 1000])
    assert (await measure_backlog(settings)).lag[topic, topics.group("notifier")] == 0


async def test_a_tiers_backlog_is_by_worker_and_tier(settings: Settings) -> None:
    topics = Topics.of(settings)
    ends = await fill(settings, topics.retry("notifier", "4s"), 12)
    await commit(settings, topics.retry_group("notifier"), topics.retry("notifier", "4s"), [0, ends[1]])
    waiting = (await measure_backlog(settings)).waiting
    assert waiting["notifier", "4s"] == ends[0]
    assert sum(waiting.values()) == ends[0]
    assert len(waiting) == 9


async def test_a_retired_tier_that_still_holds_records_is_named(settings: Settings) -> None:
    topics = Topics.of(settings)
    await fill(settings, topics.retry("notifier", "8s"), 3)
    assert await retired_tiers(settings) == []
    changed = settings.model_copy(update={"retry_delays": "2s,4s"})
    (difference,) = await retired_tiers(changed)
    assert difference.topic == topics.retry("notifier", "8s")
    assert "3 records" in difference.what
