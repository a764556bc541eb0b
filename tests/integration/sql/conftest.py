from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.rows import Connection


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """As the login itself, a superuser."""
    connected = await asyncpg.connect(database_url)
    try:
        yield connected
    finally:
        await connected.close()
