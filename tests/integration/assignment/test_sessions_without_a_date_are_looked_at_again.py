from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.assignment_worker.shortfalls import retry_shortfalls
from services.common.codec import load_codec
from services.common.database import Database, open_database
from services.common.settings import Settings
from services.operations.stock import count_stock
from tests.support.assignment import World


@pytest.fixture
async def database(world: World) -> AsyncIterator[Database]:
    """With the grants of the assignment worker."""
    settings = Settings.from_environment(database_url=world.url)
    async with open_database(settings, role="coursepay_assignment_worker", application="test") as opened:
        yield opened


@pytest.fixture
async def purchase(world: World) -> UUID:
    """Of ten sessions, of which one was cancelled and found no other date before the purchase ended."""
    await world.trainer("trainer-1")
    bought = await world.purchase("order-1")
    await world.assign(bought)
    sessions = await world.sessions(bought)
    await world.connection.execute("UPDATE student_course_purchases SET expiry_date = $1", sessions[-1]["ends_at"])
    await world.connection.execute("SELECT cancel_session($1, 'staff-1')", sessions[0]["id"])
    assert (await world.reason(bought))["shortfall"] == 1
    await world.connection.execute(
        "UPDATE student_course_purchases SET expiry_date = $1", datetime(2029, 1, 1, tzinfo=UTC)
    )
    return bought


async def _wait_an_hour(world: World) -> None:
    await world.connection.execute("UPDATE trainer_allocations SET tried_at = tried_at - interval '61 min'")


async def test_one_that_can_be_held_after_all_is_booked_and_there_is_nothing_to_tell(
    world: World, database: Database, purchase: UUID
) -> None:
    await retry_shortfalls(database, load_codec())
    assert len(await world.sessions(purchase)) == 9
    await _wait_an_hour(world)
    await retry_shortfalls(database, load_codec())
    assert len(await world.sessions(purchase)) == 10
    assert "shortfall" not in await world.reason(purchase)
    assert await world.connection.fetchval("SELECT count(*) FROM outbox") == 0
    assert not await world.drifted()


async def test_one_of_a_trainer_who_left_goes_to_another_who_is_told(
    world: World, database: Database, purchase: UUID
) -> None:
    await world.trainer("trainer-2")
    await world.connection.execute("SELECT depart_trainer('trainer-1', 'ops-1', 'reassign')")
    await _wait_an_hour(world)
    await retry_shortfalls(database, load_codec())
    assert [row["trainer_id"] for row in await world.sessions(purchase)] == ["trainer-2"] * 10
    assert await world.connection.fetchval("SELECT array_agg(type) FROM outbox") == ["TrainerAssigned"]


async def test_one_that_fails_is_set_aside(world: World, database: Database, purchase: UUID) -> None:
    await _wait_an_hour(world)
    await world.connection.execute("ALTER TABLE tutoring_sessions ADD CONSTRAINT broken CHECK (false) NOT VALID")
    await retry_shortfalls(database, load_codec())
    due = "SELECT * FROM shortfalls_to_retry(10)"
    assert await world.connection.fetchval(due) is None
    await world.connection.execute("UPDATE trainer_allocations SET aside_until = aside_until - interval '2 min'")
    assert await world.connection.fetchval(due) == purchase


async def test_they_are_counted_while_they_have_none(world: World, purchase: UUID) -> None:
    settings = Settings.from_environment(database_url=world.url)
    async with open_database(settings, role="coursepay_operations", application="test") as operations:
        assert (await count_stock(operations)).shortfall_sessions == 1
        await world.adjust(purchase)
        assert (await count_stock(operations)).shortfall_sessions == 0
