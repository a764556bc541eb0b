import asyncio
from collections.abc import AsyncIterator

import pytest

from services.common.settings import Settings
from services.common.topic_admin import apply_topics, delete_topics
from tests.support.engine import make_table


@pytest.fixture
async def ladder(settings: Settings) -> AsyncIterator[Settings]:
    """Short tiers, so that a test sees a record climb them, and the table of the test's handler."""
    short = settings.model_copy(update={"retry_delays": "200ms,400ms,800ms"})
    await asyncio.gather(apply_topics(short), make_table(settings.required_database_url()))
    yield short
    await delete_topics(short)
