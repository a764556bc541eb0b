"""asyncpg raises AttributeError when a connection ends between a statement's preparation and its execution: that is an
outage, not a mistake in a handler, which would cost the record an attempt.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.common.database import Database, open_database
from services.common.errors import DeadlineError, DependencyError
from services.common.settings import Settings
from tests.support.engine import ROLE

# As asyncpg words it.
HALFWAY = AttributeError("'NoneType' object has no attribute 'bind_execute'")


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings, role=ROLE, application="test") as opened:
        yield opened


async def fail_halfway(
    database: Database, *, ends: bool = False, after_s: float = 0.0, deadline_s: float = 5.0
) -> None:
    async with database.connection(deadline_s=deadline_s) as connection:
        if ends:
            connection.terminate()
        await asyncio.sleep(after_s)
        raise HALFWAY


async def test_a_connection_that_ended_halfway_is_an_outage(database: Database) -> None:
    with pytest.raises(DependencyError):
        await fail_halfway(database, ends=True)


async def test_one_that_the_deadline_ended_halfway_is_a_deadline(database: Database) -> None:
    with pytest.raises(DeadlineError):
        await fail_halfway(database, after_s=0.5, deadline_s=0.2)


async def test_on_a_connection_that_lives_it_is_a_mistake(database: Database) -> None:
    with pytest.raises(AttributeError):
        await fail_halfway(database)
