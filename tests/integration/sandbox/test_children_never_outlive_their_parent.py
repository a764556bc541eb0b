"""Real processes: they become ready, end when told, and end when their parent is killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from services.sandbox.demo.children import Child, ChildFailedError
from services.sandbox.ports import free_ports
from tests.support.eventually import eventually

PARENT = """
import asyncio, sys
from pathlib import Path
from services.sandbox.demo.children import Child

async def main():
    child = Child("files", arguments=["http.server", sys.argv[1], "--bind", "127.0.0.1"], environment={},
                  ready_url="http://127.0.0.1:" + sys.argv[1], log=Path(sys.argv[2]))
    await child.start()
    await child.wait_until_ready()
    print(child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def _file_server(tmp_path: Path) -> Child:
    port = free_ports(1)[0]
    return Child(
        "files",
        arguments=["http.server", str(port), "--bind", "127.0.0.1"],
        environment={},
        ready_url=f"http://127.0.0.1:{port}",
        log=tmp_path / "files.log",
    )


@pytest.fixture
async def child(tmp_path: Path) -> AsyncIterator[Child]:
    child = _file_server(tmp_path)
    await child.start()
    try:
        yield child
    finally:
        await child.stop()


async def test_a_child_becomes_ready_and_can_be_killed_and_started_again(child: Child) -> None:
    await child.wait_until_ready()
    first = child.pid
    await child.kill()
    assert child.pid is None
    await child.start()
    await child.wait_until_ready()
    assert child.pid not in {None, first}


async def test_a_child_that_ends_says_why(tmp_path: Path) -> None:
    child = Child(
        "nothing", arguments=["no_such_module"], environment={}, ready_url="http://127.0.0.1:9", log=tmp_path / "log"
    )
    await child.start()
    with pytest.raises(ChildFailedError, match="No module named"):
        await child.wait_until_ready()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
async def test_a_killed_parent_takes_its_child_along(tmp_path: Path) -> None:
    port = str(free_ports(1)[0])
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, port, str(tmp_path / "log"), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert psutil.pid_exists(pid)
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    await eventually(lambda: not _runs(pid), within_s=10)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
