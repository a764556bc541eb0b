"""`make test-tools`: Prometheus' own tool on our rules. The test of panels gives it what services expose."""

from pathlib import Path

import pytest

from tests.support.promtool import promtool
from tests.support.tidy import ROOT

pytestmark = pytest.mark.tools

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = [str(path) for path in sorted((PROMETHEUS / "rules").glob("*.yml"))]
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))


def test_the_rules_are_rules() -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)

    assert said.count("SUCCESS") == len(RULES)


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", str(path))


def test_the_scrape_configuration_is_one() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
