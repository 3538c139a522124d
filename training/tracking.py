"""What would the controller have made of these forecasts? Its own correction, replayed over a whole test.

Nothing is corrected by a truth that was not known when the forecast was made. Must not have a rule of its own: how a
correction moves is said in `controller.core.calibration`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controller.core.calibration import MAX_PENDING, tracked
from training.measures import Floats


def replayed(quantiles: NDArray[np.float32], came: Floats, steps: Sequence[int], levels: Sequence[float]) -> Floats:
    """Every level by itself, as a scaler that asks for it would have it corrected; [n, steps, levels].

    `quantiles`: the same shape, n origins, one a step of the series. `came`: [n, steps], what came `steps` later, NaN
    where that is not known.
    """
    ahead, rows, wanted = np.array(steps), np.arange(len(steps)), np.array(levels)
    truths = _settling(came, ahead)
    correction = np.zeros(quantiles.shape[1:])
    told = np.empty(quantiles.shape, np.float64)
    for origin, truth in enumerate(truths):
        is_settled = np.isfinite(truth)[:, None]
        if origin and is_settled.any():
            upper = told[origin - ahead, rows]  # the places before the first origin are not settled
            moved = tracked(correction, wanted, truth[:, None] <= upper)
            correction = np.where(is_settled, moved, correction)
        told[origin] = quantiles[origin] * (1 + correction)
    return told


def _settling(came: Floats, ahead: NDArray[np.int64]) -> Floats:
    """The truth about a waiting forecast that each origin brings, NaN where it brings none; [n, steps]."""
    truths = np.full_like(came, np.nan)
    for column, step in enumerate(ahead):
        # So many forecasts wait, and one made while they do is never scored.
        is_waiting = np.arange(len(came)) % step < MAX_PENDING
        truths[step:, column] = np.where(is_waiting, came[:, column], np.nan)[:-step]
    return truths
