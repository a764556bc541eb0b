"""Links lead somewhere, files that are named are there, and no file names the machine it was made on."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tidy import ROOT, files

PAGES = [path for path in files() if path.suffix == ".md"]
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:services|sql|schemas|deploy|tests|docs|bench)/[\w./-]*\w/?)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# Bracketed here and there, so that this file does not hold what it looks for.
FOREIGN = {
    "a path of one machine": r"/(?:work|root|home/\w+|Users/\w+)/\w|/tmp[/]plan",
    "an index or its option": r"--(?:extra-)?index[-]url|--find[-]links|--trusted[-]host",
    "a registry's host": r"(?:pypi|pythonhosted|maven\.org/maven2|registry\.npmjs|docker\.io|ghcr\.io|quay\.io)[./]\w",
    "an address of a private network": r"\b(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\b",
}


def anchors(page: Path) -> set[str]:
    """As a forge makes them from headings."""
    headings = HEADING.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_are_there(page: Path) -> None:
    named = PATH.findall(page.read_text(encoding="utf-8"))

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("what", FOREIGN)
def test_no_file_names_the_machine_it_was_made_on(what: str) -> None:
    assert list(_found(re.compile(FOREIGN[what]))) == []


def _found(pattern: re.Pattern[str]) -> Iterator[str]:
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.search(line):
                yield f"{path.relative_to(ROOT)}:{number}"
