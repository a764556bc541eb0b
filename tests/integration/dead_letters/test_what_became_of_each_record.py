"""`dlq verify`: done, back in the dead letters, pending."""

from services.common.settings import Settings
from services.common.topics import Topics
from services.engine.records import OutgoingRecord
from tests.support.dead_letters import (
    WORKER,
    bury,
    buy,
    dead_letter,
    on_first_tier,
    opened,
    replay,
    run_dlq,
    wish,
)
from tests.support.kafka import send, text_headers


async def test_each_record_is_told_its_fate(settings: Settings) -> None:
    await bury(settings, 4)
    await bury(settings, 1, replay_count=3, origin_partition=1, order_id="ord_often")
    await send(settings, [dead_letter(settings, 77, value="garbage", error_kind="poison", order_id="ord_poison")])
    await buy(settings, ["ord_3"])
    async with opened(settings) as tools:
        report = await replay(tools, wish=wish("first-tier"))
    assert (report.counts.replayed, report.counts.parked, report.counts.skipped_done) == (4, 1, 1)
    await buy(settings, ["ord_0"])
    # The worker could not do ord_1 this time either.
    [again] = [record for record in await on_first_tier(settings) if record.key == b"ord_1"]
    died = (*again.headers, *text_headers(error_kind="transient", error_class="Again", retry_attempt=3))
    topic = Topics.of(settings).dead_letters(WORKER)
    await send(settings, [OutgoingRecord(topic=topic, key=again.key, value=again.value, headers=died)])

    ran = await run_dlq(settings, "verify", str(report.run.id)[:8], "--json")
    assert ran.code == 5, ran.errors
    fates = {record["order_id"]: record["fate"] for record in ran.json["records"]}
    assert fates == {
        "ord_0": "done",
        "ord_1": "back_in_dlq",
        "ord_2": "pending",
        "ord_3": "skipped_done",
        "ord_often": "parked",
        "ord_poison": "pending",
    }
    assert (ran.json["done"], ran.json["back_in_dlq"], ran.json["pending"]) == (1, 1, 2)


async def test_all_done_is_exit_code_0(settings: Settings) -> None:
    await bury(settings, 3)
    async with opened(settings) as tools:
        report = await replay(tools)
    await buy(settings, ["ord_0", "ord_1", "ord_2"])
    ran = await run_dlq(settings, "verify", str(report.run.id), "--json")
    assert (ran.code, ran.json["done"]) == (0, 3), ran.errors


async def test_a_record_that_came_back_can_be_replayed_again(settings: Settings) -> None:
    await bury(settings, 1)
    async with opened(settings) as tools:
        first = await replay(tools)
        [once] = await on_first_tier(settings)
        topic = Topics.of(settings).dead_letters(WORKER)
        died = (*once.headers, *text_headers(error_kind="transient", error_class="Again"))
        await send(settings, [OutgoingRecord(topic=topic, key=once.key, value=once.value, headers=died)])
        second = await replay(tools)
    assert (first.counts.replayed, second.counts.replayed) == (1, 1)
    counts = [record.header("replay-count") for record in await on_first_tier(settings)]
    assert counts == ["1", "2"]


async def test_an_unknown_run_is_refused(settings: Settings) -> None:
    for wrong in ("0123abcd", "no-run", "%"):
        ran = await run_dlq(settings, "verify", wrong)
        assert ran.code == 3
        assert "dlq audit" in ran.errors
