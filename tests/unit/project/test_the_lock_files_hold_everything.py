"""A stranger's environment is the one that was tested, from whatever index their machine uses."""

import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.tidy import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WANTED = {
    "requirements.lock": PROJECT["project"]["dependencies"],
    "requirements-dev.lock": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["dev"],
        # Built without isolation, so that no index is asked for a build backend.
        *PROJECT["build-system"]["requires"],
    ],
}
LOCKS = list(WANTED)


def entries(lock: str) -> Iterator[tuple[str, list[str]]]:
    """(requirement, its hashes) of each entry."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    for line in filter(None, text.splitlines()):
        requirement, *hashes = line.split("--hash=")
        yield requirement.strip(), [found.strip() for found in hashes]


def pinned(lock: str) -> dict[str, list[Version]]:
    """Name -> its versions, one for each environment that the lock tells apart."""
    found: dict[str, list[Version]] = {}
    for text, _ in entries(lock):
        requirement = Requirement(text)
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        found.setdefault(canonicalize_name(requirement.name), []).append(Version(specifier.version))
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_locked_in_a_version_that_fits(lock: str) -> None:
    locked = pinned(lock)

    for wanted in map(Requirement, WANTED[lock]):
        versions = locked.get(canonicalize_name(wanted.name))
        assert versions, f"{wanted.name} is not in {lock}; renew it with: make lock"
        assert all(version in wanted.specifier for version in versions), f"{wanted} is not what {lock} has"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_has_hashes(lock: str) -> None:
    for requirement, hashes in entries(lock):
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", found) for found in hashes), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_no_address_of_an_index_is_written_down(lock: str) -> None:
    text = (ROOT / lock).read_text()

    assert "://" not in text
    assert [line for line in text.splitlines() if line.lstrip().startswith(("#", "-")) and "--hash" not in line] == []


def test_what_runs_in_production_was_tested_in_the_same_version() -> None:
    runs, tested = pinned("requirements.lock"), pinned("requirements-dev.lock")

    assert {name: versions for name, versions in runs.items() if tested.get(name) != versions} == {}
