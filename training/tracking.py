"""What would the controller have made of these forecasts? Its correction of their levels, replayed over a whole test.

Nothing is corrected by a truth that was not known when the forecast was made. Must not have a rule of its own: how a
correction moves, and what it does to a level, is said in `controller.core.calibration`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controller.core.calibration import rate, shifted, spacing, tracked
from training.measures import Floats


def replayed(quantiles: NDArray[np.float32], came: Floats, steps: Sequence[int], levels: Sequence[float]) -> Floats:
    """Every level by itself, as a scaler that asks for it would have it corrected; [n, steps, levels].

    `quantiles`: the same shape, n origins, one a step of the series. `came`: [n, steps], what came `steps` later, NaN
    where that is not known.
    """
    ahead, rows, wanted = np.array(steps), np.arange(len(steps)), np.array(levels)
    said = quantiles.astype(np.float64)
    bands = said[..., -1:] - said[..., :1]
    rates = np.array([[rate(step, level) for level in levels] for step in steps])
    correction = np.zeros(said.shape[1:])
    told = np.empty_like(said)
    for origin, truth in enumerate(_settling(np.where(bands[..., 0] > 0.0, came, np.nan), steps)):
        is_settled = np.isfinite(truth)[:, None]
        if is_settled.any():
            upper = told[origin - ahead, rows]  # of places before the first origin nothing is settled
            moved = tracked(correction, wanted, truth[:, None] <= upper, rates)
            correction = np.where(is_settled, moved, correction)
        told[origin] = shifted(correction, said[origin], bands[origin])
    return told


def _settling(came: Floats, steps: Sequence[int]) -> Floats:
    """The truth about a waiting forecast that each origin brings, NaN where it brings none; [n, steps]."""
    truths = np.full_like(came, np.nan)
    for column, step in enumerate(steps):
        is_waiting = np.arange(len(came)) % spacing(step) == 0
        truths[step:, column] = np.where(is_waiting, came[:, column], np.nan)[:-step]
    return truths
