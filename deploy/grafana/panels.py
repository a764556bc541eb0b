"""What a dashboard of coursepay is made of, and how Grafana's Foundation SDK draws it.

Every panel has a title, a question that it answers, a unit and the alert that watches the same thing, if there is one;
so that nobody draws a line whose meaning has to be guessed at night.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from grafana_foundation_sdk.builders import common, heatmap, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
)
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef, Threshold, ThresholdsMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

TAG = "coursepay"
DATASOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
_STAT_WIDTH, _GRAPH_WIDTH = 6, 12
_STAT_HEIGHT, _GRAPH_HEIGHT = 5, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """`queries`: (PromQL, legend). `limit`: above it is bad; `floor`: below it is bad. `alert`: the rule that watches
    it. `unit`: Grafana's word for it, like s, percentunit, short.
    """

    title: str
    question: str
    unit: str
    queries: Sequence[tuple[str, str]]
    kind: Literal["stat", "lines", "stack", "heat"] = "lines"
    limit: float | None = None
    floor: float | None = None
    alert: str | None = None

    @property
    def description(self) -> str:
        watched = f" Alert: {self.alert}, see docs/runbook.md." if self.alert else ""
        return f"{self.question}{watched}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A dashboard: rows in order, each with its panels."""

    uid: str
    title: str
    description: str
    rows: Sequence[tuple[str, Sequence[Panel]]]


def draw(page: Page) -> Dashboard:
    dashboard = (
        Dashboard(page.title)
        .uid(page.uid)
        .description(page.description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("10s")
        .with_variable(DatasourceVariable("datasource").id("datasource").label("Prometheus").type("prometheus"))
        .link(
            DashboardLink(TAG)
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(True)
            .include_vars(True)
            .as_dropdown(False)
        )
    )
    for title, panels in page.rows:
        dashboard = dashboard.with_row(Row(title))
        for panel in panels:
            dashboard = dashboard.with_panel(_draw_panel(panel))
    return dashboard


def _draw_panel(panel: Panel) -> Any:  # noqa: ANN401 - the SDK's builders share no base that has these methods
    drawn = _kinds()[panel.kind](panel)
    drawn = (
        drawn.title(panel.title)
        .description(panel.description)
        .unit(panel.unit)
        .datasource(DATASOURCE)
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(_steps(panel)))
    )
    for number, (expression, legend) in enumerate(panel.queries):
        query = Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + number)).range()
        if "_bucket" in expression and panel.kind != "stat":
            # Dots on the graph, each of which leads to a trace.
            query = query.exemplar(True)
        drawn = drawn.with_target(query.format(PromQueryFormat.HEATMAP) if panel.kind == "heat" else query)
    return drawn


def _kinds() -> dict[str, Any]:
    return {"stat": _stat, "lines": _lines, "stack": _stack, "heat": _heat}


def _stat(_panel: Panel) -> stat.Panel:
    return (
        stat.Panel()
        .span(_STAT_WIDTH)
        .height(_STAT_HEIGHT)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def _lines(panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST)
    drawn = timeseries.Panel().span(_GRAPH_WIDTH).height(_GRAPH_HEIGHT).min(0)
    drawn = drawn.legend(legend.placement(LegendPlacement.BOTTOM).calcs([]))
    if panel.limit is None and panel.floor is None:
        return drawn
    return drawn.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.LINE))


def _stack(panel: Panel) -> timeseries.Panel:
    return _lines(panel).fill_opacity(30).stacking(common.StackingConfig().mode(StackingMode.NORMAL))


def _heat(_panel: Panel) -> heatmap.Panel:
    return heatmap.Panel().span(_GRAPH_WIDTH).height(_GRAPH_HEIGHT)


def _steps(panel: Panel) -> list[Threshold]:
    if panel.floor is not None:
        return [Threshold(value=None, color="red"), Threshold(value=panel.floor, color="green")]
    if panel.limit is not None:
        return [Threshold(value=None, color="green"), Threshold(value=panel.limit, color="red")]
    return [Threshold(value=None, color="green")]
