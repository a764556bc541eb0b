"""The committed dashboards are those of deploy/grafana/; each panel says what it is for and asks for what exists."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from deploy.grafana.generate import DIRECTORY, path_of, render
from deploy.grafana.pages import PAGES
from deploy.grafana.panels import Page
from tests.support.promql import grouped_by, labels_in, metrics_in, unknown_in
from tests.support.tidy import ROOT

COUNTERS = re.compile(r"\w+_(?:total|count|bucket|sum)\b")
UNITS = {"s", "short", "percentunit", "reqps", "ops", "bytes"}
ALERTS = {
    rule["alert"]
    for path in (ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
}


def panels() -> Iterator[Any]:
    for page in PAGES:
        for panel in json.loads(path_of(page).read_text())["panels"]:
            if panel["type"] != "row":
                yield pytest.param(panel, id=f"{page.uid}: {panel['title']}")


PANELS = list(panels())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_what_is_committed_is_what_the_code_draws(page: Page) -> None:
    assert path_of(page).read_text(encoding="utf-8") == render(page), "renew it with: make dashboards"


def test_nothing_else_is_committed() -> None:
    assert sorted(DIRECTORY.iterdir()) == sorted(path_of(page) for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.uid)
def test_a_dashboard_leads_to_the_others_and_is_not_changed_by_hand(page: Page) -> None:
    drawn = json.loads(path_of(page).read_text())
    (variable,) = drawn["templating"]["list"]

    assert drawn["editable"] is False
    assert drawn["description"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    assert [link["tags"] for link in drawn["links"]] == [drawn["tags"]]


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_is_for(panel: dict[str, Any]) -> None:
    named = re.findall(r"Alert: (\w+)", panel["description"])

    assert panel["title"]
    assert "?" in panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
    assert panel["targets"]
    assert set(named) <= ALERTS


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_for_what_the_catalogue_has(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        expression = target["expr"]
        legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))

        assert list(unknown_in(expression)) == []
        assert grouped_by(expression) <= labels_in(expression)
        assert legend <= grouped_by(expression), "a legend of labels that the query drops is empty"


@pytest.mark.parametrize("panel", PANELS)
def test_counters_are_shown_as_rates_only(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        rates = re.findall(r"(?:rate|increase)\(([a-z_]+)(?:\{[^}]*\})?\[([^\]]+)\]\)", target["expr"])
        counters = [name for name in metrics_in(target["expr"]) if COUNTERS.fullmatch(name)]

        assert sorted(name for name, _ in rates) == sorted(counters)
        assert {window for _, window in rates} <= {"$__rate_interval", "$__range", "1h"}
