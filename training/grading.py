"""What grade would a scaler have, had it been watched all along? Mode Observe, tick by tick, over a recorded past.

The same `decide`, shadow and scorecard as in the controller, so that what is said of the past is what mode Observe
would have said. Must not read a metric system, nor print.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from controller.core.decide import decide
from controller.core.forecast import Forecast
from controller.core.memory import Memory
from controller.core.policy import Policy
from controller.core.scorecard import WINDOWS, Scorecard, Tally, Verdict, added, total, verdict
from controller.core.series import Observation, Sample, Series
from controller.core.shadow import Shadow, decided, judged, meet
from training.simulate.engine import Foresight
from training.simulate.policies import reactive

Tell = Callable[[int, int], None]
_TOLD_EVERY = 1000  # ticks


class GradingError(ValueError):
    """What is asked cannot be graded; the message names the option and the cure."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Past:
    """What was recorded: at the end of each step of both, the load (metric's unit) and the workload's replicas.

    Both are on the grid of decisions and end together; NaN where nothing was recorded.
    """

    load: Series
    replicas: Series

    def __post_init__(self) -> None:
        if (self.load.step, self.load.end, len(self.load)) != (
            self.replicas.step,
            self.replicas.end,
            len(self.replicas),
        ):
            raise ValueError("load and replicas must lie on one grid")

    def check(self) -> None:
        """Raises GradingError where there is nothing to grade."""
        for subject, series, cure in (
            ("the load was", self.load, "check the query of the spec, and --days"),
            ("the replicas were", self.replicas, "kube-state-metrics records them; else give --replicas-query"),
        ):
            if not np.isfinite(series.values).any():
                raise GradingError(f"{subject} never recorded from {series.start} to {series.end}; {cure}")
        if not (np.isfinite(self.load.values) & np.isfinite(self.replicas.values)).any():
            raise GradingError("load and replicas were never recorded at the same time; ask for more --days")


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """The sums of each window that ends with the past, shortest first, and what is made of the longest.

    `hpa`: the same sums with an HPA as `own`, where one was asked for.
    """

    windows: dict[timedelta, Tally]
    verdict: Verdict
    hpa: dict[timedelta, Tally] | None


def grade(
    past: Past,
    policy: Policy,
    foresight: Foresight | None,
    *,
    against: str,
    hpa_target: float | None = None,
    tell: Tell = lambda _done, _all: None,
) -> Graded:
    """Watch the scaler over the past. `hpa_target`: the load that an HPA beside it would give a replica (> 0).

    `against`: whose sizes the workload has. Raises GradingError where nothing of the past is known.
    """
    past.check()
    if hpa_target is not None and not (hpa_target > 0.0 and math.isfinite(hpa_target)):
        raise GradingError(f"--hpa-target must be above 0, not {hpa_target:g}")
    card = watch(past, policy, policy, foresight, tell)
    windows = _windows(card, past.load.end)
    hpa = None
    if hpa_target is not None:
        rules = replace(reactive(policy), target_per_replica=hpa_target, interval=policy.interval)
        hpa = _windows(watch(past, rules, policy, None, tell), past.load.end)
    return Graded(windows=windows, verdict=verdict(windows[WINDOWS[-1]], policy.objective, against), hpa=hpa)


def watch(
    past: Past, rules: Policy, policy: Policy, foresight: Foresight | None, tell: Tell = lambda _done, _all: None
) -> Scorecard:
    """The score at the end, deciding by `rules` and judging by `policy`: what the controller does in mode Observe.

    Where the replicas were not recorded the workload could not be read, and there is no decision.
    """
    card, memory = Scorecard(), Memory()
    shadow: Shadow | None = None
    start, step = past.load.start, past.load.step
    pairs = zip(past.load.values.tolist(), past.replicas.values.tolist(), strict=True)
    for index, (load, found) in enumerate(pairs):
        if index % _TOLD_EVERY == 0:
            tell(index, len(past.load))
        if found != found:  # noqa: PLR0124  # NaN, without a call
            continue
        now = start + (index + 1) * step
        shadow = meet(shadow, now, round(found), policy)
        observation, forecast = _known(past.load, foresight, now, load)
        decision, memory = decide(now, observation, forecast, shadow.own.size, rules, memory)
        card = added(card, now, judged(shadow, now, decision.demand.seen, policy))
        shadow = decided(shadow, now, decision.replicas, policy)
    tell(len(past.load), len(past.load))
    return card


def _known(
    load: Series, foresight: Foresight | None, now: datetime, value: float
) -> tuple[Observation, Forecast | None]:
    history, forecast = (load.until(load.start), None) if foresight is None else foresight.at(now)
    latest = Sample(time=now, value=value) if value == value else None  # noqa: PLR0124  # as above
    return Observation(history=history, latest=latest), forecast


def _windows(card: Scorecard, now: datetime) -> dict[timedelta, Tally]:
    return {window: total(card, now, window) for window in WINDOWS}
