"""What do tests of training work on? Hourly traces and models small enough to fit in a second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series
from controller.forecaster import Model
from training import export
from training.families.ensemble import Ensemble
from training.families.family import Family, Fitted
from training.families.lightgbm import LightGBM
from training.families.pooled import Pooled
from training.families.sarima import Sarima
from training.families.seasonal import PERSISTENCE, SEASONAL_NAIVE, SEASONAL_NAIVE_WEEK
from training.families.smoothing import Smoothing
from training.generated import generate
from training.windows import Window

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
END = datetime(2024, 1, 29, tzinfo=UTC)
WINDOW = Window.fitting(step=HOUR, season=DAY, horizon=6 * HOUR)
_MEMBERS: dict[str, Family] = {
    each.name: each
    for each in (
        LightGBM(),
        Pooled(trees=10),
        PERSISTENCE,
        SEASONAL_NAIVE,
        SEASONAL_NAIVE_WEEK,
        Smoothing(),
        Sarima(orders=((2, 0),)),
    )
}
FAMILIES: dict[str, Family] = {
    **_MEMBERS,
    "ensemble": Ensemble(members=("ets", "lightgbm"), find=lambda name, _progress: _MEMBERS[name]),
}


def series_of(values: NDArray[np.float64], *, step: timedelta = HOUR) -> Series:
    return Series(end=END, step=step, values=np.asarray(values, np.float64))


@cache
def trace(seed: int = 1) -> Series:
    """Four weeks with a rhythm."""
    return generate(seed, step=HOUR, season=DAY, seasons=28)


@cache
def noise(seed: int = 1) -> Series:
    """Seven weeks without any: nothing in it can be forecast."""
    random = np.random.default_rng(seed)  # seeded
    return series_of(random.poisson(200, 49 * 24).astype(np.float64))


@cache
def fitted(family: str) -> Fitted:
    """Fitted on the trace."""
    return FAMILIES[family].fit(trace(), WINDOW, UTC)


@cache
def model(family: str) -> Model:
    """As a loader sees it."""
    return drafted(fitted(family), trace())


def drafted(fit: Fitted, series: Series) -> Model:
    return export.draft(fit, series, WINDOW, name=fit.family, unit="load")
