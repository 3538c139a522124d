"""What does a backtest look like? Pictures as inline SVG that follow the page's colours, light or dark.

Must not compute what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from training.drawing import INK, OWN, RIVALS, drawn, frame, style
from training.findings import Day
from training.measures import Floats, middle

_SHADES = ("#9bd1ff", "#63b0f2", "#2f7ed8", "#3f66c4", "#5a4fb5", "#7d3fa3", "#a1338a", "#c22c6c")
_POINTS = 2000  # of a line; more cannot be told apart
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_GOAL = 2.0  # points
_CHANCE = 1.96  # standard errors


def days(chosen: Mapping[str, Day], levels: Sequence[float]) -> str:
    """A panel for each day, by its heading."""
    with style():
        figure, axes = frame(11, 3.1, len(chosen))
        for each, (heading, day) in zip(axes, chosen.items(), strict=True):
            _panel(each, day, levels)
            each.set_title(heading, fontsize=10)
        axes[0].legend(loc="upper left", fontsize=8)
        return drawn(figure)


def _panel(axes: Any, day: Day, levels: Sequence[float]) -> None:  # noqa: ANN401  # matplotlib is not typed
    hours = (np.arange(len(day.came)) + 0.5) * 24 / len(day.came)
    at = {level: place for place, level in enumerate(levels)}
    for low, high, shade in ((0.05, 0.95, 0.18), (0.25, 0.75, 0.3)):
        if low in at and high in at:
            name = f"{high - low:.0%} band"
            axes.fill_between(
                hours, day.said[:, at[low]], day.said[:, at[high]], color=OWN, alpha=shade, lw=0, label=name
            )
    axes.plot(hours, day.came, color=INK, lw=0.8, label="came")
    axes.plot(hours, middle(day.said.astype(np.float64), np.array(levels)), color=OWN, lw=1.4, label="median")
    axes.set_xticks(range(0, 25, 6))
    axes.set_xlim(0, 24)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("hour of the day")


def by_horizon(rmse: Mapping[str, Floats], minutes: float, floor: float) -> str:
    """A line for each forecast, the model first."""
    with style():
        figure, (axes,) = frame(5.4, 3.2)
        for (name, errors), colour in zip(rmse.items(), (OWN, *RIVALS), strict=False):
            ahead = np.arange(1, len(errors) + 1) * minutes
            axes.plot(ahead, errors, color=colour, lw=1.8 if colour == OWN else 1.2, label=name, marker=".", ms=3)
        if np.isfinite(floor):
            axes.axhline(floor, color=INK, lw=1, ls=":")
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 3, 6, 10]))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("minutes ahead")
        axes.legend(fontsize=8)
        return drawn(figure)


def calibration(levels: Sequence[float], panels: Mapping[str, Mapping[str, Floats]]) -> str:
    """A panel for each way of correcting; in it a line of coverages for each horizon."""
    with style():
        figure, axes = frame(5.4, 3.2, len(panels))
        for each, (heading, lines) in zip(axes, panels.items(), strict=True):
            each.axhspan(-_GOAL, _GOAL, color=INK, alpha=0.08, lw=0)
            for (name, coverage), shade in zip(lines.items(), _SHADES, strict=False):
                points = (coverage - np.array(levels)) * 100
                each.plot(range(len(levels)), points, color=shade, marker=".", ms=5, lw=1.1, label=name)
            each.set_xticks(range(len(levels)), [f"{level * 100:g}" for level in levels], fontsize=8)
            each.set_title(heading, fontsize=10)
            each.set_xlabel("level, %")
        axes[0].set_ylabel("points")
        axes[0].legend(fontsize=7, ncols=2)
        return drawn(figure)


def hours(errors: Mapping[str, Floats]) -> str:
    """A line for each forecast, the model first."""
    with style():
        figure, (axes,) = frame(5.4, 2.8)
        for (name, error), colour in zip(errors.items(), (OWN, *RIVALS), strict=False):
            axes.plot(range(len(error)), error, color=colour, lw=1.6, marker=".", ms=5, label=name)
        axes.set_xticks(range(0, 24, 3))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("hour")
        axes.legend(fontsize=8)
        return drawn(figure)


def weekdays(errors: Mapping[str, Floats]) -> str:
    """A bar for each forecast, the model first."""
    with style():
        figure, (axes,) = frame(5.4, 2.8)
        width = 0.8 / len(errors)
        for place, ((name, error), colour) in enumerate(zip(errors.items(), (OWN, *RIVALS), strict=False)):
            axes.bar(np.arange(7) + (place - (len(errors) - 1) / 2) * width, error, width, color=colour, label=name)
        axes.set_xticks(range(7), _WEEKDAYS)
        axes.grid(visible=False, axis="x")
        axes.legend(fontsize=8)
        return drawn(figure)


def importance(shares: Mapping[str, float]) -> str:
    """A bar for each part of the input, the most important on top."""
    with style():
        figure, (axes,) = frame(5.4, 2.8)
        names = list(shares)[::-1]
        axes.barh(names, [shares[name] * 100 for name in names], color=OWN)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("more loss, %")
        return drawn(figure)


def residuals(correlation: Floats, count: int, season_hours: float) -> str:
    """A line over the lags, with what chance gives."""
    with style():
        figure, (axes,) = frame(5.4, 2.8)
        lags = np.arange(1, len(correlation)) * season_hours / max(1, len(correlation) - 1)
        chance = _CHANCE / np.sqrt(max(1, count))
        axes.axhspan(-chance, chance, color=INK, alpha=0.08, lw=0)
        axes.vlines(lags, 0, correlation[1:], color=OWN, lw=0.9)
        axes.axhline(0, color=INK, lw=0.6)
        axes.set_xlabel("hours apart")
        return drawn(figure)


def open_loop(came: Floats, said: Mapping[str, Floats], hours_in_step: float) -> str:
    """What came and what was said of it at once, the model first."""
    with style():
        figure, (axes,) = frame(11, 2.8)
        every = max(1, len(came) // _POINTS)
        days = np.arange(len(came))[::every] * hours_in_step / 24
        axes.plot(days, came[::every], color=INK, lw=0.5, alpha=0.6, label="came")
        name, own = next(iter(said.items()))
        axes.plot(days, own[::every], color=OWN, lw=1.4, label=name)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("days ahead")
        axes.legend(fontsize=8, loc="upper left")
        return drawn(figure)
