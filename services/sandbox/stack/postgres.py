"""PostgreSQL as a local process. It refuses to run as root: then it runs as an unprivileged user, with its data in a
directory of that user's under /var/tmp.
"""

import asyncio
import os
import pwd
import secrets
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg

from services.common.errors import ConfigurationError
from services.sandbox.ports import free_ports
from services.sandbox.stack.others import has_process, is_running
from services.sandbox.stack.process import ServerProcess
from services.sandbox.stack.server import ORDERLY, POSTGRESQL, Remains, data_outside, mark_of
from services.sandbox.stack.waiting import wait_until

_START_S = 60.0
_PREPARE_S = 120.0
_ANSWER_S = 2.0
# Its children end by themselves within that time too.
_NOTICED_S = 5.0
_PORT_TRIES = 3
_LOGIN = "coursepay"
# Durability stays as it is by default: a figure measured without it would be a lie.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # Loopback only: a path to a socket could be too long.
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "logging_collector": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresProcess:
    """`directory` must exist. Data is kept between starts."""

    name = POSTGRESQL

    def __init__(self, binaries: Path, directory: Path) -> None:
        self._binaries = binaries / "bin"
        self._directory = directory
        self._user = _unprivileged_user() if os.geteuid() == 0 else None
        self._home = directory if self._user is None else data_outside(directory)
        self._data = self._home / "data"
        self._secret = directory / "password"
        self._port: int | None = None
        self._process = self._server(0)

    @property
    def address(self) -> str:
        assert self._port is not None
        return self._address_on(self._port)

    def start(self) -> None:
        if not self._secret.is_file():
            # Of a checkout that was deleted: its data outside is nobody's now, and nobody knows its password.
            shutil.rmtree(self._data, ignore_errors=True)
        if not self._data.is_dir():
            self._prepare()
        if self._port is not None:
            self._start_on(self._port)
            return
        for tries_left in reversed(range(_PORT_TRIES)):
            (port,) = free_ports(1)
            try:
                self._start_on(port)
            except ConfigurationError as error:
                # Somebody else took the port meanwhile.
                if tries_left == 0 or "Address already in use" not in str(error):
                    raise
            else:
                self._port = port
                return

    def stop(self) -> None:
        self._process.stop()

    def pause(self) -> None:
        self._process.pause()

    def resume(self) -> None:
        self._process.resume()

    def remains(self) -> Remains | None:
        pid = self._process.pid
        if pid is None:
            return None
        return Remains(name=self.name, kind="process", mark=mark_of(self._directory), pid=pid)

    def _address_on(self, port: int) -> str:
        return f"postgresql://{_LOGIN}:{self._secret.read_text()}@127.0.0.1:{port}/postgres"

    def _server(self, port: int) -> ServerProcess:
        # The last one tells on the command line whose server it is.
        settings = [*(f"{name}={value}" for name, value in _SETTINGS.items()), f"port={port}", mark_of(self._directory)]
        options = [part for setting in settings for part in ("-c", setting)]
        return ServerProcess(
            [str(self._binaries / "postgres"), "-D", str(self._data), *options],
            log=self._directory / "postgresql.log",
            stop_signal=ORDERLY[POSTGRESQL],
            user=self._user,
            directory=Path("/"),
        )

    def _start_on(self, port: int) -> None:
        self._forget_dead_server()
        self._process = self._server(port)
        self._process.start()
        address = self._address_on(port)
        wait_until(lambda: self._process.pid is None or answers(address), within_s=_START_S)
        if self._process.pid is None or not answers(address):
            self._process.stop()
            raise ConfigurationError(f"PostgreSQL did not start; the end of its log:\n{self._process.last_lines()}")

    def _forget_dead_server(self) -> None:
        """PostgreSQL takes a killed server for a running one until its parent has noticed the death, and some parents,
        such as the first process of a container, are slow or never do.
        """
        note = self._data / "postmaster.pid"
        try:
            pid = int(note.read_text().partition("\n")[0])
        except (FileNotFoundError, ValueError):
            return
        if is_running(pid, mark_of(self._directory)):
            return
        if not wait_until(lambda: not has_process(pid), within_s=_NOTICED_S):
            note.unlink()

    def _prepare(self) -> None:
        password = secrets.token_urlsafe(18)
        _write_secret(self._secret, password)
        self._home.mkdir(mode=0o700, exist_ok=True)
        partial, for_initdb = self._home / "partial", self._home / "initdb-password"
        shutil.rmtree(partial, ignore_errors=True)
        _write_secret(for_initdb, password)
        if self._user is not None:
            os.chown(self._home, self._user, self._user)
            os.chown(for_initdb, self._user, self._user)
        command = [
            str(self._binaries / "initdb"),
            *("-D", str(partial), "-U", _LOGIN, "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"),
            # The data is new: whatever a crash spoils now is made again.
            *("--no-sync", f"--pwfile={for_initdb}"),
        ]
        ended = subprocess.run(  # noqa: S603 - our own command line
            command,
            capture_output=True,
            check=False,
            timeout=_PREPARE_S,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            cwd="/",
        )
        for_initdb.unlink()
        if ended.returncode != 0:
            raise ConfigurationError(f"PostgreSQL's data could not be prepared: {ended.stderr.decode()[-500:]}")
        partial.rename(self._data)


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _unprivileged_user() -> int:
    return pwd.getpwnam("nobody").pw_uid


def answers(address: str) -> bool:
    async def ask() -> bool:
        try:
            connection = await asyncpg.connect(address, timeout=_ANSWER_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close(timeout=_ANSWER_S)
        return True

    # A thread of its own, because the caller may run inside an event loop.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, ask()).result()
