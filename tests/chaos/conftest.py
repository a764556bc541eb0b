"""`--seeds N`: seeds 1 to N; `--seed S`: that one. Without either: a short cut of the matrix."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.settings import Settings
from services.sandbox.ports import free_ports
from services.sandbox.stack import Stack, temporary_stack

# Hands of few faults that end soon, for every run of the tests.
QUICK_SEEDS = (1, 2)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=0, help="how many seeds, from 1 on")
    parser.addoption("--seed", type=int, default=0, help="this seed only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", _seeds(metafunc.config))


def _seeds(config: pytest.Config) -> tuple[int, ...]:
    # Not known when the whole suite runs: pytest reads options from the folders that it is started with.
    one, many = config.getoption("--seed", 0), config.getoption("--seeds", 0)
    if one:
        return (one,)
    return tuple(range(1, many + 1)) if many else QUICK_SEEDS


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether seeds were asked for: then more load and more faults."""
    return bool(request.config.getoption("--seed", 0) or request.config.getoption("--seeds", 0))


@pytest.fixture(scope="session")
def proxied_kafka_port() -> int:
    """Where Kafka says that it is: each test puts a proxy there."""
    (port,) = free_ports(1)
    return port


@pytest.fixture(scope="session")
def own_stack(tmp_path_factory: pytest.TempPathFactory, proxied_kafka_port: int) -> Iterator[Stack]:
    """Servers that nobody else uses, since they are stopped and killed."""
    directory: Path = tmp_path_factory.mktemp("chaos")
    settings = Settings.from_environment(kafka_bootstrap_servers=None, database_url="", stack="process")
    with temporary_stack(settings, directory / "stack", advertised_port=proxied_kafka_port) as stack:
        yield stack
