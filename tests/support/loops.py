"""The loop of the tests is the services' loop, and a test that hangs on it fails when its time is over.

uvloop's transports and tasks are none of asyncio's classes: on asyncio's own loop the tests once passed over a refusal
that nobody heard. But uvloop swallows whatever a signal's handler raises while it waits, and raising is how
pytest-timeout ends a test.
"""

import asyncio
import signal
from collections.abc import Callable, Generator, Mapping
from types import FrameType

import pytest
import uvloop

_AGAIN_S = 5.0


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer() -> Generator[None, object, object]:
    """Where nothing runs that could raise, the tasks are cancelled: the test fails at the line where it waits."""
    done = yield
    fail = signal.getsignal(signal.SIGALRM)
    if callable(fail):
        signal.signal(signal.SIGALRM, _cancelling(fail))
    return done


def _cancelling(fail: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
    def end_test(number: int, frame: FrameType | None) -> None:
        loop = _running_loop()
        if loop is None or asyncio.current_task(loop) is not None:
            fail(number, frame)
            return
        for task in asyncio.all_tasks(loop):
            task.cancel("the test's time is over")
        # Somebody may have caught it.
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)

    return end_test


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
