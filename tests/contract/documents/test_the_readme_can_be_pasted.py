"""What README.md tells a newcomer to type is what `make up` prints."""

import re
from types import SimpleNamespace
from typing import cast

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
