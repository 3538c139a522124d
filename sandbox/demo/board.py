"""What would Grafana show of this? The shipped dashboard, its own queries asked of Prometheus, drawn on one page.

No Grafana is needed, and none is imitated in more than what is seen: titles, lines, bands, numbers and states.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, PercentFormatter, ScalarFormatter

from sandbox.prometheus import Prometheus

COLUMNS = 24
INCHES_WIDE = 20.0
INCHES_A_ROW = 0.42
MOST_LINES = 12
HEADING, SMALL = 11, 7
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_COLORS = {"light-blue": "#8ab8ff", "rgba(140, 140, 140, 0.7)": "#8c8c8c"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What is shown: from `start` to `end`, with the variables' values."""

    start: datetime
    end: datetime
    variables: Mapping[str, str]

    @property
    def step(self) -> timedelta:
        """About as many points as a panel is wide."""
        return (self.end - self.start) / 240

    def filled(self, text: str) -> str:
        """With each variable's value in its place."""
        seconds = {"__range": (self.end - self.start).total_seconds(), "__interval": 5.0, "__rate_interval": 5.0}
        values = {**self.variables, **{name: f"{value:.0f}s" for name, value in seconds.items()}}
        return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One series of a panel: its name, and its values by the seconds since the start."""

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def last(self) -> float:
        """The newest value that is known."""
        return next((value for value in reversed(self.values) if math.isfinite(value)), math.nan)


def draw(dashboard: Path, prometheus: Prometheus, span: Span, file: Path) -> None:
    """Write a PNG of all panels, where they stand."""
    panels = json.loads(dashboard.read_text())["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = Figure(figsize=(INCHES_WIDE, rows * INCHES_A_ROW), dpi=80)
    for panel in panels:
        axes = figure.add_axes(_place(panel["gridPos"], rows))
        if panel["type"] == "row":
            axes.text(0.0, 0.3, panel["title"], fontsize=HEADING, weight="bold")
            axes.axis("off")
        else:
            axes.set_title(span.filled(panel["title"]), fontsize=SMALL + 1, loc="left")
            _DRAWN[panel["type"]](axes, panel, list(_lines(panel, prometheus, span)))
    figure.savefig(file)


def _place(grid: Mapping[str, int], rows: int) -> tuple[float, float, float, float]:
    """Left, bottom, width and height as shares of the page, with room for titles and ticks."""
    left, height = grid["x"] / COLUMNS + 0.03, grid["h"] / rows
    bottom = 1.0 - grid["y"] / rows - height
    return left, bottom + 0.22 * height, grid["w"] / COLUMNS - 0.04, 0.6 * height


def _lines(panel: Json, prometheus: Prometheus, span: Span) -> Iterator[Line]:
    for target in panel["targets"]:
        found = prometheus.query_range(span.filled(target["expr"]), span.start, span.end, span.step)
        for series in found[:MOST_LINES]:
            labels = series["metric"]
            name = _LABEL.sub(lambda at, labels=labels: labels.get(at[1], ""), target.get("legendFormat", ""))  # type: ignore[misc]  # one series at a time
            times = tuple(float(time) - span.start.timestamp() for time, _ in series["values"])
            yield Line(name=name, times=times, values=tuple(float(value) for _, value in series["values"]))


def _graph(axes: Axes, panel: Json, lines: Sequence[Line]) -> None:
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    by_name = {line.name: line for line in lines}
    is_stacked = custom.get("stacking", {}).get("mode") == "normal"
    for line in lines:
        look = _look(panel, line.name)
        style = "--" if "custom.lineStyle" in look else "-"
        color = look.get("color", {}).get("fixedColor")
        drawn = "steps-post" if is_stacked else "default"
        (made,) = axes.plot(
            line.times, line.values, style, label=line.name, color=_COLORS.get(color, color), lw=1.2, drawstyle=drawn
        )
        below = by_name.get(look.get("custom.fillBelowTo", ""))
        if below is not None:
            known = dict(zip(below.times, below.values, strict=True))
            lower = [known.get(time, math.nan) for time in line.times]
            axes.fill_between(line.times, lower, line.values, alpha=0.2, color=made.get_color())
    if any(line.name for line in lines):
        axes.legend(fontsize=SMALL - 1, loc="upper left", ncols=3, framealpha=0.6)
    if panel["fieldConfig"]["defaults"].get("min") == 0:
        axes.set_ylim(bottom=0)
    if not any(line.times for line in lines):
        axes.text(0.5, 0.5, "No data", ha="center", va="center", fontsize=SMALL + 1, transform=axes.transAxes)
    axes.yaxis.set_major_formatter(_ticks(panel["fieldConfig"]["defaults"].get("unit", "")))
    axes.xaxis.set_major_formatter("{x:g} s")
    axes.tick_params(labelsize=SMALL - 1)
    axes.grid(alpha=0.3)


def _ticks(unit: str) -> Formatter:
    """How the numbers of an axis are written, by the panel's unit in Grafana's words."""
    if unit == "percentunit":
        return PercentFormatter(xmax=1.0, decimals=0)
    return EngFormatter(unit="B") if unit == "bytes" else ScalarFormatter()


def _look(panel: Json, name: str) -> Json:
    """What the panel says of the series of this name."""
    overrides = panel["fieldConfig"]["overrides"]
    found = (one["properties"] for one in overrides if one["matcher"]["options"] == name)
    return {each["id"]: each["value"] for properties in found for each in properties}


def _number(axes: Axes, panel: Json, lines: Sequence[Line]) -> None:
    if panel["options"].get("textMode") == "name":
        text = lines[-1].name if lines else "No data"
    else:
        percent = panel["fieldConfig"]["defaults"]["unit"] == "percentunit"
        text = (f"{lines[0].last:.1%}" if percent else f"{lines[0].last:g}") if lines else "No data"
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=HEADING, wrap=True)
    axes.set_xticks([])
    axes.set_yticks([])


def _timeline(axes: Axes, _: Json, lines: Sequence[Line]) -> None:
    """A row of points for each series, green where it is 1."""
    for row, line in enumerate(lines):
        colors = ["green" if value == 1.0 else "red" for value in line.values]
        axes.scatter(line.times, [row] * len(line.times), c=colors, marker="|", s=60)
        axes.text(0.01, (row + 0.8) / len(lines), line.name, transform=axes.transAxes, fontsize=SMALL - 1, va="center")
    axes.set_yticks([])
    axes.xaxis.set_major_formatter("{x:g} s")
    axes.tick_params(axis="x", labelsize=SMALL - 1)
    axes.set_ylim(-0.5, max(len(lines), 1) - 0.5)
    axes.set_facecolor("none")


_DRAWN: Mapping[str, Callable[[Axes, Json, Sequence[Line]], None]] = {
    "timeseries": _graph,
    "stat": _number,
    "state-timeline": _timeline,
}
