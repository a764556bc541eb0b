"""`coursepay stack` as a person runs it."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from services.sandbox.stack.server import data_outside
from tests.support.eventually import eventually
from tests.support.stacks import (
    addresses_of,
    ask,
    both_answer,
    coursepay,
    directory_of_normal_user,
    own_environment,
    owner_of,
    processes_of,
    ready,
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Path]:
    """Whatever a test leaves is ended."""
    yield tmp_path / "stack"
    await coursepay("stack", "down", "--directory", str(tmp_path / "stack"))
    # Root's data lies outside of pytest's directory.
    shutil.rmtree(data_outside(tmp_path / "stack" / "postgresql"), ignore_errors=True)


async def test_up_env_and_down(directory: Path) -> None:
    code, output, _ = await coursepay("stack", "up", "--json", "--directory", str(directory))
    assert code == 0
    kafka, database = addresses_of(output)
    assert await both_answer(kafka, database)
    await ask(database, "CREATE TABLE kept AS SELECT 1 AS n")

    code, lines, _ = await coursepay("stack", "env", "--directory", str(directory))
    assert code == 0
    assert _evaluated(lines) == f"{kafka} {database}"

    # A second time it is the same stack.
    code, again, _ = await coursepay("stack", "up", "--json", "--directory", str(directory))
    assert (code, again) == (0, output)

    code, said, _ = await coursepay("stack", "down", "--directory", str(directory))
    assert (code, said) == (0, "stopped\n")
    assert not processes_of(directory)

    code, output, _ = await coursepay("stack", "up", "--json", "--directory", str(directory))
    assert code == 0
    assert await ask(addresses_of(output)[1], "SELECT n FROM kept") == 1

    # As when a checkout is deleted and made again; root's data stands elsewhere and is left over.
    await coursepay("stack", "down", "--directory", str(directory))
    shutil.rmtree(directory)
    code, output, _ = await coursepay("stack", "up", "--json", "--directory", str(directory))
    assert code == 0
    assert await ask(addresses_of(output)[1], "SELECT to_regclass('kept') IS NULL")


async def test_nothing_to_print_and_nothing_to_stop(directory: Path) -> None:
    code, output, errors = await coursepay("stack", "env", "--directory", str(directory))
    assert (code, output) == (2, "")
    assert errors == f"nothing runs for {directory}; `coursepay stack up` starts it\n"
    code, said, _ = await coursepay("stack", "down", "--directory", str(directory))
    assert (code, said) == (0, f"nothing runs for {directory}\n")


async def test_down_ends_what_another_process_holds(directory: Path) -> None:
    """As `make down` ends `make up`."""
    async with owner_of(directory) as owner:
        await ready(owner)
        code, said, _ = await coursepay("stack", "down", "--directory", str(directory))
        assert (code, said) == (0, "stopped\n")
        assert not processes_of(directory)
        await owner.wait()


async def test_what_a_crash_or_another_version_left_is_no_hindrance(directory: Path) -> None:
    code, output, _ = await coursepay("stack", "up", "--json", "--directory", str(directory))
    assert code == 0
    kafka, database = addresses_of(output)
    (directory / "stack.json").write_text('{"servers": [{"of": "another version"}]}')
    for pid in _servers(directory):
        os.kill(pid, signal.SIGKILL)
        break
    code, output, _ = await coursepay("stack", "up", "--json", "--directory", str(directory))
    assert code == 0
    assert addresses_of(output) != (kafka, database)
    assert len(_servers(directory)) == 2
    assert await both_answer(*addresses_of(output))


async def test_a_server_whose_death_its_parent_never_noticed_is_started_again(directory: Path) -> None:
    code, output, _ = await coursepay("stack", "up", "--json", "--directory", str(directory))
    assert code == 0
    await ask(addresses_of(output)[1], "CREATE TABLE kept AS SELECT 1 AS n")
    await coursepay("stack", "down", "--directory", str(directory))
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    ended = _never_waited_for(user)
    await eventually(lambda: psutil.Process(ended.pid).status() == psutil.STATUS_ZOMBIE)
    home = directory / "postgresql" if user is None else data_outside(directory / "postgresql")
    (home / "data" / "postmaster.pid").write_text(f"{ended.pid}\n{home / 'data'}\n")
    code, output, errors = await coursepay("stack", "up", "--json", "--directory", str(directory))
    ended.wait()
    assert code == 0, errors
    assert await ask(addresses_of(output)[1], "SELECT n FROM kept") == 1


async def test_who_only_reads_a_log_is_left_alone(directory: Path) -> None:
    code, _, _ = await coursepay("stack", "up", "--directory", str(directory))
    assert code == 0
    log = directory / "kafka" / "kafka.log"
    reader = await asyncio.create_subprocess_exec(sys.executable, "-c", "import signal; signal.pause()", str(log))
    try:
        await eventually(lambda: any("signal.pause" in line for line in processes_of(directory)))
        await coursepay("stack", "down", "--directory", str(directory))
        assert reader.returncode is None
        assert [line for line in processes_of(directory) if "signal.pause" in line] == processes_of(directory) != []
    finally:
        reader.kill()
        await reader.wait()


async def test_a_normal_user_can_do_it_too() -> None:
    """Root's servers differ: PostgreSQL refuses to run as root."""
    with directory_of_normal_user() as home:
        environment = {**own_environment(), "HOME": str(home)}
        if os.geteuid() == 0:
            # Filled by root's own stacks before.
            environment["COURSEPAY_CACHE_DIRECTORY"] = "/var/cache/coursepay"
        arguments = ("--directory", str(home / "stack"))
        code, output, errors = await coursepay(
            "stack", "up", "--json", *arguments, environment=environment, as_normal_user=True
        )
        assert code == 0, errors
        assert await both_answer(*addresses_of(output))
        code, said, _ = await coursepay("stack", "down", *arguments, environment=environment, as_normal_user=True)
        assert (code, said) == (0, "stopped\n")
        assert not processes_of(home)


def _never_waited_for(user: int | None) -> subprocess.Popen[bytes]:
    """As the first process of a container may leave its children."""
    return subprocess.Popen(["/bin/true"], user=user)


def _evaluated(lines: str) -> str:
    """What a shell makes of the export lines."""
    script = f'{lines}\nprintf "%s %s" "$COURSEPAY_KAFKA_BOOTSTRAP_SERVERS" "$COURSEPAY_DATABASE_URL"'
    return subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True, timeout=10).stdout


def _servers(directory: Path) -> list[int]:
    shown = subprocess.run(["ps", "-axwwo", "pid=,command="], capture_output=True, text=True, check=True, timeout=10)
    lines = [line.split(maxsplit=1) for line in shown.stdout.splitlines()]
    return [int(pid) for pid, command in lines if f"coursepay.directory={directory}/" in command]
