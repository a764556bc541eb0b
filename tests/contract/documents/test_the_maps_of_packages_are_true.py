"""A package's docstring is the map for who opens it first."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.tidy import service_modules

MAPS = {
    module.path.parent: ast.get_docstring(module.tree) or ""
    for module in service_modules()
    if module.name.endswith("/__init__")
}
SHARED = [folder for folder in MAPS if folder.name in {"common", "engine"}]


@pytest.mark.parametrize("folder", MAPS, ids=lambda folder: folder.name)
def test_files_that_it_names_are_there(folder: Path) -> None:
    named = re.findall(r"(?<![/\w])([a-z_]+\.py)\b", MAPS[folder])

    assert [name for name in named if not any(folder.rglob(name))] == []


@pytest.mark.parametrize("folder", SHARED, ids=lambda folder: folder.name)
def test_what_services_share_is_mapped_completely(folder: Path) -> None:
    modules = {path.name for path in folder.glob("*.py")} - {"__init__.py"}

    assert [name for name in sorted(modules) if name not in MAPS[folder]] == []
