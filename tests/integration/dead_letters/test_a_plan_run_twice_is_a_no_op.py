import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from services.commands.dlq.report import closing_line
from services.common.settings import Settings
from services.operations.replay.choosing.filters import Filter
from services.operations.replay.choosing.plan import read_plan
from services.operations.replay.choosing.planning import make_plan
from services.operations.replay.lock import hold_topic
from services.operations.replay.refusals import RefusedError
from services.operations.replay.replaying import replay_plan
from tests.support.dead_letters import (
    FAST,
    WISH,
    WORKER,
    bury,
    buy,
    execute_sql,
    fetch,
    on_first_tier,
    opened,
    orders_of,
    replay,
    run_dlq,
    wish,
)


async def test_the_same_plan_again_sends_nothing(settings: Settings, tmp_path: Path) -> None:
    await bury(settings, 7)
    file = tmp_path / "plan.json"
    async with opened(settings) as tools:
        file.write_bytes((await make_plan(settings, tools.database, tools.codec, WORKER, Filter())).to_bytes())
        reports = [
            await replay_plan(
                tools, read_plan(file.read_bytes()), WISH, FAST, stop=asyncio.Event(), observe=lambda _records: None
            )
            for _ in range(2)
        ]
    assert [report.counts.replayed for report in reports] == [7, 0]
    assert [report.already for report in reports] == [0, 7]
    assert [report.ended.state for report in reports] == ["finished", "finished"]
    assert orders_of(await on_first_tier(settings)) == sorted(f"ord_{number}" for number in range(7))


async def test_a_new_plan_leaves_alone_what_was_replayed(settings: Settings) -> None:
    await bury(settings, 3)
    async with opened(settings) as tools:
        await replay(tools)
        again = await make_plan(settings, tools.database, tools.codec, WORKER, Filter())
    assert again.items == ()
    assert again.set_aside == {"replayed": 3}


async def test_what_is_done_already_is_skipped(settings: Settings) -> None:
    await bury(settings, 5)
    await buy(settings, ["ord_1", "ord_3"])
    async with opened(settings) as tools:
        report = await replay(tools)
    assert (report.run.planned, report.counts.replayed, report.counts.skipped_done) == (5, 3, 2)
    assert orders_of(await on_first_tier(settings)) == ["ord_0", "ord_2", "ord_4"]


async def test_what_became_done_after_planning_is_skipped_too(settings: Settings) -> None:
    await bury(settings, 3)
    async with opened(settings) as tools:
        plan = await make_plan(settings, tools.database, tools.codec, WORKER, Filter())
        await buy(settings, ["ord_1"])
        report = await replay_plan(tools, plan, WISH, FAST, stop=asyncio.Event(), observe=lambda _records: None)
    assert (report.counts.replayed, report.counts.skipped_done) == (2, 1)
    assert orders_of(await on_first_tier(settings)) == ["ord_0", "ord_2"]


async def test_what_was_decided_after_planning_is_left_as_it_was_decided(settings: Settings) -> None:
    await bury(settings, 4)
    async with opened(settings) as tools:
        plan = await make_plan(settings, tools.database, tools.codec, WORKER, Filter())
        parking = await make_plan(settings, tools.database, tools.codec, WORKER, Filter(order_id="ord_2"))
        await replay_plan(tools, parking, wish("parked"), FAST, stop=asyncio.Event(), observe=lambda _records: None)
        await execute_sql(
            settings,
            "UPDATE dead_letters SET settled_at = now(), status = CASE order_id WHEN 'ord_0' THEN 'discarded'"
            " ELSE 'replayed' END WHERE order_id IN ('ord_0', 'ord_1')",
        )
        report = await replay_plan(tools, plan, WISH, FAST, stop=asyncio.Event(), observe=lambda _records: None)
    assert (report.counts.replayed, report.counts.skipped_done, report.decided, report.remaining) == (1, 3, 3, 0)
    assert "skipped-done 3 (3 decided since the plan)" in closing_line(report)
    assert orders_of(await on_first_tier(settings)) == ["ord_3"]
    rows = await fetch(settings, "SELECT status FROM dead_letters ORDER BY order_id")
    assert [row["status"] for row in rows] == ["discarded", "replayed", "parked", "replayed"]
    verdict = await run_dlq(settings, "verify", str(report.run.id))
    assert b"it is discarded since the plan was made" in verdict.out


async def test_a_plan_of_parked_letters_brings_these_back(settings: Settings) -> None:
    await bury(settings, 2)
    async with opened(settings) as tools:
        await replay(tools, wish=wish("parked"))
        report = await replay(tools, chosen=Filter(statuses=("parked",)))
    assert (report.counts.replayed, report.decided) == (2, 0)


async def test_copies_of_one_record_are_sent_once(settings: Settings) -> None:
    await bury(settings, 3)
    await bury(settings, 3)
    async with opened(settings) as tools:
        report = await replay(tools)
    assert report.counts.replayed == 3
    assert orders_of(await on_first_tier(settings)) == ["ord_0", "ord_1", "ord_2"]


async def test_records_that_die_meanwhile_are_not_in_the_plan(settings: Settings) -> None:
    await bury(settings, 2)
    async with opened(settings) as tools:
        plan = await make_plan(settings, tools.database, tools.codec, WORKER, Filter())
        await bury(settings, 6)
        report = await replay_plan(tools, plan, WISH, FAST, stop=asyncio.Event(), observe=lambda _records: None)
    assert report.run.planned == 2
    assert orders_of(await on_first_tier(settings)) == ["ord_0", "ord_1"]


async def test_a_changed_plan_is_refused(settings: Settings, tmp_path: Path) -> None:
    await bury(settings, 2)
    file = tmp_path / "plan.json"
    made = await run_dlq(settings, "plan", WORKER, "--out", str(file), "--json")
    assert made.code == 0, made.errors
    assert made.json["planned"] == 2
    file.write_bytes(file.read_bytes().replace(b'"items":[[', b'"items":[[0,99,"0000000000000000",0,false],['))
    ran = await run_dlq(settings, "replay", "--plan", str(file), "--execute", "--reason", "a test")
    assert ran.code == 3
    assert "changed" in ran.errors
    assert await on_first_tier(settings) == []


async def test_another_record_at_a_planned_offset_is_not_sent(settings: Settings) -> None:
    await bury(settings, 2)
    async with opened(settings) as tools:
        plan = await make_plan(settings, tools.database, tools.codec, WORKER, Filter())
        swapped = replace(plan, items=tuple(replace(item, digest="0" * 16) for item in plan.items))
        report = await replay_plan(tools, swapped, WISH, FAST, stop=asyncio.Event(), observe=lambda _records: None)
    assert (report.counts.replayed, report.counts.failed) == (0, 2)
    assert await on_first_tier(settings) == []
    details = {row["detail"] for row in await fetch(settings, "SELECT detail FROM replay_items")}
    assert details == {"another record is at this offset than when the plan was made"}


async def test_one_run_per_topic(settings: Settings) -> None:
    await bury(settings, 1)
    async with opened(settings) as tools:
        topic = f"{settings.kafka_topic_prefix}{WORKER}.dlq"
        async with hold_topic(tools.database, topic):
            with pytest.raises(RefusedError, match="another run"):
                await replay(tools)
        await replay(tools)
    assert len(await on_first_tier(settings)) == 1
