"""Runs services as children: starts them, starts again what dies, stops all in order.

A child that ends because a setting is wrong ends everything: starting it again changes no setting. A child that keeps
dying does too, after RESTARTS_MAX restarts within RESTARTS_WINDOW_S. Children write to the parent's own output.
"""

import asyncio
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from services.common.limits import DRAIN_BUDGET_S
from services.common.runtime import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from services.common.settings import child_environment

RESTARTS_MAX = 5
RESTARTS_WINDOW_S = 60.0
_BACKOFF_FIRST_S = 0.5
# A child that drains gets its whole budget, then it is killed.
_STOP_S = DRAIN_BUDGET_S + 5.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """`arguments`: a module, as after `python -m`, and its own arguments; `environment` is laid over ours."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]


class _Child:
    def __init__(self, spec: ChildSpec) -> None:
        self.name = spec.name
        self._spec = spec
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = [sys.executable, "-m", "services.processes.leash", str(os.getpid()), *self._spec.arguments]
        # In a session of its own: ctrl-C on the terminal reaches us alone, and we stop the children in order.
        self._process = await asyncio.create_subprocess_exec(
            *command,
            env=child_environment(self._spec.environment),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        log.info("child_started", service=self.name, pid=self._process.pid)

    async def wait(self) -> int:
        """Its exit code; negative: the signal that ended it."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when it does not end in time. Does nothing to one that does not run."""
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        except TimeoutError:
            log.warning("child_killed", service=self.name, pid=self._process.pid)
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


async def supervise(specs: Sequence[ChildSpec], stop: asyncio.Event) -> int:
    """Until `stop`, or until a child cannot be kept running; then stops all, in the order of `specs`. Returns the exit
    code: 0 stopped when asked, 1 a child kept dying, 2 a setting of a child is wrong.
    """
    children = [_Child(spec) for spec in specs]
    stopping = asyncio.Event()
    keepers = [asyncio.create_task(_keep_running(child, stopping), name=child.name) for child in children]
    asked = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([asked, *keepers], return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
        stopping.set()
        for child in children:
            await child.stop()
    codes = await asyncio.gather(*keepers)
    return max(codes, default=EXIT_OK)


async def _keep_running(child: _Child, stopping: asyncio.Event) -> int:
    """Until `stopping` (0), or until it cannot be kept running (1, 2)."""
    restarts: deque[float] = deque()
    while True:
        await child.start()
        if stopping.is_set():
            # It was being started while the others were stopped.
            await child.stop()
        code = await child.wait()
        if stopping.is_set():
            return EXIT_OK
        log.error("child_ended", service=child.name, **_cause_of(code))
        if code == EXIT_USAGE:
            return EXIT_USAGE
        now = time.monotonic()
        while restarts and now - restarts[0] > RESTARTS_WINDOW_S:
            restarts.popleft()
        if len(restarts) >= RESTARTS_MAX:
            log.error("child_keeps_dying", service=child.name, count=len(restarts))
            return EXIT_FAILED
        backoff_s = _BACKOFF_FIRST_S * 2 ** len(restarts)
        restarts.append(now)
        with suppress(TimeoutError):
            async with asyncio.timeout(backoff_s):
                await stopping.wait()
                return EXIT_OK


def _cause_of(code: int) -> dict[str, str | int]:
    if code < 0:
        return {"signal": signal.Signals(-code).name}
    return {"status": code}
