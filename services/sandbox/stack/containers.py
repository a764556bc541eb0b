"""The servers on Docker, through testcontainers; their ports are open on this machine's loopback address only,
and their data ends with them.

testcontainers' own reaper is off: it is one more image to fetch, and the watcher does its work. Containers carry the
state directory as a label, so that they are found also when their owner died before it could write anything down.
"""

from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from services.common.errors import ConfigurationError
from services.common.topic_admin import broker_answers
from services.sandbox.ports import free_ports
from services.sandbox.stack.broker import BEHAVIOUR
from services.sandbox.stack.engine import KAFKA_IMAGE, LABEL, POSTGRES_IMAGE, remove_containers
from services.sandbox.stack.postgres import answers
from services.sandbox.stack.server import KAFKA, POSTGRESQL, Remains, mark_of
from services.sandbox.stack.waiting import wait_until

testcontainers_config.ryuk_disabled = True

_HOST = "127.0.0.1"
_START_S = 120.0
_ANSWER_S = 2.0
_STOP_S = 10
_PORT_TRIES = 3
_LAST_LINES = 8
_TAKEN = ("port is already allocated", "address already in use")


class _Container(ABC):
    """A container with one published port, which stays the same when it is stopped and started again."""

    name: str
    image: str
    inner_port: int

    def __init__(self, directory: Path) -> None:
        self._mark = mark_of(directory)
        self._port: int | None = None
        self._container: Any = None

    @property
    def port(self) -> int:
        assert self._port is not None
        return self._port

    @property
    @abstractmethod
    def address(self) -> str: ...

    def start(self) -> None:
        if self._container is None:
            self._create()
        else:
            self._container.start()
        if not wait_until(self._answers, within_s=_START_S):
            raise ConfigurationError(f"{self.name} did not start; the end of its log:\n{self._last_lines()}")

    def stop(self) -> None:
        self.resume()
        self._container.stop(timeout=_STOP_S)

    def pause(self) -> None:
        self._container.pause()

    def resume(self) -> None:
        # The engine refuses for one that is not paused.
        with suppress(APIError):
            self._container.unpause()

    def remains(self) -> Remains | None:
        return Remains(name=self.name, kind="container", mark=self._mark)

    def _create(self) -> None:
        for tries_left in reversed(range(_PORT_TRIES)):
            (self._port,) = free_ports(1)
            container = DockerContainer(self.image).with_kwargs(labels={LABEL: self._mark})
            # testcontainers' own method would open the port on every address of this machine.
            container.ports[f"{self.inner_port}/tcp"] = (_HOST, self._port)
            self._configure(container)
            try:
                container.start()
            except DockerException as error:
                remove_containers(self._mark)
                # Somebody else took the port meanwhile.
                if tries_left and any(words in str(error) for words in _TAKEN):
                    continue
                raise ConfigurationError(f"Docker could not start {self.name}: {error}") from None
            self._container = container.get_wrapped_container()
            return

    @abstractmethod
    def _configure(self, container: DockerContainer) -> None: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def _last_lines(self) -> str:
        return str(self._container.logs(tail=_LAST_LINES).decode(errors="replace"))


class KafkaContainer(_Container):
    name = KAFKA
    image = KAFKA_IMAGE
    inner_port = 9092

    @property
    def address(self) -> str:
        return f"{_HOST}:{self.port}"

    def _configure(self, container: DockerContainer) -> None:
        listeners = {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENERS": "PLAINTEXT://:9092,INSIDE://:19092,CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{self.address},INSIDE://localhost:19092",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
        }
        behaviour = {f"KAFKA_{name.replace('.', '_').upper()}": value for name, value in BEHAVIOUR.items()}
        container.with_envs(**listeners, **behaviour, KAFKA_HEAP_OPTS="-Xms256m -Xmx768m")

    def _answers(self) -> bool:
        return broker_answers(self.address, _ANSWER_S)


class PostgresContainer(_Container):
    name = POSTGRESQL
    image = POSTGRES_IMAGE
    inner_port = 5432

    @property
    def address(self) -> str:
        return f"postgresql://coursepay:coursepay@{_HOST}:{self.port}/postgres"

    def _configure(self, container: DockerContainer) -> None:
        container.with_envs(POSTGRES_USER="coursepay", POSTGRES_DB="postgres")
        # The port is open on loopback only.
        container.with_env("POSTGRES_PASSWORD", "coursepay")
        container.with_command("postgres -c max_connections=300 -c timezone=UTC")

    def _answers(self) -> bool:
        return answers(self.address)
