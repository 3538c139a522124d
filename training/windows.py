"""What may a model see at each moment of a series, and what came after it?

Cuts only: a window ends at its origin, so nothing that is made from it can know the future. Must not compute features.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, local_seconds

DAYS_IN_WEEK = 7  # seasons; under compression a week is seven shorter days
# Seasons beyond this many steps of context cost more to carry around for a thousand workloads than they tell.
_MAX_CONTEXT = 12_000


class WindowError(ValueError):
    """What is asked does not fit together; the message names the parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What a model sees and answers. `context` (whole seasons) and `horizon` are steps; `season` is whole steps."""

    step: timedelta
    season: timedelta
    context: int
    horizon: int

    @classmethod
    def fitting(cls, *, step: timedelta, season: timedelta, horizon: timedelta) -> Self:
        """A window of up to a week of seasons. Raises WindowError."""
        if step < timedelta(seconds=1) or step % timedelta(seconds=1):
            raise WindowError(f"the step must be whole seconds, not {step}")
        if season % step or season <= step:
            raise WindowError(f"the season ({season}) must be a multiple of the step ({step}), twice it at least")
        if horizon < step or horizon % step:
            raise WindowError(f"the horizon ({horizon}) must be a multiple of the step ({step})")
        slots = season // step
        seasons = min(DAYS_IN_WEEK, max(1, _MAX_CONTEXT // slots))
        if horizon > seasons * season:
            raise WindowError(f"the horizon ({horizon}) is longer than the context ({seasons * season})")
        return cls(step=step, season=season, context=seasons * slots, horizon=horizon // step)

    @property
    def whole(self) -> Self:
        """The same questions, from as many seasons as models of this project see. Raises WindowError."""
        return self.fitting(step=self.step, season=self.season, horizon=self.horizon * self.step)

    @property
    def slots(self) -> int:
        """Steps in a season."""
        return self.season // self.step

    @property
    def seasons(self) -> int:
        """Seasons in the context."""
        return self.context // self.slots


def histories(series: Series, window: Window) -> FloatArray:
    """What is seen after each step: float32 [len(series), context], NaN before the series begins.

    Row i ends with `series.values[i]`. A view of one padded copy: cheap until a part of it is copied.
    """
    padded = np.concatenate([np.full(window.context, np.nan, np.float32), series.values.astype(np.float32)])
    return np.lib.stride_tricks.sliding_window_view(padded, window.context)[1:]


def futures(series: Series, window: Window) -> NDArray[np.float64]:
    """What came after each step: float64 [len(series), horizon], NaN where not recorded. Row i follows `values[i]`."""
    padded = np.concatenate([series.values, np.full(window.horizon, np.nan)])
    return np.lib.stride_tricks.sliding_window_view(padded, window.horizon)[1:]


def origins(series: Series, zone: tzinfo) -> IntArray:
    """The local time at the end of each step, int64 [len(series)], as the model contract wants it."""
    ends = (series.end - back * series.step for back in range(len(series) - 1, -1, -1))
    return np.array([local_seconds(end, zone) for end in ends], np.int64)
