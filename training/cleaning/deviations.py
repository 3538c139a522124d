"""How far is each value from what its level, its time of day and the unrest around it let one expect?

Everything is measured with medians, so that what is odd does not decide what is usual, and in proportion, so that the
unit does not matter. It looks both ways, which only the past of a fit may. Must not decide what is too far.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from controller.core.series import Series
from training.windows import DAYS_IN_WEEK, Window, origins

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Measure = Callable[[Floats], float]

HOUR = 24  # this share of a season is a sustained deviation

_FEWEST_SEASONS = 3
_WEEKEND_SEASONS = 14  # from so many on, weekends have a profile of their own
_SATURDAY, _SUNDAY = 2, 3  # 1970 began on a Thursday
_POOLED = 20  # values that a slot's median is made of
_WIDE = 48  # this share of a season on each side is pooled for the spread
_LOWEST_LEVEL = 0.1  # of the typical level; below it nothing is said in proportion
_LOWEST_SPREAD = 0.5  # of the typical spread
_NORMAL = {0.9: 1.645, 0.99: 2.576}  # where the deviations of a normal distribution have these quantiles
_OFTEN, _RARELY = _NORMAL  # deviations, by the series' own measure: of the spread at least, of the tails at least
_MAD = 1.4826  # a normal distribution's standard deviation, in median absolute deviations


class NothingToSay(Exception):  # noqa: N818  # no error: the series is as it is
    """Why no value of the series can be called odd."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deviations:
    """How far each step is off, in deviations that are usual for this series; [n], NaN where not recorded.

    `slots`: steps of a season. `single`: of the value itself; `sustained`: of the median of the hour around it.
    `change`: from the value before. `unrest`: the spread within the hour around it, divided by the usual one.
    """

    slots: int
    single: Floats
    sustained: Floats
    change: Floats
    unrest: Floats

    @property
    def far(self) -> Floats:
        """The larger one of `single` and `sustained`, signed; 0 where not recorded."""
        single, sustained = np.nan_to_num(self.single), np.nan_to_num(self.sustained)
        is_recorded = np.isfinite(self.single)
        return np.where((np.abs(sustained) > np.abs(single)) & is_recorded, sustained, single)

    @property
    def seasons(self) -> float:
        """How many the series has."""
        return len(self.single) / self.slots


def deviations(series: Series, window: Window, zone: tzinfo) -> Deviations:
    """Of every step of `series`, whose wall clock is that of `zone`. Raises NothingToSay."""
    slots = window.slots
    rest = _rest(series, window, zone)
    hour = max(3, slots // HOUR)
    single = _usual(rest)
    unrest = around(single, hour, "std")
    return Deviations(
        slots=slots,
        single=single,
        sustained=_usual(around(rest, hour, "median")),
        change=_usual(np.diff(rest, prepend=np.nan)),
        unrest=unrest / max(_median(unrest), 1e-9),
    )


def around(values: Floats, width: int, measure: Literal["median", "std", "min", "max"]) -> Floats:
    """What `measure` says of the `width` steps around each, [n]; NaN where fewer than a quarter are recorded."""
    windows = pd.Series(values).rolling(width, center=True, min_periods=max(1, width // 4))
    return np.asarray(windows.agg(measure), np.float64)


def _rest(series: Series, window: Window, zone: tzinfo) -> Floats:
    """What level and profile leave, in units of the spread at that time of the season; [n]."""
    slots = window.slots
    if np.isfinite(series.values).sum() < _FEWEST_SEASONS * slots:
        raise NothingToSay(f"fewer than {_FEWEST_SEASONS} seasons are recorded")
    level = around(series.values, slots + 1, "median")
    typical = _median(level)
    if typical <= 0:
        raise NothingToSay("the load is idle most of the time")
    relative = (series.values - level) / np.maximum(level, _LOWEST_LEVEL * typical)
    begun = origins(series, zone) - round(window.step.total_seconds())
    day, time = np.divmod(begun, round(window.season.total_seconds()))
    slot = time // round(window.step.total_seconds())
    profile = _profile(relative, slot, _kind(day, len(series) // slots), slots)
    rest = (relative - profile) / np.maximum(1.0, 1.0 + profile)  # what is busy every day varies more
    spread: Floats = rest / _spread(rest, slot, slots)
    return spread


def _kind(day: Places, seasons: int) -> Places:
    """0 on working days, 1 at weekends; all 0 where the history is too short to tell."""
    weekday = day % DAYS_IN_WEEK
    is_weekend = (weekday == _SATURDAY) | (weekday == _SUNDAY)
    return np.asarray(is_weekend & (seasons >= _WEEKEND_SEASONS), np.int64)


def _profile(values: Floats, slot: Places, kind: Places, slots: int) -> Floats:
    """The median of each step's slot on days of its kind, with as many slots beside it as it takes; [n]."""
    found = np.zeros(len(values))
    for each in np.unique(kind):
        is_kind = kind == each
        days = max(1.0, is_kind.sum() / slots)
        reach = max(0, int(np.ceil((_POOLED / days - 1) / 2)))
        table = _by_slot(values[is_kind], slot[is_kind], slots, reach, _median)
        found[is_kind] = table[slot[is_kind]]
    return found


def _spread(values: Floats, slot: Places, slots: int) -> Floats:
    """The median absolute deviation around each step's slot, [n]; nowhere far below what is typical."""
    typical = _scale(values, _OFTEN)
    if typical <= 0:
        raise NothingToSay("the load does the same every season")
    table = _by_slot(values, slot, slots, max(1, slots // _WIDE), _mad)
    spread: Floats = np.maximum(table, _LOWEST_SPREAD * typical)[slot]
    return spread


def _by_slot(values: Floats, slot: Places, slots: int, reach: int, measure: Measure) -> Floats:
    """What `measure` says of the values in each slot and `reach` slots on each side, around midnight too; [slots]."""
    is_known = np.isfinite(values)
    order = np.argsort(slot[is_known], kind="stable")
    borders = np.searchsorted(slot[is_known][order], np.arange(1, slots))
    parts = np.split(values[is_known][order], borders)
    sides = range(-reach, reach + 1)
    pools = (np.concatenate([parts[(place + side) % slots] for side in sides]) for place in range(slots))
    return np.array([measure(pool) for pool in pools])


def _median(values: Floats) -> float:
    """Of what is recorded; 0 where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


def _mad(values: Floats) -> float:
    """The median absolute deviation, as the standard deviation of a normal distribution that has it."""
    return _MAD * _median(np.abs(values - _median(values)))


def _scale(values: Floats, quantile: float) -> float:
    """The standard deviation of a normal distribution with these median deviations, or with this tail: the larger."""
    known = np.abs(values[np.isfinite(values)])
    tail = float(np.quantile(known, quantile)) / _NORMAL[quantile] if len(known) else 0.0
    return max(_mad(values), tail)


def _usual(values: Floats) -> Floats:
    """In units of what is usual; where tails are heavier than normal, these are usual."""
    scale = _scale(values, _RARELY)
    return values / scale if scale > 0 else np.zeros_like(values)
