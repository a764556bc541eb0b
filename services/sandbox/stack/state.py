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
from services.sandbox.stack.process import end_foreign, is_running, pids_with
from services.sandbox.stack.server import KAFKA, POSTGRESQL, Remains, data_outside, environment_of


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
        processes = [server for server in self.servers if server.kind == "process"]
        return addressed and all(is_running(int(server.handle), server.marker) for server in processes)


class StateDirectory:
    """`path` is made. It is absolute, because it marks command lines."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.path.mkdir(parents=True, exist_ok=True)

    def part(self, name: str) -> Path:
        """A directory for one server."""
        part = self.path / name
        part.mkdir(exist_ok=True)
        return part

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Raises ConfigurationError when another process owns the directory. The kernel ends ownership with its
        process, however that ends.
        """
        with (self.path / "owner.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(
                    f"a stack of {self.path} is in use by process {_owner_of(lock)}; end that, or use another directory"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def owner(self) -> int | None:
        """The process that owns it now."""
        with (self.path / "owner.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _owner_of(lock)
        return None

    def write(self, running: Running) -> None:
        partial = self._file.with_suffix(".partial")
        # The address holds a password.
        partial.touch(mode=0o600)
        partial.write_bytes(orjson.dumps(asdict(running), option=orjson.OPT_INDENT_2))
        partial.replace(self._file)

    def read(self) -> Running | None:
        """None when nothing was started here, or all of it was ended."""
        try:
            fields = orjson.loads(self._file.read_bytes())
        except FileNotFoundError:
            return None
        fields["servers"] = [Remains(**server) for server in fields["servers"]]
        return Running(**fields)

    def end(self) -> bool:
        """Ends whatever is written down; false when nothing was."""
        running = self.read()
        if running is None:
            return False
        for server in running.servers:
            if server.kind == "container":
                _end_container(server)
        # By command line, so that a server is found too whose owner died before it could write anything.
        for name in (KAFKA, POSTGRESQL):
            marker = str(self.path / name)
            for pid in pids_with(marker):
                end_foreign(pid, marker)
        if not running.keep_data:
            self._remove_data()
        self._file.unlink(missing_ok=True)
        return True

    def _remove_data(self) -> None:
        for name in (KAFKA, POSTGRESQL):
            shutil.rmtree(self.path / name, ignore_errors=True)
        shutil.rmtree(data_outside(self.path / POSTGRESQL), ignore_errors=True)

    @property
    def _file(self) -> Path:
        return self.path / "stack.json"


def _owner_of(lock: IO[str]) -> int | None:
    lock.seek(0)
    text = lock.read().strip()
    return int(text) if text.isdigit() else None


def _end_container(server: Remains) -> None:
    # Only who runs containers needs their library.
    from services.sandbox.stack.containers import remove_container

    remove_container(server.handle)
