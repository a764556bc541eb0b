import asyncio
from dataclasses import replace

from services.common.metrics import REPLAY_RESULTS, Metrics
from services.common.settings import Settings
from services.common.topics import Topics
from services.operations.replay.choosing.filters import Filter
from services.operations.replay.choosing.planning import make_plan
from services.operations.replay.counting import ReplayCounter
from services.operations.replay.execution import Tools
from services.operations.replay.replaying import replay_plan
from tests.support.dead_letters import FAST, WISH, WORKER, bury, buy, opened, replay, wish


def counted(metrics: Metrics, result: str) -> float | None:
    labels = {"worker": WORKER, "result": result}
    return metrics.registry.get_sample_value("coursepay_dlq_replayed_total", labels)


async def fail_and_mend(tools: Tools, *, mended: bool) -> None:
    """Runs a plan whose records Kafka no longer has, then, if `mended`, the right one."""
    plan = await make_plan(tools.settings, tools.database, tools.codec, WORKER, Filter())
    stale = replace(plan, items=tuple(replace(item, digest="0" * 16) for item in plan.items))
    for tried in (stale, plan) if mended else (stale,):
        await replay_plan(tools, tried, WISH, FAST, stop=asyncio.Event(), observe=lambda _records: None)


async def test_a_restart_is_no_burst_and_a_mended_failure_hides_no_new_one(settings: Settings) -> None:
    before, after = (Metrics("operations", Topics.of(settings)) for _ in range(2))
    async with opened(settings) as tools:
        counter = ReplayCounter(tools.database, before)
        await bury(settings, 3)
        await fail_and_mend(tools, mended=True)
        await counter.count()
        await bury(settings, 2, origin_partition=1)
        await fail_and_mend(tools, mended=False)
        await counter.count()
        assert [counted(before, result) for result in REPLAY_RESULTS] == [3, 0, 0, 5]
        restarted = ReplayCounter(tools.database, after)
        assert counted(after, "failed") is None
        await restarted.count()
    assert [counted(after, result) for result in REPLAY_RESULTS] == [3, 0, 0, 5]


async def test_each_result_is_counted_once(settings: Settings) -> None:
    metrics = Metrics("operations", Topics.of(settings))

    async with opened(settings) as tools:
        counter = ReplayCounter(tools.database, metrics)
        await counter.count()
        assert counted(metrics, "replayed") == 0
        await bury(settings, 4)
        await bury(settings, 1, replay_count=3, origin_partition=1, order_id="ord_often")
        await buy(settings, ["ord_0"])
        await replay(tools, wish=wish("first-tier"))
        for _ in range(2):
            await counter.count()
    assert [counted(metrics, result) for result in REPLAY_RESULTS] == [3, 1, 1, 0]
