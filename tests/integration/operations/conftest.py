from collections.abc import AsyncIterator

import pytest

from services.common.database import Database, open_database
from services.common.settings import Settings


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Acting as operations, so that its grants are tried too."""
    async with open_database(
        Settings.from_environment(database_url=database_url), role="coursepay_operations", application="test"
    ) as database:
        yield database


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[Database]:
    """Acting as the login itself, to set a scene."""
    async with open_database(
        Settings.from_environment(database_url=database_url), role="none", application="test"
    ) as database:
        yield database
