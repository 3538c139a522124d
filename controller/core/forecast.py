"""What will the load be? Quantiles by step, when they were made, and the naive baselines.

Must not run a model: `controller.forecaster` does.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """Quantiles of the load per step.

    `origin`: aware; the end of the last step the model saw. `levels`: increasing, each in (0, 1), shape [levels].
    `quantiles`: float64, shape [horizon, levels], metric's unit, >= 0, non-decreasing along levels;
    row k covers (origin + k step, origin + (k + 1) step].
    `season`: the time after which the model's card says the load repeats.
    """

    origin: datetime
    step: timedelta
    levels: tuple[float, ...]
    quantiles: NDArray[np.float64]
    season: timedelta = timedelta(days=1)

    @property
    def horizon(self) -> timedelta:
        """How far the forecast reaches beyond its origin."""
        return len(self.quantiles) * self.step

    @property
    def band(self) -> NDArray[np.float64]:
        """The highest level less the lowest, at each step: how unsure the model is; shape [horizon]."""
        return self.quantiles[:, -1] - self.quantiles[:, 0]

    def at_level(self, level: float) -> NDArray[np.float64]:
        """The quantile `level` of each step, shape [horizon]; linear between the levels, the outermost beyond them."""
        return self._at_level(level, self.quantiles)

    def near(self, level: float, steps: slice) -> list[tuple[float, float]]:
        """The quantile `level` and the band of each of these steps; for a few, plain numbers take less than arrays."""
        rows, above = self.quantiles[steps].tolist(), bisect_left(self.levels, level)
        if above == 0 or above == len(self.levels):
            place = min(above, len(self.levels) - 1)
            return [(row[place], row[-1] - row[0]) for row in rows]
        share = self._share(level, above)
        return [(row[above - 1] + share * (row[above] - row[above - 1]), row[-1] - row[0]) for row in rows]

    def steps_between(self, start: datetime, end: datetime) -> slice:
        """The steps that overlap (start, end]; empty where the forecast does not reach."""
        first = max(0, (start - self.origin) // self.step)
        last = -((self.origin - end) // self.step)
        return slice(first, max(first, min(last, len(self.quantiles))))

    def peak(self, level: float, start: datetime, end: datetime) -> float | None:
        """The highest quantile `level` over the steps that overlap (start, end]; None where there is none."""
        window = self.quantiles[self.steps_between(start, end)]
        return float(self._at_level(level, window).max()) if len(window) else None

    def _at_level(self, level: float, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        above = bisect_left(self.levels, level)
        if above == 0 or above == len(self.levels):
            return rows[:, min(above, len(self.levels) - 1)]
        return rows[:, above - 1] + self._share(level, above) * (rows[:, above] - rows[:, above - 1])

    def _share(self, level: float, above: int) -> float:
        """How far `level` lies on the way to the level at `above` from the one before it."""
        low, high = self.levels[above - 1], self.levels[above]
        return (level - low) / (high - low)


def persistence(history: Series) -> float:
    """The last recorded value, taken for every later step as if nothing ever changed; NaN if there is none."""
    recorded = history.values[np.isfinite(history.values)]
    return float(recorded[-1]) if len(recorded) else float("nan")


def seasonal_naive(history: Series, season: timedelta, time: datetime) -> float:
    """The value the fewest whole seasons before the step that ends at `time`; NaN where that is not held."""
    seasons = max(1, -((history.end - time) // season))
    return history.value_at(time - seasons * season)
