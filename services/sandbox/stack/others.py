"""Processes of this machine that are not our children: found by a mark on their command lines, and ended."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from services.sandbox.stack.waiting import wait_until

_END_S = 20.0
_KILLED_S = 5.0
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    pid: int
    parent: int
    command: str

    def has(self, mark: str) -> bool:
        """The mark ends an argument: another stack's directory may start with ours."""
        return f"{mark} " in f"{self.command} "


def pids_with(mark: str) -> list[int]:
    """Running processes with `mark` on their command lines."""
    return [process.pid for process in _processes() if process.has(mark)]


def is_running(pid: int, mark: str) -> bool:
    """Whether a process with this id has `mark` on its command line."""
    return pid in pids_with(mark)


def has_process(pid: int) -> bool:
    """Whether the system knows the id, be it of one that ended and waits for its parent to notice."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end_other(pid: int, mark: str, number: signal.Signals) -> None:
    """Ends a process that is not our child, paused or not: with `number`, then killed. Nothing happens when it is
    gone.
    """
    if not is_running(pid, mark):
        return
    signal_family(pid, signal.SIGCONT)
    for attempt, within_s in ((number, _END_S), (signal.SIGKILL, _KILLED_S)):
        _signal(pid, attempt)
        if wait_until(lambda: not is_running(pid, mark), within_s=within_s):
            return


def signal_family(pid: int, number: signal.Signals) -> None:
    """It and its descendants, whose sessions differ: PostgreSQL gives each of its processes one of its own."""
    children: dict[int, list[int]] = {}
    for process in _processes():
        children.setdefault(process.parent, []).append(process.pid)
    family = [pid]
    for member in family:
        family.extend(children.get(member, []))
    for member in family:
        _signal(member, number)


def _processes() -> Iterator[_Process]:
    """All that run; without those that ended and wait for their parents to notice."""
    if not _PROC.is_dir():
        yield from _processes_by_ps()
        return
    for directory in _PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError):
            # "pid (name) state parent ...", where the name may hold spaces and parentheses.
            state, parent = (directory / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (directory / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
            if state != "Z":
                yield _Process(pid=int(directory.name), parent=int(parent), command=command)


def _processes_by_ps() -> Iterator[_Process]:
    shown = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,state=,command="],  # noqa: S607 - the system's
        capture_output=True,
        text=True,
        check=False,
        timeout=_KILLED_S,
    )
    for line in shown.stdout.splitlines():
        pid, parent, state, *command = line.split(maxsplit=3)
        if not state.startswith("Z"):
            yield _Process(pid=int(pid), parent=int(parent), command="".join(command))


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
