"""Deaths are counted across processes: each `CrashWatch` here is a process that started, and the next one its heir."""

from collections.abc import AsyncIterator

import pytest

from services.common.database import Database, open_database
from services.common.settings import Settings
from services.engine.crashes import CrashWatch
from services.engine.records import Delivery
from tests.support.deliveries import delivery
from tests.support.engine import ROLE, WORKER

DEADLY = 12


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings, role=ROLE, application="test") as opened:
        yield opened


async def _started(database: Database, *, first_offset: int = 10) -> tuple[CrashWatch, Delivery]:
    watch, first = CrashWatch(database, WORKER), delivery(offset=first_offset)
    await watch.begin([first, delivery(offset=first_offset + 1)])
    return watch, first


async def test_three_deaths_without_progress_ask_for_care(database: Database) -> None:
    asked = []
    for _ in range(4):
        watch, first = await _started(database)
        asked.append(watch.asks_care(first))
    assert asked == [False, False, False, True]


async def test_progress_between_deaths_is_no_loop(database: Database) -> None:
    for first_offset in range(10, 20):
        watch, first = await _started(database, first_offset=first_offset)
        assert not watch.asks_care(first)


async def test_a_clean_end_counts_as_none(database: Database) -> None:
    for _ in range(10):
        watch, first = await _started(database)
        assert not watch.asks_care(first)
        await watch.left([first.record.place])


async def test_the_record_whose_mark_survives_two_deaths_is_the_one(database: Database) -> None:
    for _ in range(3):
        await _started(database)
    deadly = []
    for _ in range(3):
        watch, first = await _started(database)
        assert watch.asks_care(first)
        for offset in (10, 11, DEADLY):
            deadly.append(await watch.is_deadly(delivery(offset=offset)))
            # The process lives through the others and dies with this one in hand, twice.
            if offset != DEADLY:
                await watch.survived(delivery(offset=offset), deadly=False)
    assert deadly == [False] * 8 + [True]
    await watch.survived(delivery(offset=DEADLY), deadly=True)
    assert not watch.asks_care(first)
    heir, first = await _started(database, first_offset=DEADLY + 1)
    assert not heir.asks_care(first)


async def test_a_record_that_was_let_go_is_not_blamed_for_deaths_that_follow(database: Database) -> None:
    for _ in range(3):
        await _started(database)
    for _ in range(3):
        watch, first = await _started(database)
        assert watch.asks_care(first)
        assert not await watch.is_deadly(first)
        # It waits for a flood to end; the process dies with others in hand.
        await watch.let_go(first)


async def test_trying_a_record_again_in_one_life_is_no_death(database: Database) -> None:
    for _ in range(3):
        await _started(database)
    watch, first = await _started(database)
    assert not any([await watch.is_deadly(first) for _ in range(5)])


async def test_nothing_is_written_per_batch(database: Database) -> None:
    watch, _ = await _started(database)
    async with database.connection() as connection:
        before = await connection.fetchval("SELECT max(updated_at) FROM worker_crashes")
        await watch.begin([delivery(offset=offset) for offset in range(12, 500)])
        assert await connection.fetchval("SELECT max(updated_at) FROM worker_crashes") == before
