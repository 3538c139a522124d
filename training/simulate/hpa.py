"""What would HorizontalPodAutoscalers with many targets have done? The arithmetic of autoscaling/v2, all at once.

The default behavior only: 10 % tolerance, 300 s scale-down window, +100 % or +4 in 15 s. It is what `decide` does
without a forecast, in a fraction of the time; the tests hold the two together, step by step.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.replicas import MOST, ROUNDING
from controller.core.series import Series
from training.simulate.capacity import Ints

SYNC = timedelta(seconds=15)
WINDOW = timedelta(seconds=300)
TOLERANCE = 0.1
MOST_PODS = 4
MOST_FACTOR = 2


def sizes(
    metric: Series,
    targets: NDArray[np.float64],
    *,
    initial: int,
    lowest: int,
    highest: int,
    before: float = float("nan"),
) -> Ints:
    """The sizes asked for at each step, int64 [n, k], by the HPA with each of the targets [k] (metric's unit, > 0).

    `initial`, `before`: as in `engine.replay`.
    """
    every = max(1, -(-SYNC // metric.step))
    wishes = np.full((-(-WINDOW // (every * metric.step)), len(targets)), initial, np.float64)
    size = np.full(len(targets), float(initial))
    asked = np.empty((len(metric), len(targets)), np.int64)
    seen = before
    for index, value in enumerate(metric.values.tolist()):
        if index % every == 0:
            wish = _wish(seen, targets, size)
            wishes[index // every % len(wishes)] = wish
            held = np.where(wish < size, np.minimum(size, wishes.max(axis=0)), wish)
            fastest = np.maximum(size + MOST_PODS, size * MOST_FACTOR)
            size = np.maximum(np.minimum(np.minimum(held, fastest), highest), lowest)
        asked[index] = size
        seen = value
    return asked


def _wish(seen: float, targets: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the load asks for before any rail; no load asks for no change."""
    if seen != seen:  # noqa: PLR0124  # NaN, without a call
        return size
    usage = seen / (size * targets)
    needed = np.ceil(np.minimum(seen / targets, MOST) - ROUNDING)
    return np.where((usage >= 1.0 - TOLERANCE) & (usage <= 1.0 + TOLERANCE), size, needed)
