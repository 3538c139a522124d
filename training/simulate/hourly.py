"""What would the next hours bring, for somebody who forecasts by the hour? A seasonal mean, as AWS publishes none.

AWS says of its predictive scaling when and of what it forecasts, not how. The rules here are AWS's, the forecast is
ours and simple: the mean of the hour of the day, what the hour of the week has beside it as far as it is known, and a
part of how much the last hours were above that. It was chosen on days before those that are reported. Must not scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series

Floats = NDArray[np.float64]

# https://docs.aws.amazon.com/autoscaling/ec2/userguide/predictive-scaling-policy-overview.html
HOUR = timedelta(hours=1)
FEWEST = 24  # hours of data without which nothing is forecast
MOST = 14 * 24  # hours of data that are looked at
AHEAD = 48  # hours that are forecast
EVERY = 6  # hours from one forecast to the next

_DAY, _WEEK = 24, 168
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FARTHEST = 4.0  # times what is usual; a level beyond that is taken for a gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How much is believed of what was seen.

    `usual`: an hour of the week seen so often counts half, the hour of the day the other half. `recent`: hours that
    tell the level; `carried`: the part of it that stays.
    """

    usual: float = 4.0
    recent: int = 3
    carried: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hours:
    """Mean loads of clock hours (UTC), float64 [n], NaN where nothing is known. `first`: hours since 1970 of the first.

    A step that ends in an hour, or at its end, belongs to it: at the end of an hour all of it is known.
    """

    first: int
    values: Floats

    @classmethod
    def of(cls, *loads: Series) -> Self:
        """Of loads in equal steps that follow one another."""
        start, step = loads[0].start, loads[0].step  # of an empty one as well
        values = np.concatenate([load.values for load in loads])
        ends = (start - _EPOCH) // timedelta(microseconds=1) + np.arange(1, len(values) + 1) * (
            step // timedelta(microseconds=1)
        )
        places = (ends - 1) // (HOUR // timedelta(microseconds=1))
        first, count = int(places[0]), int(places[-1] - places[0]) + 1
        known = np.isfinite(values)
        sums, counts = (
            np.bincount(places[known] - first, weights=weights, minlength=count) for weights in (values[known], None)
        )
        means = np.divide(sums, counts, out=np.full(count, np.nan), where=counts > 0)
        return cls(first=first, values=means)


def predicted(hours: Hours, buffer: timedelta, habits: Habits | None = None) -> Floats:
    """What each of the hours was forecast to be when its capacity was scheduled, `buffer` before it; NaN: not at all.

    float64 [n], by AWS's rules: forecasts at 0, 6, 12 and 18 o'clock (UTC) for 48 hours, of at least 24 and at most the
    last 14 days' hours that had ended by then.
    """
    said = np.full(len(hours.values), np.nan)
    late = -(-buffer // HOUR)  # hours of a forecast that were scheduled before it was made
    for made in range(-hours.first % EVERY, len(said), EVERY):
        seen = hours.values[max(0, made - MOST) : made]
        if np.isfinite(seen).sum() >= FEWEST:
            ahead = forecast(seen, hours.first + made, habits or Habits())
            until = min(made + AHEAD, len(said))
            said[made + late : until] = ahead[late : until - made]
    return said


def forecast(seen: Floats, at: int, habits: Habits) -> Floats:
    """The next AHEAD hours' loads, after the hours `seen` until `at` (hours since 1970), some of which are known."""
    past, ahead = np.arange(at - len(seen), at), np.arange(at, at + AHEAD)
    known = np.isfinite(seen)
    mean = np.full(_DAY, seen[known].mean())
    daily = mean + _kept(seen[known] - mean[past[known] % _DAY], past[known] % _DAY, _DAY, 0.0)
    rest = seen[known] - daily[past[known] % _DAY]
    weekly = np.tile(daily, _WEEK // _DAY) + _kept(rest, past[known] % _WEEK, _WEEK, habits.usual)
    level = _level(seen[-habits.recent :], weekly[past[-habits.recent :] % _WEEK])
    found: Floats = np.maximum(0.0, weekly[ahead % _WEEK] * (1.0 + habits.carried * (level - 1.0)))
    return found


def _kept(rest: Floats, places: NDArray[np.int64], count: int, usual: float) -> Floats:
    """The mean of `rest` at each place, less the more `usual` there is beside so few; 0 where nothing is known."""
    sums = np.bincount(places, weights=rest, minlength=count)
    counts = np.bincount(places, minlength=count)
    found: Floats = np.divide(sums, counts + usual, out=np.zeros(count), where=counts > 0)
    return found


def _level(seen: Floats, usual: Floats) -> float:
    """How many times what is usual the last hours were; 1 where that cannot be told."""
    known = np.isfinite(seen)
    whole = usual[known].sum()
    if not whole > 0.0:
        return 1.0
    return float(np.clip(seen[known].sum() / whole, 1.0 / _FARTHEST, _FARTHEST))
