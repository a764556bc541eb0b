import pytest

from services.common.settings import Settings
from services.common.topic_admin import apply_topics, delete_topics
from services.common.topics import Topics
from services.operations.replay.audit import audit_runs
from services.operations.replay.refusals import RefusedError
from services.operations.stock import count_stock
from tests.support.dead_letters import (
    WORKER,
    bury,
    execute_sql,
    fetch,
    on_first_tier,
    opened,
    orders_of,
    replay,
    rows_put_aside,
)


@pytest.mark.parametrize(("before", "after"), [(10, 2), (2, 30)], ids=["it stays shorter", "it outgrows its old end"])
async def test_a_topic_made_anew_is_refused_until_its_old_rows_are_put_aside(
    settings: Settings, before: int, after: int
) -> None:
    topic = Topics.of(settings).dead_letters(WORKER)
    await bury(settings, before)
    async with opened(settings) as tools:
        await replay(tools)
        await delete_topics(settings)
        await apply_topics(settings)
        await bury(settings, after, origin_partition=1)
        for _ in range(2):
            with pytest.raises(RefusedError, match="made anew"):
                await replay(tools)
        assert await on_first_tier(settings) == []
        assert (await fetch(settings, "SELECT count(*) AS count FROM dead_letters"))[0]["count"] == before
        assert (await count_stock(tools.database)).made_anew == {topic}
        await execute_sql(settings, rows_put_aside(topic))
        assert (await count_stock(tools.database)).made_anew == set()
        report = await replay(tools)
        assert (report.counts.replayed, report.already) == (after, 0)
        assert (await audit_runs(tools.database)).broken == []
    assert orders_of(await on_first_tier(settings)) == sorted(f"ord_{number}" for number in range(after))
    rows = await fetch(settings, "SELECT status, count(*) AS count FROM dead_letters GROUP BY 1")
    assert rows == [{"status": "replayed", "count": before + after}]
