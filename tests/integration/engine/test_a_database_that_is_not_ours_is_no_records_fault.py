"""A database that was never migrated: no role to act as, no table. To PostgreSQL the missing role is a bad value, which
would send whole batches to the dead letters; to us it is an outage, and the message says what mends it.
"""

import pytest

from services.common.database import open_database
from services.common.errors import DependencyError
from services.common.settings import Settings
from tests.support.engine import ROLE


async def test_a_role_that_does_not_exist_is_an_outage(settings: Settings) -> None:
    async with open_database(settings, role="nobody_made_it", application="test") as database:
        with pytest.raises(DependencyError, match="coursepay migrate"):
            async with database.connection() as connection:
                await connection.fetchval("SELECT 1")


async def test_a_table_that_does_not_exist_is_an_outage(settings: Settings) -> None:
    async with open_database(settings, role=ROLE, application="test") as database:
        with pytest.raises(DependencyError, match="coursepay migrate"):
            async with database.connection() as connection:
                await connection.fetchval("SELECT count(*) FROM nobody_made_it")
