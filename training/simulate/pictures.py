"""What does a simulation look like? Load and capacity over time, and what less risk costs, as inline SVG.

Must not compute what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.dates as mdates
import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series
from training.drawing import INK, OWN, RIVALS, drawn, frame, style
from training.measures import Floats
from training.simulate.capacity import Capacity
from training.simulate.frontier import Frontier
from training.simulate.study import AWS_PREDICTIVE, AWS_TRACKING, HPA, ORACLE, PREDICTIVE, STATIC

_COLOURS = {
    PREDICTIVE: OWN,
    HPA: RIVALS[0],
    STATIC: RIVALS[1],
    ORACLE: RIVALS[2],
    AWS_PREDICTIVE: "#c2415b",
    AWS_TRACKING: "#b5a02a",
}
_MOST = 1500  # columns of a line; more cannot be told apart
_RISKIEST = 20.0  # %; nobody wants to see more of it
_NEVER = 1e-5  # where "never" is on a logarithmic axis


def span(load: Series, capacities: Mapping[str, Capacity], per_replica: float, zone: Any) -> str:  # noqa: ANN401  # for matplotlib
    """The load's highest value and each capacity's lowest, over so many columns as can be told apart."""
    with style():
        figure, (axes,) = frame(11, 3.6)
        every = max(1, -(-len(load) // _MOST))
        ends = [load.start + min(place + every, len(load)) * load.step for place in range(0, len(load), every)]
        times = mdates.date2num(ends)  # type: ignore[no-untyped-call]  # half typed
        axes.fill_between(
            times, _by(np.fmax, load.values, every), color=INK, alpha=0.25, lw=0, step="pre", label="load"
        )
        for name, capacity in capacities.items():
            ready = _by(np.minimum, capacity.ready * per_replica, every)
            width = 1.5 if name == PREDICTIVE else 0.9
            axes.step(times, ready, where="pre", color=_COLOURS[name], lw=width, label=f"{name}, ready")
        locator = mdates.AutoDateLocator(tz=zone)  # type: ignore[no-untyped-call]  # half typed
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator, tz=zone))  # type: ignore[no-untyped-call]
        axes.margins(x=0, y=0.15)  # above the lines is the legend's place
        axes.set_ylim(bottom=0)
        axes.set_ylabel("load a second")
        axes.legend(loc="upper left", fontsize=8, ncols=5)
        return drawn(figure)


def frontiers(found: Mapping[str, Frontier], shown: Mapping[str, tuple[float, float]], fixed: float) -> str:
    """Replica-hours by the share of short time; `shown`: (share, hours) of the policies in the table."""
    with style():
        figure, (axes,) = frame(11, 3.6)
        for name, frontier in found.items():
            risks = [point.score.under_provisioned for point in frontier.points]
            spent = [point.score.replica_hours for point in frontier.points]
            order = np.argsort(risks)
            line = _percent([risks[place] for place in order]), [spent[place] for place in order]
            axes.plot(*line, color=_COLOURS[name], lw=1.4, marker=".", ms=5, label=name)
        for name, (share, hours) in shown.items():
            axes.plot(*_percent([share]), hours, color=_COLOURS[name], marker="o", ms=9, mfc="none", ls="")
        axes.axhline(fixed, color=_COLOURS[STATIC], lw=1, ls=":", label="static, never short")
        axes.set_xscale("log")
        axes.set_xlim(right=_RISKIEST)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(f"% of the time short; at the left edge ({_NEVER * 100:g} %) never")
        axes.set_ylabel("replica-hours")
        axes.legend(fontsize=8)
        return drawn(figure)


def _percent(shares: Sequence[float]) -> list[float]:
    return [max(share, _NEVER) * 100 for share in shares]


def _by(together: np.ufunc, values: NDArray[np.floating[Any]], every: int) -> Floats:
    """One value for each `every`, NaN where none is known."""
    padded = np.pad(values, (0, -len(values) % every), mode="edge")
    found: Floats = together.reduce(padded.reshape(-1, every), axis=1)
    return found
