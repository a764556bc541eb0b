"""Real servers for the whole run, a database of its own for each test, topics of its own for each test that asks."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from services.common.settings import Settings
from services.common.topic_admin import apply_topics, delete_topics
from services.operations.migrations import migrate
from services.sandbox.stack import Stack, temporary_stack
from tests.support.databases import cloned_database, create_database, drop_database

pytest_plugins = ("tests.support.loops",)

# How long an example takes on a busy machine says nothing about the code.
hypothesis_settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("patient")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A missing server fails the run."""
    with temporary_stack(Settings.from_environment(), tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def template(stack: Stack) -> Iterator[str]:
    """The address of a migrated database that nobody connects to, so that it can be cloned."""
    name = f"coursepay_template_{secrets.token_hex(4)}"

    async def prepare() -> str:
        url = await create_database(stack.database_url, name)
        await migrate(url)
        return url

    yield asyncio.run(prepare())
    asyncio.run(drop_database(stack.database_url, name))


@pytest.fixture
async def database_url(template: str) -> AsyncIterator[str]:
    """A migrated, empty database; the login is a superuser's."""
    async with cloned_database(template) as url:
        yield url


@pytest.fixture
async def settings(stack: Stack, database_url: str, tmp_path: Path) -> AsyncIterator[Settings]:
    """A database and topics of the test's own, with two partitions each: creating more takes a broker longer."""
    own = Settings.from_environment(
        kafka_bootstrap_servers=stack.kafka_bootstrap_servers,
        kafka_topic_prefix=f"test-{secrets.token_hex(4)}-",
        kafka_partitions=2,
        database_url=database_url,
        state_directory=tmp_path,
        metrics_port=0,
    )
    await apply_topics(own)
    yield own
    await delete_topics(own)
