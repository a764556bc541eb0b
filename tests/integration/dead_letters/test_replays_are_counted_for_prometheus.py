from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import Topics
from services.operations.replay.counting import ReplayCounter
from tests.support.dead_letters import WORKER, bury, buy, opened, replay, wish


async def test_each_result_is_counted_once(settings: Settings) -> None:
    metrics = Metrics("operations", Topics.of(settings))

    def counted(result: str) -> float | None:
        labels = {"worker": WORKER, "result": result}
        return metrics.registry.get_sample_value("coursepay_dlq_replayed_total", labels)

    async with opened(settings) as tools:
        counter = ReplayCounter(tools.database, metrics)
        await counter.count()
        assert counted("replayed") == 0
        await bury(settings, 4)
        await bury(settings, 1, replay_count=3, origin_partition=1, order_id="ord_often")
        await buy(settings, ["ord_0"])
        await replay(tools, wish=wish("first-tier"))
        for _ in range(2):
            await counter.count()
    assert (counted("replayed"), counted("skipped_done"), counted("parked"), counted("failed")) == (3, 1, 1, 0)
