"""`coursepay demo` as a person runs it: a balanced ledger, and no process left, after its end and after ctrl-C."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Sequence
from pathlib import Path

import orjson
import psutil
import pytest

from services.common.settings import child_environment
from tests.support.eventually import eventually
from tests.support.processes import hear_signals

COURSEPAY = str(Path(sys.executable).with_name("coursepay"))
FIGURES = {
    "payments", "confirmed", "purchases", "allocations_approved", "allocations_pending", "sessions", "notifications",
    "retried", "dead_lettered", "lost", "duplicated", "confirm_p50_ms", "confirm_p99_ms", "poison",
}  # fmt: skip


async def _demo(directory: Path, *options: str) -> Process:
    """On servers of its own, whatever the tests use. Its temporary files, and so its servers, are below `directory`."""
    environment = child_environment(
        {
            "TMPDIR": str(directory),
            "COURSEPAY_STATE_DIRECTORY": str(directory / "state"),
            "COURSEPAY_KAFKA_BOOTSTRAP_SERVERS": "",
            "COURSEPAY_DATABASE_URL": "",
        }
    )
    return await asyncio.create_subprocess_exec(
        *(COURSEPAY, "demo", *options),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        preexec_fn=hear_signals,
    )


def _left_behind(directory: Path) -> Sequence[str]:
    """Processes that name the directory on their command line or in their environment, but this one."""
    found = []
    for process in psutil.process_iter():
        try:
            # Read once: a process may end between two reads.
            line = process.cmdline()
            named = [*line, *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(directory) in text for text in named):
            found.append(f"{process.pid} {' '.join(line)[:200]}")
    return found


@pytest.mark.timeout(240)
async def test_a_balanced_ledger(tmp_path: Path) -> None:
    process = await _demo(tmp_path, "--payments", "50", "--rate", "25", "--json")
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    counts = orjson.loads(output.splitlines()[-1])
    assert set(counts) >= FIGURES
    assert counts["payments"] == counts["confirmed"] == 50
    assert counts["confirmed"] == counts["purchases"] + counts["dead_lettered"]
    assert counts["lost"] == counts["duplicated"] == counts["double_booked"] == 0
    assert counts["dead_lettered"] >= 1
    assert counts["retried"] >= 1
    assert counts["poison"] == 5
    assert counts["allocations_pending"] >= 1
    assert counts["notifications"] >= counts["purchases"]
    await eventually(lambda: not _left_behind(tmp_path))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_ended_in_the_middle(tmp_path: Path, ending: signal.Signals) -> None:
    process = await _demo(tmp_path, "--payments", "500", "--rate", "10")
    assert process.stdout is not None
    async for line in process.stdout:
        if b"offering" in line:
            break
    assert _left_behind(tmp_path)
    process.send_signal(ending)
    await process.stdout.read()
    assert await process.wait() != 0
    await eventually(lambda: not _left_behind(tmp_path), within_s=30)
