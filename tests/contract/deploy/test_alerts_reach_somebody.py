"""The example of an Alertmanager's configuration sends each of our alerts to somebody, with a link to open."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.support.tidy import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
EXAMPLE: dict[str, Any] = yaml.safe_load((PROMETHEUS / "alertmanager.example.yml").read_text())
ALERTS: list[dict[str, Any]] = [
    rule
    for path in sorted((PROMETHEUS / "rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
_MATCHER = re.compile(r'(\w+) (=~?) "([^"]*)"')


def matches(matchers: list[str], labels: Mapping[str, str]) -> bool:
    """As Alertmanager does; a matcher of another shape fails the test."""
    parsed = [_MATCHER.fullmatch(matcher) for matcher in matchers]
    assert all(parsed), matchers
    return all(
        re.fullmatch(one[3] if one[2] == "=~" else re.escape(one[3]), labels.get(one[1], "")) for one in parsed if one
    )


def receiver_of(labels: Mapping[str, str]) -> str:
    route: dict[str, Any] = EXAMPLE["route"]
    routes = (route["receiver"] for route in route["routes"] if matches(route["matchers"], labels))
    return str(next(routes, route["receiver"]))


def test_a_page_wakes_somebody_and_a_ticket_does_not() -> None:
    heard = {alert["labels"]["severity"]: receiver_of(alert["labels"]) for alert in ALERTS}

    assert heard == {"page": "pages", "ticket": "tickets"}
    assert {receiver["name"] for receiver in EXAMPLE["receivers"]} == set(heard.values())


def test_what_holds_another_alert_back_exists_and_so_does_the_other() -> None:
    names = [alert["alert"] for alert in ALERTS]
    for rule in EXAMPLE["inhibit_rules"]:
        for matchers in (rule["source_matchers"], rule["target_matchers"]):
            assert len([name for name in names if matches(matchers, {"alertname": name})]) == 3


def test_every_receiver_is_told_where_the_page_can_be_read() -> None:
    for receiver in EXAMPLE["receivers"]:
        assert re.search(r"https://[^{\s]+/\{\{ \.Annotations\.runbook_url \}\}", str(receiver)), receiver["name"]
    assert all(alert["annotations"]["runbook_url"].startswith("docs/") for alert in ALERTS)
