"""`make test-tools`: Prometheus' own tool on our rules and on what the services really expose."""

import subprocess
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from services.common.metrics import Metrics
from services.common.settings import Settings
from services.common.topics import WORKERS, Topics
from tests.support.tidy import ROOT

pytestmark = pytest.mark.tools

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = [str(path) for path in sorted((PROMETHEUS / "rules").glob("*.yml"))]
UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))


def promtool(*arguments: str, stdin: bytes = b"") -> str:
    """What it prints; a missing promtool fails with what to do."""
    try:
        done = subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, check=False, timeout=60)
    except FileNotFoundError:
        pytest.fail("promtool is missing: sudo bash deploy/apt-packages.sh", pytrace=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def test_the_rules_are_rules() -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)

    assert said.count("SUCCESS") == len(RULES)


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", str(path))


def test_the_scrape_configuration_is_one() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


@pytest.mark.parametrize("service", ["gateway", *WORKERS, "operations"])
def test_what_a_service_exposes_has_no_lint(service: str) -> None:
    metrics = Metrics(service, Topics.of(Settings()))

    assert promtool("check", "metrics", stdin=generate_latest(metrics.registry)).strip() == ""
