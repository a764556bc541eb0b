"""What README.md tells a newcomer to type is what `make up` prints, and names commands that exist."""

import re
from types import SimpleNamespace
from typing import cast

from typer.main import get_command

from services.cli import app
from services.sandbox.demo.guide import curl_lines
from services.sandbox.demo.system import System
from tests.support.tidy import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_curl_lines_are_those_that_make_up_prints() -> None:
    # Of a system, the lines need its two addresses.
    system = cast(System, SimpleNamespace(gateway_url="http://127.0.0.1:8080", sandbox_url="http://127.0.0.1:8090"))
    printed = list(curl_lines(system, coursepay=".venv/bin/coursepay", start_date="'$START'"))

    assert "\n".join(printed) in README
    assert re.search(r"^START=\$\(.*timedelta\(7\)\)'\)$", README, re.MULTILINE)


def test_every_command_that_a_page_names_exists() -> None:
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    named = {name for page in pages for name in re.findall(r"(?:`|bin/)coursepay ([a-z]+)", page.read_text())}

    assert named
    assert named <= known
