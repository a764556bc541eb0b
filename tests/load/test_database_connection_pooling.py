"""More work than connections: it takes turns within a limit, is refused beyond it, and the pool comes out whole."""

import asyncio
import time
from pathlib import Path

import pytest

from services.common.database import Database, open_database
from services.common.errors import DependencyError
from services.common.limits import POOL_ACQUIRE_S
from services.common.settings import Settings
from tests.support.checkout import confirm, pay
from tests.support.eventually import eventually
from tests.support.gateway import add_course, owner_connection, place_order, running_gateway

CONNECTIONS_MAX = 3
ROLE = "coursepay_purchase_worker"


def _settings(database_url: str) -> Settings:
    return Settings.from_environment(database_url=database_url, database_pool_max=CONNECTIONS_MAX)


async def test_sixty_transactions_share_three_connections(database_url: str) -> None:
    async with open_database(_settings(database_url), role=ROLE, application="test-pool") as database:
        seen: list[int] = []

        async def work() -> int:
            async with database.transaction() as transaction:
                return int(await transaction.fetchval("SELECT pg_backend_pid() FROM pg_sleep(0.05)"))

        async def look() -> None:
            async with owner_connection(database_url) as connection:
                while True:
                    seen.append(
                        await connection.fetchval(
                            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test-pool'"
                        )
                    )
                    await asyncio.sleep(0.01)

        looking = asyncio.create_task(look())
        await eventually(lambda: seen)
        backends = await asyncio.gather(*(work() for _ in range(60)))
        looking.cancel()
        assert len(backends) == 60
        assert len(set(backends)) <= CONNECTIONS_MAX
        assert max(seen) <= CONNECTIONS_MAX
        assert database.pool.get_idle_size() == database.pool.get_size()


async def test_a_pool_that_stays_empty_is_a_dependency_and_recovers(database_url: str) -> None:
    async with open_database(_settings(database_url), role=ROLE, application="test-pool") as database:
        release = asyncio.Event()
        holders = [asyncio.create_task(_hold(database, release)) for _ in range(CONNECTIONS_MAX)]
        await eventually(lambda: database.pool.get_size() == CONNECTIONS_MAX and not database.pool.get_idle_size())
        started = time.monotonic()
        with pytest.raises(DependencyError):
            await _ask(database)
        assert POOL_ACQUIRE_S - 0.1 <= time.monotonic() - started < POOL_ACQUIRE_S + 2
        release.set()
        await asyncio.gather(*holders)
        assert await asyncio.gather(*(_ask(database) for _ in range(20))) == [1] * 20


async def test_forty_confirmations_share_two_connections(database_url: str, tmp_path: Path) -> None:
    await add_course(database_url)
    async with running_gateway(database_url, tmp_path, database_pool_max=2) as gateway:
        orders = [await place_order(gateway, key=f"key-{n}", subject=f"student-{n}") for n in range(40)]
        callbacks = [await pay(gateway, order) for order in orders]

        async def confirmed(fields: dict[str, object]) -> int:
            """A busy machine may answer 503 in time; the browser asks again."""
            while True:
                status, _told = await confirm(gateway, fields)
                if status != 503:
                    return status
                await asyncio.sleep(0.5)

        assert set(await asyncio.gather(*(confirmed(fields) for fields in callbacks))) == {200}
        assert gateway.dependencies.database.pool.get_size() <= 2


async def _hold(database: Database, release: asyncio.Event) -> None:
    async with database.connection(deadline_s=30):
        await release.wait()


async def _ask(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT 1"))
