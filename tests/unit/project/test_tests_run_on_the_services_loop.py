import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import uvloop

ROOT = Path(__file__).parents[3]
HANGING = """
import asyncio, contextlib

async def test_waits():
    await asyncio.Event().wait()

async def test_does_not_give_up():
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()
"""


@pytest.fixture
async def of_a_fixture() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def test_tests_and_their_fixtures_run_on_the_services_loop(of_a_fixture: asyncio.AbstractEventLoop) -> None:
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    assert asyncio.get_running_loop() is of_a_fixture


def test_a_test_that_hangs_fails_when_its_time_is_over(tmp_path: Path) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.support.loops", "-p", "no:cacheprovider"),
            *("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function", "-o", "timeout=2"),
            *("--rootdir", str(tmp_path), str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "2 failed" in done.stdout, done.stdout + done.stderr
    assert "the test's time is over" in done.stdout
