"""Threads of another process that stand still while the rest of it goes on, as a debugger holds them."""

import ctypes
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.alerts.scene import Scene
from tests.support.eventually import eventually

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


@asynccontextmanager
async def poll_threads_stand_still(scene: Scene, service: str) -> AsyncIterator[None]:
    """All of Python's threads but the first, on which the event loop answers."""
    pid = scene.system.children[service].pid
    assert pid is not None
    threads = _threads_of(pid)

    async def stand_still() -> bool:
        for thread in threads:
            _hold(thread)
        try:
            await scene.gauge(service, "coursepay_assigned_partitions")
        except TimeoutError:
            # One of them stands still with the interpreter's lock in its hand: let go, and catch them elsewhere.
            _release(threads)
            return False
        return True

    await eventually(stand_still, within_s=30)
    try:
        yield
    finally:
        _release(threads)


def _threads_of(pid: int) -> list[int]:
    """Librdkafka's own have names that begin with rdk."""
    names = {int(task.name): (task / "comm").read_text() for task in Path(f"/proc/{pid}/task").iterdir()}
    return [thread for thread, name in names.items() if thread != pid and not name.startswith("rdk")]


def _hold(thread: int) -> None:
    _ptrace(_SEIZE, thread)
    _ptrace(_INTERRUPT, thread)
    os.waitpid(thread, _WALL)


def _release(threads: list[int]) -> None:
    for thread in threads:
        _ptrace(_DETACH, thread)


def _ptrace(request: int, thread: int) -> None:
    if _libc.ptrace(request, thread, None, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace {request} of thread {thread}: {os.strerror(number)}")
