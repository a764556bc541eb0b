"""A server as a process of this machine: started in a session of its own, so that ctrl-C reaches its owner alone."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from services.common.settings import child_environment
from services.sandbox.stack.waiting import wait_until

_END_S = 20.0
_KILLED_S = 5.0
_LAST_LINES = 8
_PROC = Path("/proc")


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
        for pid in self._family():
            _signal(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self._family():
            _signal(pid, signal.SIGCONT)

    def last_lines(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(lines[-_LAST_LINES:])

    def _family(self) -> list[int]:
        """It and its descendants, whose sessions differ: PostgreSQL gives each of its processes one of its own."""
        if self.pid is None:
            return []
        children: dict[int, list[int]] = {}
        for pid, parent in _parents():
            children.setdefault(parent, []).append(pid)
        family = [self.pid]
        for pid in family:
            family.extend(children.get(pid, []))
        return family


def pids_with(marker: str) -> list[int]:
    """Processes with `marker` on their command line, but this one."""
    return [pid for pid, command in _commands() if marker in command and pid != os.getpid()]


def is_running(pid: int, marker: str) -> bool:
    """Whether a process with this id has `marker` on its command line."""
    return any(found == pid and marker in command for found, command in _commands())


def end_foreign(pid: int, marker: str) -> None:
    """Ends a process that is not our child: orderly, then killed. Nothing happens when it is gone."""
    for number, within_s in ((signal.SIGCONT, 0.0), (signal.SIGINT, _END_S), (signal.SIGKILL, _KILLED_S)):
        if not is_running(pid, marker):
            return
        _signal(pid, number)
        wait_until(lambda: not is_running(pid, marker), within_s=within_s)


def _commands() -> Iterator[tuple[int, str]]:
    """(process, command line) of all processes."""
    if _PROC.is_dir():
        for entry in _PROC.glob("[0-9]*/cmdline"):
            with suppress(OSError):
                yield int(entry.parent.name), entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return
    shown = subprocess.run(
        ["ps", "-axo", "pid=,command="],  # noqa: S607 - the system's
        capture_output=True,
        text=True,
        check=False,
        timeout=_KILLED_S,
    )
    for line in shown.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        yield int(pid), command


def _parents() -> Iterator[tuple[int, int]]:
    """(process, its parent) of all processes."""
    for entry in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            # "pid (name) state parent ...", where the name may hold spaces and parentheses.
            after_name = entry.read_text().rpartition(")")[2].split()
            yield int(entry.parent.name), int(after_name[1])


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
