"""Several stacks on one machine: each has its directory, its ports and its data; one directory has one owner."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from services.sandbox.stack import temporary_stack
from tests.support.eventually import eventually
from tests.support.stacks import ask, both_answer, own_settings, owner_of, processes_of, ready

pytestmark = pytest.mark.timeout(300)


async def test_two_that_start_at_once(tmp_path: Path) -> None:
    # The name of one begins with the other's.
    directories = [tmp_path / "stack", tmp_path / "stack-2"]
    async with AsyncExitStack() as owners:
        first, second = [await owners.enter_async_context(owner_of(directory)) for directory in directories]
        await asyncio.gather(ready(first), ready(second))
        first.kill()
        await first.wait()
        await eventually(lambda: not _servers(directories[0]), within_s=60)
        assert len(_servers(directories[1])) == 2


async def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    async with owner_of(tmp_path / "stack") as owner:
        await ready(owner)
        with (
            pytest.raises(ConfigurationError, match=f"in use by process {owner.pid}"),
            temporary_stack(own_settings(), tmp_path / "stack"),
        ):
            pass
        assert len(_servers(tmp_path / "stack")) == 2


async def test_given_servers_are_used_and_left_alone(tmp_path: Path) -> None:
    """Servers of somebody else, here: of another stack."""
    with temporary_stack(own_settings(), tmp_path / "other") as other:
        given = own_settings().model_copy(
            update={
                "kafka_bootstrap_servers": other.kafka_bootstrap_servers,
                "database_url": type(own_settings().database_url)(other.database_url),
            }
        )
        with temporary_stack(given, tmp_path / "stack") as stack:
            assert stack.database_url == other.database_url
            assert stack.kafka_bootstrap_servers == other.kafka_bootstrap_servers
            for server in (stack.kafka, stack.postgres):
                with pytest.raises(ConfigurationError, match="was given by its address"):
                    server.stop()
            assert not _servers(tmp_path / "stack")
        assert await both_answer(other.kafka_bootstrap_servers, other.database_url)


async def test_servers_stop_pause_and_come_back_where_they_were(tmp_path: Path) -> None:
    with temporary_stack(own_settings(), tmp_path / "stack") as stack:
        addresses = stack.kafka_bootstrap_servers, stack.database_url
        await ask(stack.database_url, "CREATE TABLE kept AS SELECT 1 AS n")
        for away, back in (("stop", "start"), ("pause", "resume")):
            for server in (stack.postgres, stack.kafka):
                await asyncio.to_thread(getattr(server, away))
            with pytest.raises((OSError, TimeoutError)):
                await ask(stack.database_url, "SELECT n FROM kept")
            for server in (stack.postgres, stack.kafka):
                await asyncio.to_thread(getattr(server, back))
            assert (stack.kafka_bootstrap_servers, stack.database_url) == addresses
            await eventually(lambda: both_answer(*addresses), within_s=60)
            assert await ask(stack.database_url, "SELECT n FROM kept") == 1


def _servers(directory: Path) -> list[str]:
    return [line for line in processes_of(directory) if f"coursepay.directory={directory}/" in line]
