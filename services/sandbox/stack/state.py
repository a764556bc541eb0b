"""What runs for a state directory, written down so that anybody can end it: the next start, `stack down`, a watcher."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import orjson

from services.common.errors import ConfigurationError
from services.sandbox.stack.others import end_other, is_running, pids_with
from services.sandbox.stack.server import KAFKA, ORDERLY, POSTGRESQL, Remains, data_outside, environment_of, mark_of
from services.sandbox.stack.waiting import wait_until

_ENDED_S = 60.0
_ENDING = "ending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """`owner`: the process that ends the servers, None for servers that stay. `keep_data`: past their end."""

    owner: int | None
    keep_data: bool
    kafka_bootstrap_servers: str
    database_url: str
    servers: Sequence[Remains]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point a service to it."""
        return environment_of(self.kafka_bootstrap_servers, self.database_url)

    @property
    def is_alive(self) -> bool:
        addressed = bool(self.kafka_bootstrap_servers and self.database_url)
        return addressed and all(_runs(server) for server in self.servers)


class StateDirectory:
    """`path` is made. It is absolute, because it marks command lines."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"the state directory {self.path} cannot be made: {error.strerror}") from None

    def part(self, name: str) -> Path:
        """A directory for one server."""
        part = self.path / name
        part.mkdir(exist_ok=True)
        return part

    @contextmanager
    def owned(self, *, ending: bool = False) -> Iterator[None]:
        """The kernel ends ownership with its process, however that ends. `ending`: only to end what is left; others
        wait for that. Raises ConfigurationError when another process owns the directory.
        """
        with self._opened() as lock:
            if not wait_until(lambda: _is_locked(lock) or not (ending or _is_ending(lock)), within_s=_ENDED_S):
                raise ConfigurationError(f"what ran for {self.path} does not end; see the processes that name it")
            if not _is_locked(lock):
                raise ConfigurationError(
                    f"a stack of {self.path} is in use by process {_owner_of(lock)}; end that, or use another directory"
                )
            lock.truncate(0)
            lock.write(f"{os.getpid()} {_ENDING if ending else ''}")
            lock.flush()
            yield

    def owner(self) -> int | None:
        """The process that owns it now and is not about to end it."""
        with self._opened() as lock:
            return None if _is_locked(lock) or _is_ending(lock) else _owner_of(lock)

    def write(self, running: Running) -> None:
        partial = self._file.with_suffix(".partial")
        # The address holds a password.
        partial.touch(mode=0o600)
        partial.write_bytes(orjson.dumps(asdict(running), option=orjson.OPT_INDENT_2))
        partial.replace(self._file)

    @property
    def is_ended(self) -> bool:
        return not self._file.exists()

    def read(self) -> Running | None:
        """None when nothing was started here, or all of it was ended."""
        try:
            fields = orjson.loads(self._file.read_bytes())
            fields["servers"] = [Remains(**server) for server in fields["servers"]]
            return Running(**fields)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            # Of another version, or damaged. What runs is found by its mark all the same.
            return None

    def end(self) -> bool:
        """Ends whatever runs for the directory, and removes what is not to be kept; false when there was nothing."""
        running = self.read()
        ended = running is not None
        for server in running.servers if running is not None else ():
            if server.kind == "container":
                _end_container(server)
        # By command line, so that a server is found too whose owner died before it could write anything.
        for name, number in ORDERLY.items():
            mark = mark_of(self.path / name)
            for pid in pids_with(mark):
                end_other(pid, mark, number)
                ended = True
        if running is not None and not running.keep_data:
            self._remove_data()
        self._file.unlink(missing_ok=True)
        return ended

    def _remove_data(self) -> None:
        for name in (KAFKA, POSTGRESQL):
            shutil.rmtree(self.path / name, ignore_errors=True)
        shutil.rmtree(data_outside(self.path / POSTGRESQL), ignore_errors=True)

    def _opened(self) -> IO[str]:
        return (self.path / "owner.lock").open("a+")

    @property
    def _file(self) -> Path:
        return self.path / "stack.json"


def _is_locked(lock: IO[str]) -> bool:
    """Whether this open file holds the lock, taken now if nobody does."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner_of(lock: IO[str]) -> int | None:
    pid, _, _ = _text_of(lock).partition(" ")
    return int(pid) if pid.isdigit() else None


def _is_ending(lock: IO[str]) -> bool:
    return _text_of(lock).endswith(_ENDING)


def _text_of(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read().strip()


def _runs(server: Remains) -> bool:
    if server.kind == "container":
        # Only who runs containers needs their library.
        from services.sandbox.stack.engine import any_runs

        return any_runs(server.mark)
    return server.pid is not None and is_running(server.pid, server.mark)


def _end_container(server: Remains) -> None:
    from services.sandbox.stack.engine import remove_containers

    remove_containers(server.mark)
