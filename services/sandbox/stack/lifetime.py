"""The two lifetimes of a stack: until its caller ends, however that happens, and until somebody ends it."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from services.common.settings import Settings
from services.sandbox.stack.choice import choose_servers
from services.sandbox.stack.given import GivenServer
from services.sandbox.stack.others import end_other
from services.sandbox.stack.server import KAFKA, POSTGRESQL, Remains, Server, Stack
from services.sandbox.stack.state import Running, StateDirectory
from services.sandbox.stack.watcher import watched


def _quiet(_text: str) -> None:
    return None


@contextmanager
def temporary_stack(
    settings: Settings,
    directory: Path,
    *,
    keep_data: bool = False,
    advertised_port: int | None = None,
    note: Callable[[str], None] = _quiet,
) -> Iterator[Stack]:
    """Servers that end with the block, and with the calling process when it is killed. What an earlier owner of the
    state directory left is ended first; servers that `lasting_stack` started there are used and left running.
    `advertised_port`: where clients are told to find Kafka, for tests that put a proxy there.

    Raises ConfigurationError: one sentence about what is missing or in use.
    """
    state = StateDirectory(directory)
    lasting = _alive(state)
    if lasting is not None and lasting.owner is None:
        yield _stack_of(settings, lasting)
        return
    with state.owned(), ExitStack() as ending:
        state.end()
        ending.enter_context(watched(state))
        servers = choose_servers(settings, state, note, advertised_port=advertised_port)
        stack = _start(servers, state, ending, owner=os.getpid(), keep_data=keep_data)
        yield stack


def lasting_stack(settings: Settings, directory: Path, *, note: Callable[[str], None] = _quiet) -> Running:
    """Servers that stay until `end_stack`. Calling it again returns those that run. Raises ConfigurationError."""
    state = StateDirectory(directory)
    running = _alive(state)
    if running is not None and running.owner is None:
        return running
    with state.owned(), ExitStack() as failing:
        state.end()
        _start(choose_servers(settings, state, note), state, failing, owner=None, keep_data=True)
        failing.pop_all()
    started = state.read()
    assert started is not None
    return started


def running_stack(directory: Path) -> Running | None:
    """What runs for the directory."""
    return _alive(StateDirectory(directory))


def end_stack(directory: Path) -> bool:
    """Ends what runs for the directory, its owner first; false when nothing did."""
    state = StateDirectory(directory)
    owner = state.owner()
    if owner is not None:
        # The lock says that it runs: no other process has got its id.
        end_other(owner, "", signal.SIGTERM)
    with state.owned(ending=True):
        return state.end() or owner is not None


def _alive(state: StateDirectory) -> Running | None:
    running = state.read()
    return running if running is not None and running.is_alive else None


def _start(
    servers: tuple[Server, Server], state: StateDirectory, ending: ExitStack, *, owner: int | None, keep_data: bool
) -> Stack:
    """Starts both, Kafka and PostgreSQL, and writes down how they are ended. `ending` gets what undoes it."""
    kafka, postgres = servers
    started: list[Server] = []

    def record() -> None:
        state.write(
            Running(
                owner=owner,
                keep_data=keep_data,
                kafka_bootstrap_servers=kafka.address if kafka in started else "",
                database_url=postgres.address if postgres in started else "",
                # Both: a container can be found by its label before it is known.
                servers=[remains for server in (kafka, postgres) if (remains := server.remains()) is not None],
            )
        )

    record()
    ending.callback(state.end)
    for server in (postgres, kafka):
        server.start()
        started.append(server)
        ending.callback(_stop, server)
        record()
    return Stack(kafka=_Recorded(kafka, record), postgres=_Recorded(postgres, record))


def _stop(server: Server) -> None:
    if server.remains() is not None:
        server.stop()


class _Recorded:
    """A server whose restarts are written down: it has another process id then."""

    def __init__(self, server: Server, record: Callable[[], None]) -> None:
        self._server = server
        self._record = record
        self.name = server.name

    @property
    def address(self) -> str:
        return self._server.address

    def start(self) -> None:
        self._server.start()
        self._record()

    def stop(self) -> None:
        self._server.stop()
        self._record()

    def pause(self) -> None:
        self._server.pause()

    def resume(self) -> None:
        self._server.resume()

    def remains(self) -> Remains | None:
        return self._server.remains()


def _stack_of(settings: Settings, running: Running) -> Stack:
    given = settings.database_url.get_secret_value()
    return Stack(
        kafka=GivenServer(KAFKA, settings.kafka_bootstrap_servers or running.kafka_bootstrap_servers),
        postgres=GivenServer(POSTGRESQL, given or running.database_url),
    )
