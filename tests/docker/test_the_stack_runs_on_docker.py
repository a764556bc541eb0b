"""`make test-docker`: the same stack as containers. The run's own servers are such, with the oldest PostgreSQL, 15."""

import asyncio
import signal
from pathlib import Path

import docker
import pytest

from services.common.settings import Settings
from services.common.topic_admin import check_topics
from services.sandbox.stack import Stack, temporary_stack
from services.sandbox.stack.engine import LABEL
from services.sandbox.stack.server import mark_of
from tests.support.eventually import eventually
from tests.support.stacks import (
    addresses_of,
    ask,
    both_answer,
    coursepay,
    own_environment,
    own_settings,
    owner_of,
    ready,
)

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]
GONE_S = 90.0


async def test_the_servers_of_this_run_are_containers(stack: Stack, settings: Settings) -> None:
    assert str(await ask(stack.database_url, "SHOW server_version_num")).startswith("15")
    # The manifest's topics exist as it says, with the limits that it asks of the broker.
    assert await check_topics(settings) == []


def test_ports_are_open_on_loopback_only(stack: Stack) -> None:
    ports = {stack.kafka_bootstrap_servers.rpartition(":")[2], stack.database_url.rpartition(":")[2].split("/")[0]}
    bindings = [
        binding
        for container in docker.from_env().containers.list(filters={"label": LABEL})
        for published in container.ports.values()
        for binding in published or ()
    ]
    assert ports <= {binding["HostPort"] for binding in bindings}
    assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


async def test_servers_stop_pause_and_come_back_where_they_were(tmp_path: Path) -> None:
    with temporary_stack(own_settings("docker"), tmp_path / "stack") as stack:
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
            await eventually(lambda: both_answer(*addresses), within_s=90)
            assert await ask(stack.database_url, "SELECT n FROM kept") == 1
    assert not _containers(tmp_path / "stack")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_no_container_outlives_its_owner(tmp_path: Path, number: signal.Signals) -> None:
    async with owner_of(tmp_path / "stack", kind="docker") as owner:
        await ready(owner)
        assert len(_containers(tmp_path / "stack")) == 2
        owner.send_signal(number)
        await owner.wait()
        await eventually(lambda: not _containers(tmp_path / "stack"), within_s=GONE_S)


async def test_nor_when_the_owner_dies_while_they_start(tmp_path: Path) -> None:
    async with owner_of(tmp_path / "stack", kind="docker") as owner:
        await eventually(lambda: _containers(tmp_path / "stack"), within_s=GONE_S, every_s=0.01)
        owner.kill()
        await owner.wait()
        await eventually(lambda: not _containers(tmp_path / "stack"), within_s=GONE_S)


async def test_up_and_down(tmp_path: Path) -> None:
    where = ("--directory", str(tmp_path / "stack"))
    environment = own_environment("docker")
    try:
        code, output, errors = await coursepay("stack", "up", "--json", *where, environment=environment)
        assert code == 0, errors
        assert await both_answer(*addresses_of(output))
        again = await coursepay("stack", "up", "--json", *where, environment=environment)
        assert again[:2] == (0, output)
    finally:
        code, said, _ = await coursepay("stack", "down", *where, environment=environment)
    assert (code, said) == (0, "stopped\n")
    assert not _containers(tmp_path / "stack")


def _containers(directory: Path) -> list[str]:
    marks = {mark_of(directory / name) for name in ("kafka", "postgresql")}
    found = docker.from_env().containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return [container.id for container in found if container.labels.get(LABEL) in marks]
