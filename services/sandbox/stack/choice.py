"""Which kind of servers: those given by address, else Docker where it can serve at once, else local processes."""

from collections.abc import Callable

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.sandbox.stack.artifacts import fetch_artifacts
from services.sandbox.stack.given import GivenServer
from services.sandbox.stack.java import find_java
from services.sandbox.stack.kafka import KafkaProcess
from services.sandbox.stack.postgres import PostgresProcess
from services.sandbox.stack.server import KAFKA, POSTGRESQL, Server
from services.sandbox.stack.state import StateDirectory


def choose_servers(
    settings: Settings, state: StateDirectory, note: Callable[[str], None], *, advertised_port: int | None = None
) -> tuple[Server, Server]:
    """(Kafka, PostgreSQL), not started. `note` gets a sentence when the choice may surprise. `advertised_port`: of a
    proxy in front of Kafka, where that is a process of ours.

    Raises ConfigurationError when what the choice needs is missing.
    """
    kafka: Server | None = None
    postgres: Server | None = None
    if settings.kafka_bootstrap_servers:
        kafka = GivenServer(KAFKA, settings.kafka_bootstrap_servers)
    if settings.database_url.get_secret_value():
        postgres = GivenServer(POSTGRESQL, settings.database_url.get_secret_value())
    if kafka is not None and postgres is not None:
        return kafka, postgres
    if _use_docker(settings, note):
        from services.sandbox.stack import containers

        return (
            kafka or containers.KafkaContainer(state.path / KAFKA),
            postgres or containers.PostgresContainer(state.path / POSTGRESQL),
        )
    find_java()
    artifacts = fetch_artifacts(settings)
    return (
        kafka or KafkaProcess(artifacts.jars, state.part(KAFKA), advertised_port=advertised_port),
        postgres or PostgresProcess(artifacts.postgres, state.part(POSTGRESQL)),
    )


def _use_docker(settings: Settings, note: Callable[[str], None]) -> bool:
    if settings.stack == "process":
        return False
    try:
        # A development dependency; without it there is no Docker for us.
        from services.sandbox.stack import engine
    except ImportError as error:
        if settings.stack == "docker":
            raise ConfigurationError(f"COURSEPAY_STACK=docker needs the package testcontainers ({error})") from None
        return False
    if settings.stack == "docker":
        engine.require_images()
        return True
    if not engine.engine_answers():
        return False
    missing = engine.missing_images()
    if missing:
        note(f"Docker answers, but has no image {missing[0]}: using local processes (COURSEPAY_STACK=docker pulls it)")
    return not missing
