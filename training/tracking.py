"""What would the controller have made of these forecasts? A correction of their levels, replayed over a whole test.

Nothing is corrected by a truth that was not known when the forecast was made. Must not have an update of its own: how
a correction moves is said in `controller.core.calibration`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.core.calibration import CORRECTION_BOUNDS, CORRECTION_RATE, MAX_PENDING, tracked
from training.measures import Floats

_ALL = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How levels are corrected. A correction counts units, which `unit` finds in quantiles [..., levels].

    `rate`: how far one truth moves it, by how many steps ahead the forecast was, [n] of [n]. `bounds`: of the
    correction. `waiting`: how many forecasts may wait for their truth at a time; others are not learnt from.
    """

    unit: Callable[[Floats], Floats]
    rate: Callable[[NDArray[np.int64]], Floats]
    bounds: tuple[float, float]
    waiting: int


def _itself(quantiles: Floats) -> Floats:
    return quantiles


def _spread(quantiles: Floats) -> Floats:
    return np.broadcast_to(quantiles[..., -1:] - quantiles[..., :1], quantiles.shape)


# `controller`: what runs in the cluster. `spread`: what keeps its promise further ahead, where truths come late: a
# correction in units of the band, smaller steps where more forecasts wait, and every forecast learnt from.
RULES = {
    "controller": Rule(
        unit=_itself,
        rate=lambda steps: np.full(len(steps), CORRECTION_RATE),
        bounds=CORRECTION_BOUNDS,
        waiting=MAX_PENDING,
    ),
    "spread": Rule(unit=_spread, rate=lambda steps: 0.025 / np.sqrt(steps), bounds=(-1.0, 2.0), waiting=_ALL),
}


def replayed(
    rule: Rule, quantiles: NDArray[np.float32], came: Floats, steps: Sequence[int], levels: Sequence[float]
) -> Floats:
    """Every level by itself, as a scaler that asks for it would have it corrected; [n, steps, levels].

    `quantiles`: the same shape, n origins, one a step of the series. `came`: [n, steps], what came `steps` later, NaN
    where that is not known.
    """
    ahead, rows, wanted = np.array(steps), np.arange(len(steps)), np.array(levels)
    units, rates = rule.unit(quantiles.astype(np.float64)), rule.rate(ahead)[:, None]
    correction = np.zeros(quantiles.shape[1:])
    told = np.empty(quantiles.shape, np.float64)
    for origin, truth in enumerate(_settling(came, ahead, rule.waiting)):
        is_settled = np.isfinite(truth)[:, None]
        if is_settled.any():
            upper = told[origin - ahead, rows]  # of places before the first origin nothing is settled
            moved = tracked(correction, wanted, truth[:, None] <= upper, rates, rule.bounds)
            correction = np.where(is_settled, moved, correction)
        told[origin] = np.maximum(quantiles[origin] + correction * units[origin], 0.0)
    return told


def _settling(came: Floats, ahead: NDArray[np.int64], waiting: int) -> Floats:
    """The truth about a waiting forecast that each origin brings, NaN where it brings none; [n, steps]."""
    truths = np.full_like(came, np.nan)
    for column, step in enumerate(ahead):
        # Those that come while enough wait are not scored: the first few of each `step` are.
        is_waiting = np.arange(len(came)) % step < waiting
        truths[step:, column] = np.where(is_waiting, came[:, column], np.nan)[:-step]
    return truths
