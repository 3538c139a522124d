"""What would a policy have had? Replays a load through the controller's own `decide`, with start-up time.

Physical order: the load of a step meets the replicas that are ready in it; what is decided at its beginning saw only
the steps before, and serves once it has started.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.decide import decide
from controller.core.forecast import Forecast
from controller.core.memory import Memory
from controller.core.policy import Fallback, Policy
from controller.core.series import Observation, Sample, Series

SWEEP_STEPS = 24  # of the bisection in `at_equal_cost`: far below a thousandth of a replica


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capacity:
    """Replicas over time: `ready` and `desired`, int64, shape [n]; entry i holds for step i of the load."""

    ready: NDArray[np.int64]
    desired: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How a capacity met a load.

    `replica_hours`: of desired replicas, since a starting one is paid for. `under_provisioned`, `unserved`: shares
    (0..1) of the known time in which, and of the load for which, ready replicas did not suffice. `changes`: of size.
    """

    replica_hours: float
    under_provisioned: float
    unserved: float
    changes: int


class Fleet:
    """Replicas that take `startup` to be ready; the youngest go first, as a ReplicaSet does it."""

    def __init__(self, size: int, startup: timedelta) -> None:
        self._startup = startup
        self._ready_at: list[datetime | None] = [None] * size

    def __len__(self) -> int:
        return len(self._ready_at)

    def resize(self, now: datetime, size: int) -> None:
        """Start or end replicas so that there are `size`."""
        self._ready_at = self._ready_at[:size] + [now + self._startup] * (size - len(self))

    def ready(self, now: datetime) -> int:
        """How many can serve at `now`."""
        return sum(at is None or at <= now for at in self._ready_at)


def replay(
    metric: Series,
    policy: Policy,
    *,
    startup: timedelta,
    initial: int,
    forecast: Callable[[datetime], Forecast | None] = lambda _: None,
) -> Capacity:
    """Decide at the beginning of every step, having seen the steps of `metric` before it; NaN is a missing metric."""
    fleet, memory = Fleet(initial, startup), Memory()
    ready, desired = np.empty((2, len(metric)), dtype=np.int64)
    for index in range(len(metric)):
        now = metric.start + index * metric.step
        decision, memory = decide(now, _seen(metric, index), forecast(now), len(fleet), policy, memory)
        fleet.resize(now, decision.replicas)
        ready[index], desired[index] = fleet.ready(now), len(fleet)
    return Capacity(ready=ready, desired=desired)


def score(load: Series, capacity: Capacity, target_per_replica: float) -> Score:
    """Measure a capacity against the load; steps without a known load are left out of the shares."""
    known = np.isfinite(load.values)
    short = np.maximum(0.0, load.values - capacity.ready * target_per_replica)[known]
    return Score(
        replica_hours=float(capacity.desired.sum() * (load.step / timedelta(hours=1))),
        under_provisioned=float((short > 0.0).mean()),
        unserved=float(short.sum() / load.values[known].sum()),
        changes=int(np.count_nonzero(np.diff(capacity.desired))),
    )


def reactive(policy: Policy) -> Policy:
    """What a HorizontalPodAutoscaler with the same metric, target and behavior would do every 15 seconds.

    Without a forecast `decide` is the arithmetic of autoscaling/v2.
    """
    hold = Fallback(after=policy.fallback.after, replicas=None)
    return replace(policy, interval=timedelta(seconds=15), lead_time=timedelta(0), fallback=hold)


def at_equal_cost(
    metric: Series, policy: Policy, *, startup: timedelta, initial: int, replica_hours: float
) -> Capacity:
    """The reactive policy with the utilisation at which it spends `replica_hours`, found by bisection."""
    low, high = 0.05, 1.0
    capacity = replay(metric, policy, startup=startup, initial=initial)
    for _ in range(SWEEP_STEPS):
        middle = (low + high) / 2.0
        tried = replace(policy, target_per_replica=policy.target_per_replica * middle)
        capacity = replay(metric, tried, startup=startup, initial=initial)
        spent = float(capacity.desired.sum() * (metric.step / timedelta(hours=1)))
        low, high = (middle, high) if spent > replica_hours else (low, middle)
    return capacity


def _seen(metric: Series, index: int) -> Observation:
    """What was known at the beginning of step `index`: the step before, if it was recorded."""
    now = metric.start + index * metric.step
    value = float(metric.values[index - 1]) if index else float("nan")
    latest = Sample(time=now, value=value) if np.isfinite(value) else None
    return Observation(history=metric.until(now), latest=latest)
