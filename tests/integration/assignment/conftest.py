from collections.abc import AsyncIterator

import pytest

from tests.support.assignment import World, world_in


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """With one course without holidays, and no trainer."""
    async with world_in(database_url) as built:
        yield built
