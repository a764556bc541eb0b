"""Each `coursepay ...` that a page tells to type is read by the command line itself, options and arguments; each
`make ...` has its target. What the commands do is tested where the page is: this finds a renamed option.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from services.cli import app
from tests.support.tidy import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND_LINE = get_command(app)
_CODE = re.compile(r"^ *```(\w*)\n(.*?)^ *```|`([^`]+)`", re.MULTILINE | re.DOTALL)
_COURSEPAY = re.compile(r"(?<![\w./-])(?:\.venv/bin/)?coursepay (?=[a-z])")
_MAKE = re.compile(r"(?:^|[\s;`])make ([a-z-]+)")
_ENDS = frozenset("();<>|&")
# What the words in capitals stand for, and files that a line before has made.
_FILLED = {
    "WORKER": "purchase-worker",
    "PARTITION:OFFSET": "0:7",
    "RUN": "00000000-0000-0000-0000-000000000000",
    "FILE": "README.md",
    "plan.json": "README.md",
}


def code_of(page: Path) -> Iterator[tuple[str, bool]]:
    """What is set as code, and whether it is lines to type rather than part of a sentence."""
    for language, block, inline in _CODE.findall(page.read_text(encoding="utf-8")):
        if inline:
            yield " ".join(inline.split()), False
        elif language == "sh":
            yield block, True


def lines_of(page: Path) -> Iterator[tuple[list[str], bool]]:
    """The words after `coursepay`, and whether they are to be typed as they stand."""
    for code, typed in code_of(page):
        for line in code.splitlines():
            for found in _COURSEPAY.finditer(line):
                yield words_of(line[found.end() :]), typed


def words_of(text: str) -> list[str]:
    """Of a shell, up to the end of the command."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    while (word := lexer.get_token()) is not None and not set(word) <= _ENDS:
        words.append(_FILLED.get(word, word))
    return words


def understood(words: list[str], *, typed: bool) -> str:
    """Which command it is. Raises TyperException for an option or an argument that it does not have, or lacks."""
    command, context, rest = COMMAND_LINE, typer.Context(COMMAND_LINE, info_name="coursepay"), words
    while isinstance(command, TyperGroup) and rest:
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, typer.Context(found, info_name=name, parent=context)
    # In a sentence `coursepay dlq plan` names the command, and `coursepay dlq` all of them.
    if rest or typed:
        assert not isinstance(command, TyperGroup), f"which of {context.command_path}?"
        command.make_context(context.info_name, list(rest), parent=context.parent)
    return context.command_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_command_line_understands_every_line(page: Path) -> None:
    wrong = []
    for words, typed in lines_of(page):
        try:
            understood(words, typed=typed)
        except TyperException as error:
            wrong.append(f"coursepay {shlex.join(words)}: {error.format_message()}")
    assert wrong == []


def test_the_pages_tell_of_most_commands() -> None:
    told = {understood(words, typed=typed) for page in PAGES for words, typed in lines_of(page)}

    assert {"coursepay dlq replay", "coursepay migrate", "coursepay keys create", "coursepay topics apply"} <= told


@pytest.mark.parametrize(
    "line",
    [
        "dlq replays",
        "dlq replay purchase-worker --canari 10",
        "dlq show purchase-worker",
        "migrate now",
        "token --role",
    ],
)
def test_a_line_that_is_wrong_is_found(line: str) -> None:
    with pytest.raises(TyperException):
        understood(words_of(line), typed=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_make_has_every_target(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for code, _ in code_of(page) for target in _MAKE.findall(code)}

    assert named <= targets
