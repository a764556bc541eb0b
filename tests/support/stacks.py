"""Stacks of a test's own: in this process, or owned by another that can be killed."""

import asyncio
import os
import pwd
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal

import asyncpg
import orjson
import psutil

from services.common.settings import Settings, child_environment
from services.common.topic_admin import broker_answers
from tests.support.processes import hear_signals

READY_S = 120.0
_ANSWER_S = 5.0
_NOBODY = pwd.getpwnam("nobody")
_OWNER = """
import signal, sys
from pathlib import Path
from services.common.settings import Settings
from services.sandbox.stack import temporary_stack

with temporary_stack(Settings.from_environment(), Path(sys.argv[1])) as stack:
    if sys.argv[2:] == ["paused"]:
        stack.postgres.pause()
    print("ready", flush=True)
    signal.pause()
"""


def own_settings(kind: Literal["process", "docker"] = "process") -> Settings:
    """No servers that are given, so that a stack has to start some."""
    return Settings.from_environment(stack=kind, kafka_bootstrap_servers=None, database_url="")


def own_environment(kind: Literal["process", "docker"] = "process") -> dict[str, str]:
    """The same for another process."""
    addresses = {"COURSEPAY_KAFKA_BOOTSTRAP_SERVERS": "", "COURSEPAY_DATABASE_URL": ""}
    return child_environment({**addresses, "COURSEPAY_STACK": kind})


@asynccontextmanager
async def owner_of(
    directory: Path, *options: str, kind: Literal["process", "docker"] = "process"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that starts a temporary stack, says "ready" and waits. Killed on exit, if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _OWNER, str(directory), *options),
        stdout=asyncio.subprocess.PIPE,
        env=own_environment(kind),
        # A process group of its own, as a shell gives to what it starts: ctrl-C is a signal to the group.
        start_new_session=True,
        preexec_fn=hear_signals,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ready(owner: asyncio.subprocess.Process) -> None:
    assert owner.stdout is not None
    async with asyncio.timeout(READY_S):
        assert await owner.stdout.readline() == b"ready\n"


def processes_of(directory: Path) -> Sequence[str]:
    """Command lines that name the directory, but this process's."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if process.pid != os.getpid() and str(directory) in line:
            found.append(line)
    return found


async def coursepay(
    *arguments: str, environment: dict[str, str] | None = None, as_normal_user: bool = False
) -> tuple[int, str, str]:
    """The console script: exit code, output, errors."""
    command = [str(Path(sys.executable).with_name("coursepay")), *arguments]
    if as_normal_user and os.geteuid() == 0:
        command = [*_unprivileged(), *command]
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment or own_environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(READY_S):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@contextmanager
def directory_of_normal_user() -> Iterator[Path]:
    """Not below pytest's, which only its user may enter."""
    with tempfile.TemporaryDirectory(prefix="coursepay-test-") as name:
        if os.geteuid() == 0:
            os.chown(name, _NOBODY.pw_uid, _NOBODY.pw_gid)
        yield Path(name)


def addresses_of(output: str) -> tuple[str, str]:
    """(Kafka, PostgreSQL) of what `stack up --json` printed."""
    values = orjson.loads(output)
    assert list(values) == ["COURSEPAY_KAFKA_BOOTSTRAP_SERVERS", "COURSEPAY_DATABASE_URL"]
    return values["COURSEPAY_KAFKA_BOOTSTRAP_SERVERS"], values["COURSEPAY_DATABASE_URL"]


async def both_answer(bootstrap_servers: str, database_url: str) -> bool:
    answered = await asyncio.to_thread(broker_answers, bootstrap_servers, _ANSWER_S)
    return answered and await ask(database_url, "SELECT 1") == 1


async def ask(database_url: str, query: str) -> object:
    connection = await asyncpg.connect(database_url, timeout=_ANSWER_S)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close(timeout=_ANSWER_S)


def _unprivileged() -> Sequence[str]:
    """Another user that may read everything, since the interpreter may lie in root's home."""
    ids = ("--reuid", str(_NOBODY.pw_uid), "--regid", str(_NOBODY.pw_gid), "--clear-groups")
    return ("setpriv", *ids, "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
