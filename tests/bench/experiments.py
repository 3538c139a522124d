"""How often does an experiment find a difference where there is none, and how soon where there is one?

`python -m tests.bench.experiments [nasa|twitter]…`: a few minutes. Not a test; `tests/core/test_comparison.py` holds
the first on made-up loads. Each seed is a scaler with a start of its own, and so with coins of its own, on a public
trace by the minute. In an A/A test both arms decide alike, so one replay serves all seeds (`tests/core/test_arms.py`
holds that).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from controller.core.arms import decide_in_turn, shown
from controller.core.comparison import Comparison, compared
from controller.core.decide import decide
from controller.core.experiment import Arm, Plan, Sight, Tally, begun, tallied
from controller.core.memory import Memory, Steering
from controller.core.policy import Policy
from controller.core.series import Observation, Sample, Series
from controller.forecaster import load_model
from controller.spec import parse
from training.datasets import load
from training.datasets.request import Request
from training.simulate.foresight import Forecasts

SEEDS, REAL_SEEDS = 200, 20
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LONGEST = 35 * DAY  # of a trace; the last ones of NASA's hold both outages
CHECKPOINTS = (16, 24, 48, 96)  # windows
HOUR = timedelta(hours=1)
PHASES = (timedelta(0), timedelta(minutes=23))  # of the grid that windows of A/A tests lie on
MEAN_REPLICAS = 8.0
OBJECTIVES: tuple[dict[str, object], ...] = ({}, {"objective": {"underProvisionedTime": "1%"}})
_MODEL = Path(__file__).parents[2] / "models" / "default.onnx"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A load by the minute (per second), what a model said of it, and the rules."""

    name: str
    metric: Series
    foresight: Forecasts
    policy: Policy

    def observed(self, index: int) -> Observation:
        """What was known at the beginning of minute `index`."""
        now, value = self.time(index), float(self.metric.values[index - 1])
        latest = Sample(time=now, value=value) if np.isfinite(value) else None
        return Observation(history=self.foresight.at(now)[0], latest=latest)

    def time(self, index: int) -> datetime:
        """When minute `index` begins."""
        return self.metric.start + index * MINUTE


def scenes(trace: str) -> list[Scene]:
    """A public trace under the defaults of the spec, deciding each minute, eight replicas on average, by objective."""
    minutes, steps = (_read(trace, MINUTE), _read(trace, 5 * MINUTE))
    metric = replace(minutes, values=minutes.values / 60.0).tail(min(len(minutes), LONGEST // MINUTE))
    each = float(np.nanmean(metric.values)) / MEAN_REPLICAS
    spec = {
        "targetRef": {"name": "web"},
        "maxReplicas": 100,
        "metric": {"prometheus": {"query": "q"}, "targetPerReplica": f"{each:.6g}"},
        "intervalSeconds": 60,
    }
    since = metric.start + 3 * DAY
    foresight = Forecasts.of(
        load_model(_MODEL), steps, UTC, since=since, reach=timedelta(minutes=30), unit=5 * MINUTE.total_seconds()
    )
    return [
        Scene(name=trace, metric=metric, foresight=foresight, policy=parse(spec | objective).policy)
        for objective in OBJECTIVES
    ]


def alone(scene: Scene, arm: Arm) -> list[Sight]:
    """What is seen each minute while one arm decides all the time."""
    memory, size, sights = Memory(), round(MEAN_REPLICAS), []
    for index in range(1, len(scene.metric)):
        now, observation = scene.time(index), scene.observed(index)
        forecast = shown(arm, scene.foresight.at(now)[1])
        decision, memory = decide(now, observation, forecast, size, scene.policy, memory)
        ready = memory.smallest_since(now - scene.policy.window) or 0
        sights.append(Sight(now=now, load=decision.demand.seen, size=size, ready=ready))
        size = decision.replicas
    return sights


def unequal(scene: Scene, plan: Plan, seed: int) -> Iterator[Comparison | None]:
    """The comparison at each checkpoint of an experiment that begins after a day in which the forecast decides."""
    first = _first(scene, plan, seed)
    memory, size, experiment = Memory(), round(MEAN_REPLICAS), None
    checkpoints = list(CHECKPOINTS)
    for index in range(first - DAY // MINUTE, len(scene.metric)):
        now, observation = scene.time(index), scene.observed(index)
        forecast = scene.foresight.at(now)[1]
        if index < first:
            decision, memory = decide(now, observation, forecast, size, scene.policy, memory)
        else:
            experiment = experiment or begun(now, f"seed {seed}", plan, memory.steering)
            while checkpoints and now >= experiment.start + checkpoints[0] * plan.window_length:
                checkpoints.pop(0)
                yield compared(scene.policy, experiment, now)
            decision, memory, experiment = decide_in_turn(
                now, observation, forecast, size, scene.policy, memory, experiment
            )
        if not checkpoints:
            return
        size = decision.replicas


def tallies(scene: Scene, plan: Plan, sights: Sequence[Sight], phase: timedelta) -> tuple[datetime, tuple[Tally, ...]]:
    """All windows of the trace, one after the other, and when the first of them begins."""
    first = phase // MINUTE
    endless = replace(plan, windows=len(sights) * MINUTE // plan.window_length)
    experiment = begun(sights[first].now, "endless", endless, Steering())
    for sight in sights[first:]:
        experiment = tallied(scene.policy, experiment, sight)
    return experiment.start, experiment.tallies


def equal(scene: Scene, plan: Plan, grid: tuple[datetime, tuple[Tally, ...]], seed: int) -> Iterator[Comparison | None]:
    """The comparison at each checkpoint of an A/A test that begins with one of the windows of the trace."""
    start, windows = grid
    first = int(np.random.default_rng(seed).integers(0, len(windows) - plan.windows))
    begin = start + first * plan.window_length
    chosen = windows[first : first + plan.windows]
    experiment = replace(begun(begin, f"seed {seed}", plan, Steering()), tallies=chosen)
    for count in CHECKPOINTS:
        yield compared(scene.policy, experiment, begin + count * plan.window_length)


def _first(scene: Scene, plan: Plan, seed: int) -> int:
    """A minute from the fifth day on, from which all windows fit into the trace."""
    last = len(scene.metric) - 2 - CHECKPOINTS[-1] * (plan.window_length // MINUTE)
    return int(np.random.default_rng(seed).integers(4 * DAY // MINUTE, last))


def _read(trace: str, step: timedelta) -> Series:
    data = f"public:{trace}"
    return load(Request(data=data, step=step, season=DAY, now=datetime(2026, 1, 1, tzinfo=UTC))).series


def _plan(length: timedelta, *arms: Arm) -> Plan:
    return Plan(windows=CHECKPOINTS[-1], window_length=length, arms=(arms[0], arms[-1]))


def _objective(scene: Scene) -> str:
    return "none" if scene.policy.objective is None else f"{scene.policy.objective:.0%}"


def _tell_equal(console: Console, scene: Scene) -> None:
    title = f"{scene.name}, objective {_objective(scene)}: of {SEEDS} A/A tests, how many find a difference"
    table = Table("arm", "window", *(f"{count} windows" for count in CHECKPOINTS), title=title)
    for arm in Arm:
        sights = alone(scene, arm)
        for length in (HOUR / 2, HOUR):
            plan = _plan(length, arm)
            grids = [tallies(scene, plan, sights, phase) for phase in PHASES]
            found = [
                [_is_found(one) for one in equal(scene, plan, grids[seed % len(grids)], seed)] for seed in range(SEEDS)
            ]
            shares = np.array(found).mean(axis=0)
            table.add_row(arm.value, str(length), *(f"{share:.1%}" for share in shares))
    console.print(table)


def _tell_unequal(console: Console, scene: Scene) -> None:
    title = f"{scene.name}, objective {_objective(scene)}: of {REAL_SEEDS} A/B tests, how many find a difference"
    cells = (f"{count} windows" for count in CHECKPOINTS)
    table = Table("window", *cells, "replica-hours an hour", "under-provisioned", title=title)
    plan = _plan(HOUR, Arm.REACTIVE, Arm.PREDICTIVE)
    made = [list(unequal(scene, plan, seed)) for seed in range(REAL_SEEDS)]
    shares = np.array([[_is_found(one) for one in checkpoints] for checkpoints in made]).mean(axis=0)
    table.add_row(str(HOUR), *(f"{share:.0%}" for share in shares), *_means([each[-1] for each in made]))
    console.print(table)


def _is_found(comparison: Comparison | None) -> bool:
    return comparison is not None and comparison.is_significant


def _means(comparisons: Sequence[Comparison | None]) -> tuple[str, str]:
    """Reactive -> predictive, over all seeds."""
    known = [one for one in comparisons if one is not None]
    hours = np.mean([(one.replica_hours.first, one.replica_hours.second) for one in known], axis=0)
    short = np.mean([(one.under_provisioned.first, one.under_provisioned.second) for one in known], axis=0)
    return f"{hours[0]:.2f} -> {hours[1]:.2f}", f"{short[0]:.2%} -> {short[1]:.2%}"


def main(traces: Sequence[str]) -> None:
    console = Console(width=140)
    for trace in traces or ("nasa", "twitter"):
        for scene in scenes(trace):
            _tell_equal(console, scene)
            _tell_unequal(console, scene)


if __name__ == "__main__":
    main(sys.argv[1:])
