"""docs/engine.md says which test shows what: each of them is there."""

import re

from tests.support.tidy import ROOT, files

PAGE = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")
SECTIONS = ("What it can do, and what shows it", "Holes that are closed", "Known pitfalls of such engines")
TEST = re.compile(r"^ *(?:async )?def test_(\w+)", re.MULTILINE)
# A name of a test is a sentence.
NAME = re.compile(r"`(\w+_\w+_\w+|\w+_away)`")


def rows(section: str) -> list[str]:
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("| ")][1:]


def test_each_named_test_exists() -> None:
    tests = [path for path in files() if path.name.startswith("test_") and path.suffix == ".py"]
    known = {path.stem.removeprefix("test_") for path in tests}
    known |= {name for path in tests for name in TEST.findall(path.read_text(encoding="utf-8"))}
    named = {name for section in SECTIONS for row in rows(section) for name in NAME.findall(row)}
    assert len(named) > 50
    assert named - known == set()


def test_each_row_says_why_or_names_a_test() -> None:
    silent = [
        row
        for section in SECTIONS
        for row in rows(section)
        if not NAME.search(row.rsplit(" | ", 1)[-1]) and "impossible" not in row and "`" not in row
    ]
    assert silent == []
