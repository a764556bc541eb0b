"""`make sbom`: each package of the lock with its version and hashes, in a form that scanners for known faults read."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from packaging.utils import canonicalize_name

from tests.support.tidy import ROOT

_RECIPE = re.compile(
    r"^\t\$\(BIN\)/(cyclonedx-py requirements .*?) --output-file build/sbom\.cdx\.json$", re.MULTILINE | re.DOTALL
)
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\;]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401 - JSON
    (recipe,) = _RECIPE.findall((ROOT / "Makefile").read_text())
    command, *arguments = recipe.replace("\\\n", " ").split()
    path = tmp_path_factory.mktemp("sbom") / "sbom.json"
    binary = Path(sys.executable).with_name(command)
    subprocess.run([binary, *arguments, "--output-file", path], cwd=ROOT, check=True, capture_output=True, timeout=120)
    return orjson.loads(path.read_bytes())


def test_it_is_cyclonedx_about_us(bill: Any) -> None:  # noqa: ANN401
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "coursepay"


def test_every_locked_package_is_in_it_with_a_hash_and_nothing_else_is(bill: Any) -> None:  # noqa: ANN401
    locked = {
        (canonicalize_name(name), version)
        for name, version in _PINNED.findall((ROOT / "requirements.lock").read_text())
    }

    assert {(canonicalize_name(one["name"]), one["version"]) for one in bill["components"]} == locked
    for one in bill["components"]:
        assert one["purl"].startswith("pkg:pypi/")
        (distribution,) = [found for found in one["externalReferences"] if found["type"] == "distribution"]
        assert {found["alg"] for found in distribution["hashes"]} == {"SHA-256"}
