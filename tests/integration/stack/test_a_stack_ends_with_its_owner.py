"""However the owner of a temporary stack ends, no process and no data are left; at the latest after the next start."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from services.sandbox.stack import temporary_stack
from services.sandbox.stack.server import data_outside
from tests.support.eventually import eventually
from tests.support.processes import runs
from tests.support.stacks import own_settings, owner_of, processes_of, ready

pytestmark = pytest.mark.timeout(300)
GONE_S = 60.0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
async def test_killed_while_it_runs(tmp_path: Path, number: signal.Signals) -> None:
    async with owner_of(tmp_path / "stack") as owner:
        await ready(owner)
        owner.send_signal(number)
        await owner.wait()
        await _nothing_is_left(tmp_path / "stack")


@pytest.mark.parametrize("trace", ["owner.lock", "stack.json", "postgresql/postgresql.log", "kafka/kafka.log"])
async def test_killed_while_it_starts(tmp_path: Path, trace: str) -> None:
    """`trace`: the file that shows how far it has come."""
    directory = tmp_path / "stack"
    async with owner_of(directory) as owner:
        await eventually((directory / trace).exists, within_s=GONE_S, every_s=0.01)
        owner.kill()
        await owner.wait()
        await eventually(lambda: not processes_of(directory), within_s=GONE_S)


async def test_killed_while_postgresql_is_paused(tmp_path: Path) -> None:
    """A paused process acts on no signal but two; its children are paused too."""
    async with owner_of(tmp_path / "stack", "paused") as owner:
        await ready(owner)
        paused = await eventually(lambda: _stopped_children(owner.pid))
        owner.kill()
        await owner.wait()
        await _nothing_is_left(tmp_path / "stack")
        assert not [process for process in paused if runs(process.pid)]


async def test_ctrl_c(tmp_path: Path) -> None:
    """The terminal sends it to the whole process group; the servers are not in it, so that they end in order."""
    async with owner_of(tmp_path / "stack") as owner:
        await ready(owner)
        os.killpg(owner.pid, signal.SIGINT)
        await owner.wait()
        # At once: the owner has waited for its servers.
        assert not processes_of(tmp_path / "stack")
        await _nothing_is_left(tmp_path / "stack")


async def test_the_next_start_ends_what_nobody_watched(tmp_path: Path) -> None:
    directory = tmp_path / "stack"
    async with owner_of(directory) as owner:
        await ready(owner)
        (watcher,) = [
            child
            for child in psutil.Process(owner.pid).children()
            if "services.sandbox.stack.watcher" in child.cmdline()
        ]
        watcher.kill()
        owner.kill()
        await owner.wait()
    left = {process.pid for process in psutil.process_iter() if _is_server_of(process, directory)}
    assert len(left) == 2
    with temporary_stack(own_settings(), directory):
        now = {process.pid for process in psutil.process_iter() if _is_server_of(process, directory)}
        assert len(now) == 2
        assert not now & left
    assert not processes_of(directory)


async def test_an_exception_in_the_block_ends_it_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), temporary_stack(own_settings(), tmp_path / "stack"):
        raise ZeroDivisionError
    assert not processes_of(tmp_path / "stack")


def _stopped_children(pid: int) -> list[psutil.Process]:
    """None yet, unless PostgreSQL and a child of its are."""
    found = [child for child in psutil.Process(pid).children(recursive=True) if child.status() == "stopped"]
    return found if len(found) > 1 else []


async def _nothing_is_left(directory: Path) -> None:
    await eventually(lambda: not processes_of(directory), within_s=GONE_S)
    assert not _data(directory)


def _data(directory: Path) -> list[Path]:
    """The lock stays: whoever removed it could take it from under another owner."""
    kept = [path for path in directory.iterdir() if path.name != "owner.lock"]
    outside = data_outside(directory / "postgresql")
    return [*kept, outside] if outside.exists() else kept


def _is_server_of(process: psutil.Process, directory: Path) -> bool:
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return f"coursepay.directory={directory}" in line
