from pathlib import Path

import pytest

from services.common.settings import Settings
from services.common.topic_admin import apply_topics, delete_topics
from services.operations.replay.audit import audit_runs
from services.operations.replay.refusals import RefusedError
from tests.support.dead_letters import (
    WORKER,
    bury,
    execute_sql,
    fetch,
    on_first_tier,
    opened,
    orders_of,
    replay,
)

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbook.md"


def cure(settings: Settings) -> str:
    """The runbook's, for the test's own topic."""
    block = RUNBOOK.read_text().split("```sql\n")[1].split("```")[0]
    return block.replace("'purchase-worker.dlq'", f"'{settings.kafka_topic_prefix}{WORKER}.dlq'")


async def test_a_topic_made_anew_is_refused_until_its_old_rows_are_put_aside(settings: Settings) -> None:
    await bury(settings, 10)
    async with opened(settings) as tools:
        await replay(tools)
        await delete_topics(settings)
        await apply_topics(settings)
        await bury(settings, 2, origin_partition=1)
        with pytest.raises(RefusedError, match="made anew"):
            await replay(tools)
        assert await on_first_tier(settings) == []
        await execute_sql(settings, cure(settings))
        report = await replay(tools)
        assert (report.counts.replayed, report.already) == (2, 0)
        assert (await audit_runs(tools.database)).broken == []
    assert orders_of(await on_first_tier(settings)) == ["ord_0", "ord_1"]
    rows = await fetch(settings, "SELECT status, count(*) AS count FROM dead_letters GROUP BY 1")
    assert rows == [{"status": "replayed", "count": 12}]
