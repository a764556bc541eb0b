from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, add_course, running_gateway


@pytest.fixture
async def gateway(database_url: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    """With one course, course-0001, at 5000.00 INR for ten sessions."""
    await add_course(database_url)
    async with running_gateway(database_url, tmp_path) as running:
        yield running
