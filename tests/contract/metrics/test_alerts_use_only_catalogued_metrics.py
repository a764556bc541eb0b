"""A renamed metric or a misspelt label would silence an alert without a word."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.promql import grouped_by, labels_in, unknown_in
from tests.support.tidy import ROOT

RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
SEED = {
    "CoursepayPurchaseFailures": "> 0.01",
    "CoursepayAssignmentFailures": "> 0.05",
    "CoursepayRetryBacklog": "> 100",
    "CoursepayConfirmationSlow": "> 2",
}


def alerts() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


ALERTS = list(alerts())
NAMES = [alert["alert"] for alert in ALERTS]


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_every_name_label_and_value_is_catalogued(alert: dict[str, Any]) -> None:
    assert list(unknown_in(alert["expr"])) == []


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_what_is_grouped_by_or_written_about_is_there(alert: dict[str, Any]) -> None:
    grouped = grouped_by(alert["expr"])
    made = set(re.findall(r"label_replace\(.*?\), \"(\w+)\"", alert["expr"], re.DOTALL))
    written = {name for text in alert["annotations"].values() for name in re.findall(r"\$labels\.(\w+)", text)}

    assert grouped <= labels_in(alert["expr"])
    assert written <= grouped | made


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_every_alert_says_what_it_is_and_where_to_read_on(alert: dict[str, Any]) -> None:
    page, anchor = alert["annotations"]["runbook_url"].split("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)

    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    assert alert["alert"] in headings
    assert anchor == alert["alert"].lower()


def test_the_runbook_has_no_page_for_an_alert_that_is_gone() -> None:
    headings = re.findall(r"^## (Coursepay\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)

    assert sorted(headings) == sorted(NAMES)


@pytest.mark.parametrize(("name", "threshold"), SEED.items())
def test_the_promised_thresholds_are_the_ones_promised(name: str, threshold: str) -> None:
    expressions = [alert["expr"] for alert in ALERTS if alert["alert"] == name]

    assert len(expressions) == 1
    assert expressions[0].strip().endswith(threshold)


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_seen_to_fire_by_a_unit_test(name: str) -> None:
    tested = [
        test
        for path in sorted(Path(ROOT / "deploy" / "prometheus" / "tests").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["tests"]
        for test in group["alert_rule_test"]
        if test["alertname"] == name
    ]

    assert any(test["exp_alerts"] for test in tested)
