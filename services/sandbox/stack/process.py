"""A server as a process of this machine: started in a session of its own, so that ctrl-C reaches its owner alone."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from services.common.settings import child_environment
from services.sandbox.stack.others import signal_family

_END_S = 20.0
_KILLED_S = 5.0
_LAST_LINES = 8


class ServerProcess:
    """`user`: the id of the user that it runs as, None for our own. `stop_signal` ends it in an orderly way."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        stop_signal: signal.Signals,
        user: int | None = None,
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._log = log
        self._stop_signal = stop_signal
        self._user = user
        self._directory = directory
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=child_environment(self._environment),
                start_new_session=True,
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
            )

    def stop(self) -> None:
        """Orderly; killed when it takes longer than 20 s."""
        if self._process is None:
            return
        self.resume()
        with suppress(ProcessLookupError):
            self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_KILLED_S)

    def pause(self) -> None:
        if self.pid is not None:
            signal_family(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self.pid is not None:
            signal_family(self.pid, signal.SIGCONT)

    def last_lines(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(lines[-_LAST_LINES:])
