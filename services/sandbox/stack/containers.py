"""The servers on Docker, through testcontainers. The engine publishes their ports on this machine's loopback address.

testcontainers' own reaper is off: it is one more image to fetch, and the watcher does its work.
"""

from contextlib import suppress
from functools import cache
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound, NotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from services.common.errors import ConfigurationError
from services.common.topic_admin import broker_answers
from services.sandbox.ports import free_ports
from services.sandbox.stack.postgres import answers
from services.sandbox.stack.server import KAFKA, POSTGRESQL, Remains
from services.sandbox.stack.waiting import wait_until

testcontainers_config.ryuk_disabled = True

KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_IMAGE = "postgres:15"
_CALL_S = 60
_START_S = 120.0
_ANSWER_S = 2.0
_STOP_S = 10
_LAST_LINES = 8


class _Container:
    """A container with one published port, which stays the same when it is stopped and started again."""

    name: str

    def __init__(self, image: str, inner_port: int) -> None:
        (self._port,) = free_ports(1)
        self._container = DockerContainer(image).with_bind_ports(inner_port, self._port)
        self._wrapped: Any = None

    @property
    def address(self) -> str:
        raise AssertionError("each kind of server has its own")

    def start(self) -> None:
        if self._wrapped is None:
            self._container.start()
            self._wrapped = self._container.get_wrapped_container()
        else:
            self._wrapped.start()
        if not wait_until(self._answers, within_s=_START_S):
            raise ConfigurationError(f"{self.name} did not start; the end of its log:\n{self._last_lines()}")

    def stop(self) -> None:
        if self._wrapped is not None:
            self._wrapped.stop(timeout=_STOP_S)

    def pause(self) -> None:
        self._wrapped.pause()

    def resume(self) -> None:
        with suppress(DockerException):
            self._wrapped.unpause()

    def remains(self) -> Remains | None:
        if self._wrapped is None:
            return None
        return Remains(name=self.name, kind="container", handle=str(self._wrapped.id), marker="")

    def _answers(self) -> bool:
        raise AssertionError("each kind of server has its own")

    def _last_lines(self) -> str:
        return str(self._wrapped.logs(tail=_LAST_LINES).decode(errors="replace"))


class KafkaContainer(_Container):
    name = KAFKA

    def __init__(self) -> None:
        super().__init__(KAFKA_IMAGE, 9092)
        listeners = {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENERS": "PLAINTEXT://:9092,INSIDE://:19092,CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{self._port},INSIDE://localhost:19092",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
        }
        # As for the local process: see kafka.py.
        behaviour = {
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "8",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
            "KAFKA_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS": "1000",
            "KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS": "9000",
            "KAFKA_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS": "500",
            "KAFKA_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS": "1000",
            "KAFKA_MESSAGE_MAX_BYTES": "2097152",
            "KAFKA_HEAP_OPTS": "-Xms256m -Xmx768m",
        }
        self._container.with_envs(**listeners, **behaviour)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def _answers(self) -> bool:
        return broker_answers(self.address, _ANSWER_S)


class PostgresContainer(_Container):
    name = POSTGRESQL

    def __init__(self) -> None:
        super().__init__(POSTGRES_IMAGE, 5432)
        self._container.with_envs(POSTGRES_USER="coursepay", POSTGRES_PASSWORD="coursepay", POSTGRES_DB="postgres")  # noqa: S106 - of a server on loopback
        self._container.with_command("postgres -c max_connections=300 -c timezone=UTC")

    @property
    def address(self) -> str:
        return f"postgresql://coursepay:coursepay@127.0.0.1:{self._port}/postgres"

    def _answers(self) -> bool:
        return answers(self.address)


def engine_answers() -> bool:
    try:
        return bool(_engine().ping())
    except (DockerException, OSError):
        return False


def missing_images() -> list[str]:
    return [image for image in (KAFKA_IMAGE, POSTGRES_IMAGE) if not _is_local(image)]


def require_images() -> None:
    """Pulls what is missing. Raises ConfigurationError when no engine answers or an image is not to be had."""
    if not engine_answers():
        raise ConfigurationError("COURSEPAY_STACK=docker, but no Docker engine answers; start one, or unset it")
    for image in missing_images():
        try:
            _engine().images.pull(image)
        except (DockerException, OSError) as error:
            raise ConfigurationError(f"the image {image} could not be pulled: {error}") from None


def remove_container(identity: str) -> None:
    """With its data. Nothing happens when it is gone."""
    with suppress(NotFound):
        _engine().containers.get(identity).remove(force=True, v=True)


@cache
def _engine() -> Any:  # noqa: ANN401 - the library has no types
    return docker.from_env(timeout=_CALL_S)


def _is_local(image: str) -> bool:
    try:
        _engine().images.get(image)
    except ImageNotFound:
        return False
    return True
