"""What a server of a stack can be told, and what a stack is."""

import hashlib
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

KAFKA, POSTGRESQL = "kafka", "postgresql"
# PostgreSQL would wait for its clients upon SIGTERM; a JVM may have been started with SIGINT ignored.
ORDERLY = {KAFKA: signal.SIGTERM, POSTGRESQL: signal.SIGINT}
_ROOT_DATA = Path("/var/tmp")  # noqa: S108 - a directory of ours below it, which its owner alone may enter


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """How anybody can find a server again, also after its owner died: by its mark, which is on a process's command
    line or in a container's label. `pid` is a process's.
    """

    name: str
    kind: Literal["process", "container"]
    mark: str
    pid: int | None = None


def mark_of(directory: Path) -> str:
    """The mark of the server whose directory this is."""
    return f"coursepay.directory={directory}"


def data_outside(directory: Path) -> Path:
    """Where an unprivileged user keeps what belongs to a directory that it may not be able to enter."""
    return _ROOT_DATA / f"coursepay-{hashlib.sha256(str(directory).encode()).hexdigest()[:16]}"


class Server(Protocol):
    """Blocking; each call ends within two minutes. `stop` and `start` keep port and data.

    Raises ConfigurationError when the server does not come up, with the end of its log.
    """

    name: str

    @property
    def address(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def pause(self) -> None:
        """Connections stay open and nothing answers, as on a machine that hangs."""
        ...

    def resume(self) -> None: ...

    def remains(self) -> Remains | None:
        """None when there is nothing to end: it does not run, or belongs to somebody else."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """`kafka` and `postgres` can be stopped and started again by tests."""

    kafka: Server
    postgres: Server

    @property
    def kafka_bootstrap_servers(self) -> str:
        return self.kafka.address

    @property
    def database_url(self) -> str:
        """A superuser's."""
        return self.postgres.address


def environment_of(kafka_bootstrap_servers: str, database_url: str) -> dict[str, str]:
    """The variables that point a service to these servers."""
    return {
        "COURSEPAY_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap_servers,
        "COURSEPAY_DATABASE_URL": database_url,
    }
