"""`dlq verify` of records that leave no trace in a table: poison, and changes of a purchase that changed nothing."""

from collections.abc import Mapping

import pytest

from services.assignment_worker.__main__ import serve
from services.common.codec import load_codec
from services.common.events import PurchaseAdjusted
from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import OutgoingRecord, Record
from services.operations.replay.targets import FIRST_TIER, ORIGIN, Target
from services.operations.topic_reader import read_ends, read_topics
from tests.support.assignment import world_in
from tests.support.dead_letters import WORKER, dead_letter, opened, replay, run_dlq, wish
from tests.support.engine import adjusted
from tests.support.events import payment_succeeded
from tests.support.kafka import commit, forget_before, send, text_headers
from tests.support.services import running

ASSIGNMENT = "assignment-worker"
NAMES = ("ord_through", "ord_next_tier", "ord_back")


@pytest.mark.parametrize("target", [FIRST_TIER, ORIGIN])
async def test_poison_is_done_when_the_worker_is_through_with_it_and_it_is_not_back(
    settings: Settings, target: Target
) -> None:
    topics = Topics.of(settings)
    reached = topics.tiers(WORKER)[0] if target == FIRST_TIER else topics.sources(WORKER)[0]
    await _bury_poison(settings)
    async with opened(settings) as tools:
        run_id = str((await replay(tools, wish=wish(target))).run.id)
    assert await _fates(settings, run_id) == dict.fromkeys(NAMES, "pending")

    copies = {(record.key or b"").decode(): record for record in await read_topics(settings, [reached])}
    died = text_headers(error_kind="poison", error_class="BadFrame")
    await send(
        settings,
        [
            _again(copies["ord_next_tier"], topics.tiers(WORKER)[1]),
            _again(copies["ord_back"], topics.dead_letters(WORKER), *died),
        ],
    )
    group = topics.retry_group(WORKER) if target == FIRST_TIER else topics.group(WORKER)
    await _pass_by(settings, group, reached)
    assert await _fates(settings, run_id) == {
        "ord_through": "done",
        "ord_next_tier": "pending",
        "ord_back": "back_in_dlq",
    }
    await _pass_by(settings, topics.retry_group(WORKER), topics.tiers(WORKER)[1])
    assert (await _fates(settings, run_id))["ord_next_tier"] == "done"


async def test_what_kafka_has_forgotten_is_unknown(settings: Settings) -> None:
    first = Topics.of(settings).tiers(WORKER)[0]
    await _bury_poison(settings)
    async with opened(settings) as tools:
        run_id = str((await replay(tools)).run.id)
    await _pass_by(settings, Topics.of(settings).retry_group(WORKER), first)
    for (_, partition), (_, end) in (await read_ends(settings, [first])).items():
        await forget_before(settings, first, partition=partition, offset=end)
    assert await _fates(settings, run_id) == dict.fromkeys(NAMES, "unknown")


async def test_a_change_that_needs_no_other_trainer_is_done(settings: Settings) -> None:
    topics = Topics.of(settings)
    like = dead_letter(settings, 0, origin_topic=topics.main(PurchaseAdjusted), order_id="ord_changed")
    value = load_codec().encode_framed(adjusted(payment_succeeded("ord_changed")))
    letter = OutgoingRecord(topic=topics.dead_letters(ASSIGNMENT), key=like.key, value=value, headers=like.headers)
    await send(settings, [letter])
    async with world_in(settings.required_database_url()) as world:
        await world.trainer("trainer-1")
        await world.buy("ord_changed")
    async with running(settings, serve):
        ran = await run_dlq(settings, "replay", ASSIGNMENT, "--execute", "--reason", "a test", "--json")
    assert (ran.code, ran.json["replayed"], ran.json["done"]) == (0, 1, 1), ran.errors
    assert await _fates(settings, ran.json["run"]) == {"ord_changed": "done"}


async def _bury_poison(settings: Settings) -> None:
    letters = [
        dead_letter(settings, number, value="?", error_kind="poison", order_id=name)
        for number, name in enumerate(NAMES)
    ]
    await send(settings, letters)


def _again(record: Record, topic: str, *headers: tuple[str, bytes | None]) -> OutgoingRecord:
    return OutgoingRecord(topic=topic, key=record.key, value=record.value, headers=(*record.headers, *headers))


async def _pass_by(settings: Settings, group: str, topic: str) -> None:
    """As if the group had finished all of the topic."""
    ends = await read_ends(settings, [topic])
    await commit(settings, group, topic, [ends[topic, partition][1] for partition in range(len(ends))])


async def _fates(settings: Settings, run_id: str) -> Mapping[str, str]:
    ran = await run_dlq(settings, "verify", run_id, "--json")
    assert ran.code == (0 if ran.json["pending"] == ran.json["back_in_dlq"] == 0 else 5), ran.errors
    return {record["order_id"]: record["fate"] for record in ran.json["records"]}
