"""How soon after a fault nothing is behind any more, while the load goes on: all that was there two seconds ago is
published, and every worker is through with it.

What waits on a retry tier for its due time is not behind.
"""

import asyncio
from collections.abc import Collection, Mapping

import asyncpg
import pytest

from services.common.database import translated_errors
from services.common.settings import Settings
from services.common.topics import WORKERS, Topics
from services.operations.topic_client import Ends
from services.operations.topic_reader import read_ends, read_positions
from services.sandbox.demo.quiet import settle

# An event is relayed at once, but a worker commits its positions only every second.
_RECENT_S = 2.0
_CALL_S = 10.0
_LATE_IN_OUTBOX = "SELECT count(*) FROM outbox WHERE published_at IS NULL AND created_at < now() - interval '2 seconds'"


async def assert_caught_up(
    settings: Settings,
    request: pytest.FixtureRequest,
    *,
    since: float,
    within_s: float,
    workers: Collection[str] = tuple(WORKERS),
) -> None:
    """`since`: the loop's time of the fault, or of its end. The seconds it took are attached to the test's result."""
    loop = asyncio.get_running_loop()
    topics = Topics.of(settings)
    sources = {worker: topics.sources(worker) for worker in workers}
    all_topics = sorted({topic for names in sources.values() for topic in names})
    seen: list[tuple[float, Ends]] = []

    async def look() -> Mapping[str, int]:
        seen.append((loop.time(), await read_ends(settings, all_topics)))
        behind = {"outbox": await _late_in_outbox(settings)}
        while len(seen) > 1 and seen[1][0] <= loop.time() - _RECENT_S:
            del seen[0]
        ends = seen[0][1]
        for worker, names in sources.items():
            positions = await read_positions(settings, topics.group(worker), names)
            behind[worker] = sum(max(0, ends[place][1] - position) for place, position in positions.items())
        return behind if seen[0][0] <= loop.time() - _RECENT_S else {**behind, "seconds to compare with": 1}

    behind = await settle(look, within_s=within_s)
    took_s = round(loop.time() - since, 1)
    request.node.user_properties.append(("caught_up_after_s", took_s))
    assert not behind, f"{took_s} s later there is still {behind}"
    assert took_s <= within_s


async def _late_in_outbox(settings: Settings) -> int:
    with translated_errors():
        connection = await asyncpg.connect(settings.required_database_url(), timeout=_CALL_S, command_timeout=_CALL_S)
        try:
            return int(await connection.fetchval(_LATE_IN_OUTBOX))
        finally:
            await connection.close(timeout=_CALL_S)
