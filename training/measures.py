"""How far off was a forecast? Errors of the median, losses of quantiles and what they cover, in numpy.

The one place for these formulas. Must not know models, files or what is forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MEDIAN = 0.5


def pinball(quantiles: Floats, levels: Floats, actual: Floats) -> Floats:
    """The loss of each level, in the load's unit; [..., levels] of `quantiles` [..., levels] and `actual` [...]."""
    over = actual[..., None] - quantiles
    return np.maximum(levels * over, (levels - 1) * over)


def middle(quantiles: Floats, levels: Floats) -> Floats:
    """The median, linear between the two levels around it; [...] of [..., levels]."""
    right = int(np.clip(np.searchsorted(levels, _MEDIAN), 1, len(levels) - 1)) if len(levels) > 1 else 0
    left = max(0, right - 1)
    if right == left:
        return quantiles[..., 0]
    weight = np.clip((_MEDIAN - levels[left]) / (levels[right] - levels[left]), 0.0, 1.0)
    mixed: Floats = (1 - weight) * quantiles[..., left] + weight * quantiles[..., right]
    return mixed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """The errors of one model by step of the horizon, in the metric's unit.

    `count`, `rmse`, `mae`, `mape` (mean |error| / load where there is load), `wape` (MAE / mean load), `mase` (MAE /
    mean change over a season before the test), `r2` (share of the loads' variance that is explained): shape [horizon].
    `pinball`, `coverage` (share of values at or below the level's forecast): [horizon, levels].
    """

    levels: tuple[float, ...]
    count: Floats
    rmse: Floats
    mae: Floats
    mape: Floats
    wape: Floats
    mase: Floats
    r2: Floats
    pinball: Floats
    coverage: Floats

    @property
    def loss(self) -> float:
        """Pinball loss over all steps and levels: the one figure by which models are ranked."""
        return float(self.pinball.mean())

    def at(self, step: int) -> dict[str, Any]:
        """What the card says about the step-th step (1 is the next) of the horizon."""
        row = step - 1
        return {
            **{name: float(getattr(self, name)[row]) for name in ("rmse", "mae", "mape", "wape", "mase", "r2")},
            "pinball": float(self.pinball[row].mean()),
            "coverage": by_level(self.levels, self.coverage[row]),
        }


def by_level(levels: tuple[float, ...], shares: Floats) -> dict[str, float]:
    """As it stands in cards and JSON: the levels as text."""
    return {f"{level:g}": float(share) for level, share in zip(levels, shares, strict=True)}


@dataclass(slots=True, kw_only=True, eq=False)
class Tally:
    """Sums over the origins so far: [horizon], and [horizon, levels] for `pinball` and `below`.

    `centre`: a load in the midst of those that come, so that a variance is not the difference of two huge sums.
    """

    levels: tuple[float, ...]
    centre: float
    count: Floats
    busy: Floats
    load: Floats
    spread: Floats
    absolute: Floats
    squared: Floats
    relative: Floats
    pinball: Floats
    below: Floats

    @classmethod
    def empty(cls, horizon: int, levels: tuple[float, ...], centre: float = 0.0) -> Self:
        """Nothing counted yet."""
        flat = {
            name: np.zeros(horizon) for name in ("count", "busy", "load", "spread", "absolute", "squared", "relative")
        }
        deep = {name: np.zeros((horizon, len(levels))) for name in ("pinball", "below")}
        return cls(levels=levels, centre=centre, **flat, **deep)

    def add(self, actual: Floats, answer: NDArray[np.float32], known: NDArray[np.bool_]) -> None:
        """`actual`, `known`: [n, horizon]; `answer`: [n, horizon, levels]."""
        levels = np.array(self.levels)
        quantiles = np.where(known[..., None], answer, 0.0).astype(np.float64)
        came = np.where(known, actual, 0.0)
        error = np.abs(came - middle(quantiles, levels))
        self.count += known.sum(axis=0)
        self.busy += (came > 0).sum(axis=0)
        self.load += came.sum(axis=0)
        self.spread += np.square(np.where(known, came - self.centre, 0.0)).sum(axis=0)
        self.absolute += error.sum(axis=0)
        self.squared += np.square(error).sum(axis=0)
        self.relative += _ratio(error, came).sum(axis=0)
        self.pinball += pinball(quantiles, levels, came).sum(axis=0)
        self.below += ((came[..., None] <= quantiles) & known[..., None]).sum(axis=0)

    def score(self, scale: float) -> Score:
        """`scale`: what MASE divides by. Every step must have been counted."""
        mae = self.absolute / self.count
        mean = self.load / self.count - self.centre
        variance = np.maximum(self.spread / self.count - np.square(mean), 0.0)
        return Score(
            levels=self.levels,
            count=self.count,
            rmse=np.sqrt(self.squared / self.count),
            mae=mae,
            mape=_ratio(self.relative, self.busy),
            wape=_ratio(self.absolute, self.load),
            mase=_ratio(mae, np.full_like(mae, scale)),
            r2=np.where(variance > 0, 1 - _ratio(self.squared / self.count, variance), 0.0),
            pinball=self.pinball / self.count[:, None],
            coverage=self.below / self.count[:, None],
        )


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Zero where there is nothing to divide by: an idle workload has no relative error."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def floor_of(values: Floats, first: int = 0, seasons: tuple[int, ...] = ()) -> float:
    """The error (RMSE) that is left from `values[first]` on to somebody who knows both neighbours of a value.

    It is the standard deviation of white noise, and less than the best forecast of the next step of a random walk or
    of anything smoother is off by; only a load that alternates can be foreseen better. `seasons`: lags in steps; what
    differs from a season before is judged instead where that is smoother, so that a load that repeats exactly has no
    noise. `values`: [n], NaN where not recorded; the result is NaN where no value has both neighbours.
    """
    roughness = [_roughness(values[first:])]
    for lag in seasons:
        before = np.concatenate([np.full(lag, np.nan), values])[: len(values)]
        roughness.append(_roughness((values - before)[first:]) / np.sqrt(2))
    return min((one for one in roughness if np.isfinite(one)), default=float("nan"))


def _roughness(values: Floats) -> float:
    """How far values lie from the middle of their neighbours; of white noise it is the standard deviation."""
    bends = values[1:-1] - (values[2:] + values[:-2]) / 2
    known = bends[np.isfinite(bends)]
    # The variance of a value less the mean of two others is one and a half times that of one.
    return float(np.sqrt(np.square(known).mean() / 1.5)) if len(known) else float("nan")
