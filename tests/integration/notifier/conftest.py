from collections.abc import AsyncIterator

import pytest

from services.common.database import Database, open_database
from services.common.settings import Settings
from tests.support.outside import OutsideStub, outside_stub


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Acting as the notifier, so that its grants are tried too."""
    settings = Settings.from_environment(database_url=database_url)
    async with open_database(settings, role="coursepay_notifier", application="test") as database:
        yield database


@pytest.fixture
async def push() -> AsyncIterator[OutsideStub]:
    async with outside_stub() as stub:
        stub.answer = lambda _asked: (201, {})
        yield stub


@pytest.fixture
async def courses() -> AsyncIterator[OutsideStub]:
    async with outside_stub() as stub:
        stub.answer = lambda _asked: (200, {"courseId": "course-0001", "name": "Algebra 1"})
        yield stub
