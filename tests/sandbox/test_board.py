"""The shipped dashboard is drawn with what Prometheus answers to its own queries."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from sandbox.controller import CHART
from sandbox.demo import board

pytestmark = pytest.mark.slow

DASHBOARD = CHART / "dashboards" / "predictive-scaler.json"
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
SPAN = board.Span(
    start=START,
    end=START + timedelta(minutes=4),
    variables={"namespace": "shop", "scaler": "web", "lead": "7"},
)


class Answering:
    """A Prometheus that has two series for everything, or none, and remembers what was asked."""

    def __init__(self, *, is_empty: bool = False) -> None:
        self.asked: list[str] = []
        self._is_empty = is_empty

    def query_range(self, expression: str, start: datetime, end: datetime, step: timedelta) -> list[dict[str, Any]]:
        self.asked.append(expression)
        times = [start.timestamp() + second for second in (0, 60, 120)]
        labels = [{"rule": "Load", "reason": "Scaling"}, {"rule": "Rate", "reason": "Paused"}]
        values = [[time, str(value)] for time, value in zip(times, (1.0, math.nan, 0.0), strict=True)]
        return [] if self._is_empty else [{"metric": each, "values": values} for each in labels]


@pytest.mark.parametrize("is_empty", [False, True])
def test_every_panel_of_the_dashboard_can_be_drawn(tmp_path: Path, is_empty: bool) -> None:
    file, prometheus = tmp_path / "board.png", Answering(is_empty=is_empty)
    board.draw(DASHBOARD, prometheus, SPAN, file)  # type: ignore[arg-type]  # as much as is used
    targets = [each for panel in json.loads(DASHBOARD.read_text())["panels"] for each in panel.get("targets", [])]
    assert file.read_bytes().startswith(b"\x89PNG")
    assert len(prometheus.asked) == len(targets) > 20


def test_what_is_asked_has_no_variable_left(tmp_path: Path) -> None:
    prometheus = Answering()
    board.draw(DASHBOARD, prometheus, SPAN, tmp_path / "board.png")  # type: ignore[arg-type]  # as much as is used
    assert not any("$" in asked for asked in prometheus.asked)
    assert any('lead="7"' in asked and "offset 7s" in asked for asked in prometheus.asked)
    assert any("[240s:5s]" in asked for asked in prometheus.asked)


def test_a_band_is_filled_down_to_the_line_that_is_named() -> None:
    axes = Figure().subplots()
    panel = {"fieldConfig": {"defaults": {}, "overrides": [_override("upper", "custom.fillBelowTo", "lower")]}}
    lines = [
        board.Line(name="upper", times=(0, 1), values=(3, 4)),
        board.Line(name="lower", times=(0, 1), values=(1, 2)),
    ]
    board._graph(axes, panel, lines)
    (band,) = axes.collections
    edge = np.asarray(band.get_paths()[0].vertices).tolist()
    assert [point for point in ([0, 1], [0, 3], [1, 2], [1, 4]) if point not in edge] == []


def _override(name: str, id_: str, value: object) -> dict[str, Any]:
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": id_, "value": value}]}


def test_the_last_number_that_is_known_counts() -> None:
    assert board.Line(name="", times=(0, 1, 2), values=(1.0, 2.0, math.nan)).last == 2.0
    assert math.isnan(board.Line(name="", times=(), values=()).last)


@pytest.mark.parametrize(("unit", "value", "words"), [("percentunit", 0.25, "25%"), ("bytes", 1.3e8, "130 MB")])
def test_an_axis_says_its_unit(unit: str, value: float, words: str) -> None:
    axes = Figure().subplots()
    panel = {"fieldConfig": {"defaults": {"unit": unit}, "overrides": []}}
    board._graph(axes, panel, [board.Line(name="one", times=(0, 60), values=(0.0, value))])
    assert axes.yaxis.get_major_formatter()(value, 0) == words
    assert axes.xaxis.get_major_formatter()(60, 0) == "60 s"


@pytest.mark.parametrize(
    ("lines", "expected"), [([], ["No data"]), ([board.Line(name="", times=(0,), values=(1,))], [])]
)
def test_a_panel_without_series_says_so(lines: list[board.Line], expected: list[str]) -> None:
    axes = Figure().subplots()
    board._graph(axes, {"fieldConfig": {"defaults": {}, "overrides": []}}, lines)
    assert [text.get_text() for text in axes.texts] == expected
