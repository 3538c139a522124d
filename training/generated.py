"""What does a plausible workload look like, where there is no data? One seeded, made-up trace of requests per step.

Used for the default model, for tests and for machines without a trace. Must not claim to be a measurement.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series

Floats = NDArray[np.float64]

_END = datetime(2024, 1, 29, tzinfo=UTC)  # a Monday: whole weeks end here
_DAY = timedelta(days=1)
_DAYS_IN_WEEK = 7
_SATURDAY = 5  # counted from Monday
_LOAD = 200.0  # requests a step on average
_SWING = 0.6  # how far day and night lie from the average, as a share of it
_WEEKEND = 0.35  # the share that the weekend lacks
_DRIFT = 0.1  # standard deviation of the slow wandering
_MEMORY = timedelta(hours=2)  # of the wandering
_NOISE = 0.08  # standard deviation of what is left beyond chance arrivals


def generate(seed: int, *, step: timedelta, season: timedelta, seasons: int) -> Series:
    """`seasons` days of `season` each: a daily and weekly rhythm, slow wandering, and chance arrivals."""
    random = np.random.default_rng(seed)  # noqa: TID251  # seeded
    day = float(season / step)
    count = round(seasons * day)
    place = (np.arange(count, dtype=np.float64) + 0.5) / day
    wandering = np.exp(_DRIFT * _wander(random, count, memory=day * (_MEMORY / _DAY)))
    noise = np.exp(_NOISE * random.standard_normal(count))
    load = random.poisson(_LOAD * _rhythm(place) * wandering * noise).astype(np.float64)
    return Series(end=_END, step=step, values=load)


def _rhythm(place: Floats) -> Floats:
    """The expected share of the average load; `place` counts days from a Monday's beginning."""
    daily = np.cos(2 * np.pi * (place - 0.6)) + 0.4 * np.cos(4 * np.pi * (place - 0.45))
    weekly = np.where(place % _DAYS_IN_WEEK >= _SATURDAY, 1 - _WEEKEND, 1.0)
    rhythm: Floats = (1 + _SWING * daily / 1.4) * weekly
    return rhythm


def _wander(random: np.random.Generator, count: int, memory: float) -> Floats:  # noqa: TID251  # a type
    """An autoregressive walk of unit variance that forgets over `memory` steps."""
    keep = float(np.exp(-1 / memory))
    pushes = random.standard_normal(count) * np.sqrt(1 - keep**2)
    walk = np.empty(count)
    value = 0.0
    for place, push in enumerate(pushes):
        value = walk[place] = keep * value + push
    return walk
