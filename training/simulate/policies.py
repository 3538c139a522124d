"""What stands beside the forecast? The reactive policy, the smallest fixed size, and one that knows what comes.

Must not use a forecast: these are what one is held against.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.policy import Fallback, Policy
from controller.core.replicas import ROUNDING
from controller.core.series import Series
from training.simulate.capacity import Capacity, Ints, lag_of
from training.simulate.engine import replay

SWEEP_STEPS = 24  # of the bisection in `at_equal_cost`: far below a thousandth of a replica


def reactive(policy: Policy) -> Policy:
    """What a HorizontalPodAutoscaler with the same metric, target and behavior would do every 15 seconds.

    Without a forecast `decide` is the arithmetic of autoscaling/v2.
    """
    hold = Fallback(after=policy.fallback.after, replicas=None)
    return replace(
        policy,
        interval=timedelta(seconds=15),
        lead_time=timedelta(0),
        fallback=hold,
        objective=None,
        flap_budget=None,
    )


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


def static(load: Series, per_replica: float, *, lowest: int, highest: int) -> Capacity:
    """The smallest size that never falls short, known only afterwards; ready from the first step on."""
    size = int(_needed(np.nanmax(load.values, initial=0.0, keepdims=True), per_replica, lowest, highest)[0])
    return Capacity.of(np.full(len(load), size, np.int64), initial=size, lag=0)


def oracle(
    load: Series, per_replica: float, *, startup: timedelta, initial: int, lowest: int, highest: int, part: float = 1.0
) -> Capacity:
    """Always ready for `part` of the highest load until the next decision's replicas could serve, and no more.

    With all of it nothing fewer would never fall short: a replica that is asked for now is needed by the time that one
    asked for a step later would come too late.
    """
    lag = lag_of(startup, load.step)
    known = np.concatenate([np.nan_to_num(load.values, nan=0.0), np.zeros(lag)])
    highest_ahead = np.lib.stride_tricks.sliding_window_view(known, lag + 1).max(axis=1)
    return Capacity.of(_needed(part * highest_ahead, per_replica, lowest, highest), initial=initial, lag=lag)


def _needed(load: NDArray[np.float64], per_replica: float, lowest: int, highest: int) -> Ints:
    return np.clip(np.ceil(load / per_replica - ROUNDING), lowest, highest).astype(np.int64)
