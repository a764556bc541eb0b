"""Whatever the machine lacks: exit code 2, nothing on stdout, and one sentence that says what to do."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.stacks import coursepay, own_environment, processes_of


async def _sentence(tmp_path: Path, environment: Mapping[str, str]) -> str:
    code, output, errors = await coursepay(
        "stack",
        "up",
        "--json",
        "--directory",
        str(tmp_path / "stack"),
        environment={**own_environment(), **environment},
    )
    assert (code, output) == (2, ""), errors
    assert not processes_of(tmp_path / "stack")
    started, sentence = errors.splitlines()
    assert started.startswith("starting Kafka and PostgreSQL")
    assert "Traceback" not in errors
    return sentence


def _tool(directory: Path, name: str, script: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


def _link(directory: Path, name: str) -> None:
    found = shutil.which(name)
    assert found is not None, f"this test needs {name}"
    directory.mkdir(exist_ok=True)
    (directory / name).symlink_to(Path(found).resolve())


async def test_no_java(tmp_path: Path) -> None:
    sentence = await _sentence(tmp_path, {"PATH": str(tmp_path)})
    assert sentence.startswith("Java 17 or newer is needed for Kafka and was not found; install it, or set COURSEPAY_")


@pytest.mark.parametrize(("version", "shown"), [("11.0.2", "11"), ("1.8.0_392", "8")])
async def test_an_old_java(tmp_path: Path, version: str, shown: str) -> None:
    _tool(tmp_path / "bin", "java", f"""echo 'openjdk version "{version}" 2019-01-15' >&2""")
    sentence = await _sentence(tmp_path, {"PATH": str(tmp_path / "bin")})
    assert f"{tmp_path}/bin/java is version {shown}" in sentence


async def test_no_maven(tmp_path: Path) -> None:
    _link(tmp_path / "bin", "java")
    cache = {"COURSEPAY_CACHE_DIRECTORY": str(tmp_path / "cache")}
    sentence = await _sentence(tmp_path, {"PATH": str(tmp_path / "bin"), **cache})
    assert sentence.startswith("Maven is needed to fetch Kafka and PostgreSQL and was not found; install it, or set")


async def test_a_download_that_fails(tmp_path: Path) -> None:
    _link(tmp_path / "bin", "java")
    colours = r"\033[1;31mERROR\033[m"
    _tool(
        tmp_path / "bin",
        "mvn",
        f"""printf '[{colours}] Could not transfer artifact: Connection refused -> [Help 1]\\n[{colours}] Re-run\\n'
        exit 1""",
    )
    cache = tmp_path / "cache"
    sentence = await _sentence(tmp_path, {"PATH": str(tmp_path / "bin"), "COURSEPAY_CACHE_DIRECTORY": str(cache)})
    assert sentence == "Maven could not fetch the servers: Could not transfer artifact: Connection refused"
    # Nothing that looks complete.
    assert [path.name for path in cache.iterdir()] == ["lock"]


async def test_docker_wanted_without_an_engine(tmp_path: Path) -> None:
    nowhere = {"COURSEPAY_STACK": "docker", "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    sentence = await _sentence(tmp_path, nowhere)
    assert sentence == "COURSEPAY_STACK=docker, but no Docker engine answers; start one, or unset it"


async def test_a_state_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "stack").write_text("a file")
    assert "cannot be made" in await _sentence(tmp_path, {})


async def test_a_word_that_is_no_kind_of_stack(tmp_path: Path) -> None:
    environment = {**own_environment(), "COURSEPAY_STACK": "podman"}
    code, output, errors = await coursepay("stack", "up", "--directory", str(tmp_path), environment=environment)
    assert (code, output) == (2, "")
    assert errors.startswith("COURSEPAY_STACK: ")
