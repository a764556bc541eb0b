"""One figure for a dashboard: its rows in order, its panels side by side as their widths allow."""

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from deploy.grafana.panels import Page, Panel
from tests.pictures.units import as_text

Labels = Mapping[str, str]
# A series: its labels, and its (seconds since the start, value).
Series = tuple[Labels, Sequence[tuple[float, float]]]
Drawn = Mapping[str, Sequence[tuple[str, Sequence[Series]]]]

_COLUMNS = 4
_WIDTHS = {"stat": 1, "lines": 2, "stack": 2, "heat": 2}
_HEIGHTS = {"stat": 1.0, "lines": 2.2, "stack": 2.2, "heat": 2.2}
_TITLE_HEIGHT = 0.35
_GOOD, _BAD, _QUIET, _INK = "#2e7d4f", "#c0392b", "#8a8f98", "#22262b"
_COLOURS = (
    "#3b6ea5",
    "#d98b2b",
    "#5a9a68",
    "#b5526a",
    "#7a68a6",
    "#3c9d9b",
    "#9c6b3f",
    "#6b7580",
    "#a3b13a",
    "#c26fb0",
)
_SERIES_MAX = 9
# As wide as the axes, or it would make them narrower.
_LEGEND_CHARACTERS, _HANDLE_CHARACTERS = 92, 8
_GAP_S = 3.0
Line = Sequence[Panel]


def draw(page: Page, drawn: Drawn, path: Path) -> None:
    lines = [(title, line) for title, panels in page.rows for title, line in _lines_of(title, panels)]
    heights = [height for title, line in lines for height in (*([_TITLE_HEIGHT] if title else []), _height(line))]
    figure = Figure(figsize=(13, 0.9 + 1.25 * sum(heights)), dpi=90)
    figure.set_layout_engine("constrained", h_pad=0.09, w_pad=0.08)
    figure.suptitle(f"{page.title}: {page.description}", x=0.01, ha="left", fontsize=13, color=_INK, weight="bold")
    grid = figure.add_gridspec(len(heights), _COLUMNS, height_ratios=heights)
    row = 0
    for title, line in lines:
        if title:
            heading = figure.add_subplot(grid[row, :])
            heading.axis("off")
            heading.text(0, 0, title, fontsize=12, color=_INK, weight="bold", va="bottom")
            heading.axhline(-0.1, color="#d8dbe0", linewidth=1)
            heading.set_ylim(-0.2, 1)
            row += 1
        column = 0
        for panel in line:
            width = _WIDTHS[panel.kind]
            _draw_panel(figure.add_subplot(grid[row, column : column + width]), panel, drawn[panel.title])
            column += width
        row += 1
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


def _lines_of(title: str, panels: Sequence[Panel]) -> list[tuple[str, Line]]:
    """Panels that fit beside each other; the title stands above the first of them."""
    lines: list[list[Panel]] = [[]]
    for panel in panels:
        if sum(_WIDTHS[other.kind] for other in lines[-1]) + _WIDTHS[panel.kind] > _COLUMNS:
            lines.append([])
        lines[-1].append(panel)
    return [(title if number == 0 else "", line) for number, line in enumerate(lines)]


def _height(line: Line) -> float:
    return max(_HEIGHTS[panel.kind] for panel in line)


def _draw_panel(axes: Axes, panel: Panel, asked: Sequence[tuple[str, Sequence[Series]]]) -> None:
    question = textwrap.wrap(panel.question, 46 if panel.kind == "stat" else 92)
    axes.set_title(panel.title, loc="left", fontsize=9.5, color=_INK, weight="bold", pad=6 + 9 * len(question))
    axes.annotate(
        "\n".join(question),
        (0, 1),
        (0, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=7.5,
        color=_QUIET,
    )
    series = [(_named(legend, labels), values) for legend, found in asked for labels, values in found]
    if panel.kind == "stat":
        _stat(axes, panel, series)
    elif panel.kind == "heat":
        _heat(axes, panel, asked[0][1])
    else:
        _graph(axes, panel, series)


def _named(legend: str, labels: Labels) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend).strip()


def _stat(axes: Axes, panel: Panel, series: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> None:
    axes.axis("off")
    if not series:
        axes.text(0.5, 0.4, "no data", ha="center", fontsize=14, color=_QUIET)
        return
    last = series[0][1][-1][1]
    axes.text(0.5, 0.38, as_text(last, panel.unit), ha="center", va="center", fontsize=24, color=_colour(panel, last))


def _colour(panel: Panel, value: float) -> str:
    is_bad = (panel.limit is not None and value >= panel.limit) or (panel.floor is not None and value < panel.floor)
    return _BAD if is_bad else _GOOD


def _graph(axes: Axes, panel: Panel, series: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> None:
    # What is always 0 is named in the legend by Grafana; here it would hide what is not.
    moving = sorted(series, key=lambda one: -max(value for _, value in one[1]))[:_SERIES_MAX]
    moving = [one for one in moving if any(value for _, value in one[1])] or moving[:1]
    if panel.kind == "stack":
        _stack(axes, moving)
    else:
        for (name, points), colour in zip(moving, _COLOURS, strict=False):
            axes.plot(*zip(*_broken(points), strict=True), label=name, color=colour, linewidth=1.4)
    # Of nothing but zeros matplotlib would make much.
    top = axes.get_ylim()[1] if any(value for _, points in moving for _, value in points) else 1.0
    axes.set_ylim(0, top)
    for limit in (panel.limit, panel.floor):
        if limit is not None and limit <= 3 * top:
            axes.axhline(limit, color=_BAD, linewidth=1, linestyle="--")
    _dress(axes, panel.unit)
    if moving:
        columns = max(1, min(4, _LEGEND_CHARACTERS // (max(len(name) for name, _ in moving) + _HANDLE_CHARACTERS)))
        axes.legend(fontsize=7, ncols=columns, loc="upper left", bbox_to_anchor=(0, -0.1), frameon=False)


def _broken(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """With a hole where there was nothing to see: a line across it would be a tale."""
    drawn = list(points[:1])
    for (before, _), point in pairwise(points):
        if point[0] - before > _GAP_S:
            drawn.append((before, math.nan))
        drawn.append(point)
    return drawn


def _stack(axes: Axes, series: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> None:
    times = sorted({at for _, points in series for at, _ in points})
    heights = [[dict(points).get(at, 0.0) for at in times] for _, points in series]
    axes.stackplot(times, heights, labels=[name for name, _ in series], colors=_COLOURS, alpha=0.75)


def _heat(axes: Axes, panel: Panel, series: Sequence[Series]) -> None:
    """Buckets hold all that is below their edge; a cell shows what lies between two of them."""
    finite = sorted((float(labels["le"]), dict(values)) for labels, values in series if labels["le"] != "+Inf")
    times = sorted({at for _, values in finite for at in values})
    below = [[values.get(at, 0.0) for at in times] for _, values in finite]
    cells = [
        [max(0.0, up - down) for up, down in zip(row, before, strict=True)]
        for row, before in zip(below, [[0.0] * len(times), *below], strict=False)
    ]
    axes.pcolormesh(times, range(len(finite)), cells, cmap="Blues", shading="nearest")
    axes.set_yticks(range(len(finite)), [as_text(edge, panel.unit) for edge, _ in finite])
    _dress(axes, None)


def _dress(axes: Axes, unit: str | None) -> None:
    axes.tick_params(labelsize=7.5, colors=_QUIET, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#d8dbe0")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{int(at) // 60}:{int(at) % 60:02}"))
    if unit is not None:
        axes.grid(axis="y", color="#eceef1", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: as_text(value, unit)))
