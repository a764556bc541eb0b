"""The services of a demo as child processes: started, killed, started again, and never left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp

from services.common.settings import child_environment

READY_S = 60.0
_STOP_S = 25.0
_LOOK_S = 0.1
_LAST_LINES = 5


class ChildFailedError(Exception):
    """A service ended or did not become ready. The message holds the last lines of its log."""


class Child:
    """One service. `arguments`: module and its arguments; `ready_url` answers 200 once it can work.

    It runs in a session of its own: ctrl-C on the terminal reaches the demo alone, which then stops its children in
    order. Its output goes to `log`.
    """

    def __init__(
        self, name: str, *, arguments: Sequence[str], environment: Mapping[str, str], ready_url: str, log: Path
    ) -> None:
        self.name = name
        self.ready_url = ready_url
        self.log = log
        self._arguments = arguments
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def start(self) -> None:
        command = [sys.executable, "-m", "services.processes.leash", str(os.getpid()), *self._arguments]
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env=child_environment(self._environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )

    async def wait_until_ready(self, *, within_s: float = READY_S) -> None:
        """Raises ChildFailedError when it ends before, or takes longer."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    while self.pid is not None:
                        with suppress(aiohttp.ClientError, TimeoutError):
                            async with http.get(self.ready_url) as answer:
                                if answer.ok:
                                    return
                        await asyncio.sleep(_LOOK_S)
        what = "is not ready" if self.pid is not None else f"ended ({self._how_it_ended()})"
        raise ChildFailedError(f"{self.name} {what}; the end of {self.log}:\n{self.last_lines()}")

    async def kill(self) -> None:
        """SIGKILL, as a crash."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when it does not end in time."""
        try:
            async with asyncio.timeout(_STOP_S):
                await self._end(signal.SIGTERM)
        except TimeoutError:
            await self.kill()

    def last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-_LAST_LINES:])

    def _how_it_ended(self) -> str:
        code = self._process.returncode if self._process is not None else None
        return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"

    async def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        await self._process.wait()
