"""The services of a demo as child processes: started, killed, started again, and never left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp

from services.common.settings import PREFIX, child_environment

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

    def twin(self) -> "Child":
        """Another process of the same service, beside this one. It tells nobody when it is ready."""
        environment = {**self._environment, f"{PREFIX}METRICS_PORT": "0"}
        return Child(
            f"{self.name}-twin", arguments=self._arguments, environment=environment, ready_url="", log=self.log
        )

    async def start(self, *, crash_point: str = "") -> None:
        """`crash_point`: where it dies, as in the setting of that name."""
        command = [sys.executable, "-m", "services.processes.leash", str(os.getpid()), *self._arguments]
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env=child_environment({**self._environment, f"{PREFIX}CRASH_POINT": crash_point}),
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
        what = "is not ready" if self.pid is not None else f"ended ({self.how_it_ended()})"
        raise ChildFailedError(f"{self.name} {what}; the end of {self.log}:\n{self.last_lines()}")

    async def kill(self) -> None:
        """SIGKILL, as a crash."""
        await self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and does nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def died(self, *, within_s: float) -> bool:
        """Whether it ends by itself in time."""
        assert self._process is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._process.wait()
        return self.pid is None

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

    def how_it_ended(self) -> str:
        """`SIGKILL`, `exit code 1`; only of one that has ended."""
        code = self._process.returncode if self._process is not None else None
        return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"

    async def _end(self, number: signal.Signals) -> None:
        if self.pid is not None and self._process is not None:
            self._signal(number)
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
