"""Does the upper quantile hold as often as it says, live? `python -m tests.bench.coverage [TRACE…]`.

The shipped default on every public trace, with what the controller itself learns of it: at each step of five minutes
the forecast is corrected, held against the highest load of the window that would be prepared for, and counted once two
days were seen. `live`: the share of those windows that stayed below it, `raw`: without the correction, `told`: the mean
of what `Decision.coverage` said in that time. The model was fitted to the first part of each trace and has not seen the
rest; what is corrected is the same for both. Not a test.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from controller.core.calibration import corrected, coverage, updated
from controller.core.memory import TrackRecord
from controller.core.policy import Policy
from controller.forecaster import Model, load_model
from controller.spec import parse
from training import shipped
from training.simulate.foresight import Forecasts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
LEADS = tuple(timedelta(minutes=minutes) for minutes in (2, 10, 30))
QUANTILES = (0.9, 0.99)
WARM_UP = timedelta(days=2)
POINTS = 0.02  # that live coverage may be off after WARM_UP
_DEFAULT = Path(__file__).parents[2] / "models" / "default.onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """Shares of windows."""

    live: float
    raw: float
    told: float


def heard(model: Model, trace: shipped.Trace) -> Forecasts:
    """What the model said at the end of each step of a trace."""
    dataset = trace.read(STEP, NOW)
    reach = LEADS[-1] + STEP
    return Forecasts.of(model, dataset.series, dataset.zone, since=dataset.series.start + STEP, reach=reach)


def policy(quantile: float, lead: timedelta) -> Policy:
    """The defaults of the spec at a level and a lead time."""
    spec = {
        "targetRef": {"name": "web"},
        "maxReplicas": 10,
        "metric": {"prometheus": {"query": "q"}, "targetPerReplica": 1},
    }
    return replace(parse(spec).policy, quantile=quantile, lead_time=lead)


def covered(said: Forecasts, policy: Policy) -> Covered:
    """How often the highest load of the window was covered, two days on."""
    series, record = said.series, TrackRecord()
    ahead = -(-policy.window // series.step)
    found: list[tuple[bool, bool, float]] = []
    for place in range(said.first, len(series)):
        now = series.start + place * series.step
        history, forecast = said.at(now)
        record = updated(record, history, forecast, policy)
        highest = series.highest(now, now + ahead * series.step)
        if forecast is None or now < series.start + WARM_UP or not np.isfinite(highest):
            continue
        upper = corrected(record, forecast, policy.level)[:ahead].max()
        raw = forecast.at_level(policy.level)[:ahead].max()
        found.append((bool(highest <= upper), bool(highest <= raw), coverage(record) or np.nan))
    live, raw, told = np.nanmean(np.array(found, dtype=np.float64), axis=0)
    return Covered(live=float(live), raw=float(raw), told=float(told))


def main(names: Sequence[str]) -> None:
    model, traces = load_model(_DEFAULT), [one for one in shipped.TRACES if not names or one.name in names]
    headings = [f"{quantile:.0%}, {lead.total_seconds() / 60:.0f} min" for quantile in QUANTILES for lead in LEADS]
    table = Table("trace", *headings, title="Coverage after two days, %: live (raw, told)")
    worst = dict.fromkeys(headings, 0.0)
    for trace in traces:
        said, cells = heard(model, trace), []
        for heading, (quantile, lead) in zip(headings, ((q, one) for q in QUANTILES for one in LEADS), strict=True):
            one = covered(said, policy(quantile, lead))
            worst[heading] = max(worst[heading], abs(one.live - quantile))
            cells.append(f"{one.live * 100:.1f} ({one.raw * 100:.0f}, {one.told * 100:.1f})")
        table.add_row(trace.name.removeprefix("cloudwatch/"), *cells)
    table.add_row("furthest off, points", *(f"{value * 100:.1f}" for value in worst.values()))
    console = Console(width=170)
    console.print(table)
    held = sum(value <= POINTS for value in worst.values())
    console.print(f"within {POINTS * 100:g} points on every trace: {held} of {len(worst)} columns")


if __name__ == "__main__":
    main(sys.argv[1:])
