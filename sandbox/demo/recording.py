"""What happened, moment by moment? The samples of the demo, read back from Prometheus and on the trace's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controller.core.decide import Decision
from controller.core.series import Series
from sandbox.demo import scene
from sandbox.prometheus import Prometheus
from sandbox.replay import Replay
from training.simulate import Capacity

GRID = timedelta(seconds=15)  # of the trace: the pace of an HPA
WINDOW = timedelta(minutes=5)  # what the query's rate() averages over
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the cluster at `wall` time."""

    wall: datetime
    ready: int
    desired: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """Steps of GRID on the trace's clock, all shape [n], loads in requests per second of wall time.

    `load`: what really came. `metric`: what the query showed of it. `median`, `upper`: the forecast for the moment, as
    it stood a lead time before; NaN where there was none.
    """

    load: Series
    metric: Series
    capacity: Capacity
    median: Floats
    upper: Floats


def steepest(decisions: Sequence[Decision]) -> Decision:
    """The one that added most replicas, the first of several. What is sampled may be a tick or two later."""
    return max(decisions, key=lambda decision: decision.replicas - decision.current)


def record(replay: Replay, samples: list[Sample], prometheus: Prometheus) -> Recording:
    """Everything between the first and the last sample."""
    start, end = (replay.moment_at(samples[index].wall) for index in (0, -1))
    count = (end - start) // GRID
    moments = [start + index * GRID for index in range(count + 1)]
    load = _rate(replay, moments, GRID)
    lead = f"{(scene.LEAD + scene.INTERVAL).total_seconds():g}"
    return Recording(
        load=Series(end=moments[-1], step=GRID, values=load),
        metric=Series(end=moments[-1], step=GRID, values=_rate(replay, moments, WINDOW)),
        capacity=_capacity(replay, samples, moments),
        median=_forecast(replay, prometheus, moments, lead, 0.5),
        upper=_forecast(replay, prometheus, moments, lead, scene.QUANTILE),
    )


def write_csv(recording: Recording, file: Path) -> None:
    """The recording for whoever wants to judge it differently; times are of the trace."""
    capacity, load = recording.capacity, recording.load
    columns = (
        load.values,
        recording.metric.values,
        recording.median,
        recording.upper,
        capacity.desired,
        capacity.ready,
    )
    with file.open("w", encoding="utf-8") as out:
        out.write("time,load,metric,forecast_median,forecast_upper,desired,ready\n")
        for index, row in enumerate(zip(*columns, strict=True)):
            time = load.start + (index + 1) * load.step
            out.write(f"{time.isoformat()},{','.join(f'{value:.6g}' for value in row)}\n")


def _rate(replay: Replay, moments: list[datetime], window: timedelta) -> Floats:
    """Requests per second of wall time over `window` of the trace, for each step that ends at moments[1:]."""
    ends = np.array([moment.timestamp() for moment in moments[1:]])
    totals = replay.trace.totals_at(ends) - replay.trace.totals_at(ends - window.total_seconds())
    return totals / replay.shrink(window).total_seconds()


def _capacity(replay: Replay, samples: list[Sample], moments: list[datetime]) -> Capacity:
    """The last sample before each step; a step's load meets what was ready at its beginning."""
    taken = [replay.moment_at(sample.wall) for sample in samples]
    last = np.searchsorted(taken, moments[:-1], side="right") - 1  # type: ignore[call-overload]  # datetimes sort
    return Capacity(
        ready=np.array([samples[index].ready for index in last]),
        desired=np.array([samples[index].desired for index in last]),
    )


def _forecast(replay: Replay, prometheus: Prometheus, moments: list[datetime], lead: str, level: float) -> Floats:
    """What was forecast a lead before each step's end."""
    expression = f'predictive_scaler_forecast_load{{scaler="{scene.NAME}",level="{level:g}",lead="{lead}"}}'
    ahead = timedelta(seconds=float(lead))
    wall = [replay.wall_at(moment) - ahead for moment in moments[1:]]
    step = replay.shrink(GRID)
    answer = np.full(len(wall), np.nan)
    for series in prometheus.query_range(expression, wall[0], wall[-1], step):
        for at, value in series["values"]:
            answer[round((float(at) - wall[0].timestamp()) / step.total_seconds())] = float(value)
    return answer
