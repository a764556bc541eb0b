"""Kafka, then PostgreSQL, away for 20 s while payments flow: nothing is lost, nothing is dead-lettered for it, and 30 s
after it has come back nothing is behind.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.settings import Settings
from services.sandbox.demo.system import System
from services.sandbox.stack import Server, Stack, temporary_stack
from tests.support.demo import assert_balanced, plan_of, shown_on
from tests.support.recovery import assert_caught_up

AWAY_S = 20.0
BEFORE_S = 4.0
CAUGHT_UP_WITHIN_S = 30.0


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers that nobody else uses, since they are stopped."""
    settings = Settings.from_environment(kafka_bootstrap_servers=None, database_url="")
    with temporary_stack(settings, tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.mark.timeout(300)
async def test_kafka_away(own_stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    plan = plan_of(payments=150, rate=5, seed=12)

    async def stop_kafka(system: System) -> None:
        await asyncio.sleep(BEFORE_S)
        await _away(own_stack.kafka)
        since = asyncio.get_running_loop().time()
        await assert_caught_up(system.settings, request, since=since, within_s=CAUGHT_UP_WITHIN_S)

    shown = await shown_on(own_stack, tmp_path, plan, meanwhile=stop_kafka)
    assert_balanced(shown, plan)
    # No student noticed.
    assert set(shown.ledger.answers) == {200}


@pytest.mark.timeout(300)
async def test_postgresql_away(own_stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    plan = plan_of(payments=150, rate=5, seed=13)

    async def stop_postgresql(system: System) -> None:
        await asyncio.sleep(BEFORE_S)
        await _away(own_stack.postgres)
        since = asyncio.get_running_loop().time()
        await assert_caught_up(system.settings, request, since=since, within_s=CAUGHT_UP_WITHIN_S)

    shown = await shown_on(own_stack, tmp_path, plan, meanwhile=stop_postgresql)
    assert_balanced(shown, plan)
    # Honest answers: refused for now, never a false success, never a gateway that hangs up. Who had no order yet was
    # refused there, and asked again.
    assert set(shown.ledger.answers) <= {200, 503}
    assert {kind for _worker, kind, _cause in shown.ledger.dead_letters} == {"poison", "transient"}


async def _away(server: Server) -> None:
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(AWAY_S)
    await asyncio.to_thread(server.start)
