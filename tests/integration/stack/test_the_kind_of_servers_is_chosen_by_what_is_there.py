"""Given addresses, else Docker when it can serve at once, else processes; a setting forces one of the last two."""

import sys
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.sandbox.stack import engine
from services.sandbox.stack.choice import choose_servers
from services.sandbox.stack.server import Server
from services.sandbox.stack.state import StateDirectory


def _chosen(tmp_path: Path, **settings: object) -> tuple[tuple[Server, Server], list[str]]:
    """The servers, and what the caller was told."""
    notes: list[str] = []
    own = {"stack": None, "kafka_bootstrap_servers": None, "database_url": "", **settings}
    servers = choose_servers(Settings.from_environment(**own), StateDirectory(tmp_path / "stack"), notes.append)
    return servers, notes


def _kinds(servers: tuple[Server, Server]) -> list[str]:
    return [type(server).__name__ for server in servers]


def _engine_has(monkeypatch: pytest.MonkeyPatch, *missing: str, answers: bool = True) -> None:
    monkeypatch.setattr(engine, "engine_answers", lambda: answers)
    monkeypatch.setattr(engine, "missing_images", lambda: list(missing))


def test_an_engine_with_both_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _engine_has(monkeypatch)
    servers, notes = _chosen(tmp_path)
    assert _kinds(servers) == ["KafkaContainer", "PostgresContainer"]
    assert not notes


def test_an_engine_without_an_image_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _engine_has(monkeypatch, "postgres:15")
    servers, notes = _chosen(tmp_path)
    assert _kinds(servers) == ["KafkaProcess", "PostgresProcess"]
    assert notes == [
        "Docker answers, but has no image postgres:15: using local processes (COURSEPAY_STACK=docker pulls it)"
    ]


def test_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _engine_has(monkeypatch, answers=False)
    servers, notes = _chosen(tmp_path)
    assert _kinds(servers) == ["KafkaProcess", "PostgresProcess"]
    assert not notes


def test_processes_on_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _engine_has(monkeypatch)
    servers, _ = _chosen(tmp_path, stack="process")
    assert _kinds(servers) == ["KafkaProcess", "PostgresProcess"]


def test_one_given_server_and_one_of_ours(tmp_path: Path) -> None:
    servers, _ = _chosen(tmp_path, stack="process", kafka_bootstrap_servers="127.0.0.1:9")
    assert _kinds(servers) == ["GivenServer", "PostgresProcess"]
    servers, _ = _chosen(tmp_path, stack="process", database_url="postgresql://127.0.0.1:9/x")
    assert _kinds(servers) == ["KafkaProcess", "GivenServer"]


def test_without_the_library_there_is_no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a development dependency: an installation for production lacks it."""
    import services.sandbox.stack as package

    monkeypatch.delattr(package, "engine", raising=False)
    monkeypatch.delitem(sys.modules, "services.sandbox.stack.engine")
    monkeypatch.setitem(sys.modules, "docker", None)
    servers, _ = _chosen(tmp_path)
    assert _kinds(servers) == ["KafkaProcess", "PostgresProcess"]
    with pytest.raises(ConfigurationError, match="COURSEPAY_STACK=docker needs the package testcontainers"):
        _chosen(tmp_path, stack="docker")


def test_an_image_that_cannot_be_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_registry(image: str) -> None:
        raise OSError(f"no route to the registry of {image}")

    _engine_has(monkeypatch, "postgres:15")
    monkeypatch.setattr(engine, "_pull", no_registry)
    with pytest.raises(ConfigurationError, match="the image postgres:15 could not be pulled"):
        _chosen(tmp_path, stack="docker")
