"""How few replica-hours could do, for who knows more than any controller can? Beside the goals that decisions have.

Three ways to know more than can be known. *Smoothed*: the mean of the load around each step, the minutes after it and
the step itself among them. *Past*, *past and future*: the linear forecast with the least squared error on the very
span it is judged on, from all that had been seen when a replica for the step must be asked for, and in the second from
all loads after the step as well. Each step then gets the best whole number of replicas that any function of that
knowledge could give: steps are put together by what is known, and the replicas are handed out, with all loads known, to
where they save most short time each. Nothing is lost to start-up, to rails or to learning.

Not a bound for every thinkable forecast, but for every function of these, whatever its form. What is left of the load
beside the smoothed one is told as well: how much more it varies than independent requests would, and how much of it
the load of a lead time before tells (`autocorrelation`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series

Floats = NDArray[np.float64]

GROUPS, MORE_GROUPS = 40, 400  # of steps alike by what is known: more begin to know the steps themselves
REACHES = (1, 2, 3, 4, 6, 8, 12, 20, 40, 80, 160, 480)  # steps, of the means that a linear forecast is made of
WAVES = 4  # of the time of day, in a linear forecast
_DAYS_BACK = 7
_NOTHING = 1e-9  # requests a second
_WIDE = 5.0  # deviations after which a weight is nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Remainder:
    """What a smoothed load leaves. `dispersion`: its variance in that of independent requests at the same rate.

    `autocorrelation`: with the remainder of `after` before, in units of which both have a variance of 1.
    """

    dispersion: float
    autocorrelation: float
    after: timedelta


def smoothed(load: Series, deviation: timedelta) -> Floats:
    """The load's mean around each step, itself included, by a normal density; [n]. No value may be missing."""
    spread = deviation / load.step
    reach = int(np.ceil(_WIDE * spread))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / spread) ** 2)
    padded = np.pad(load.values, reach, mode="reflect")
    return np.convolve(padded, weights / weights.sum(), mode="valid")


def remainder(load: Series, known: Floats, after: timedelta) -> Remainder:
    """How much `known` leaves, and how much of that could be told beforehand."""
    seconds, lag = load.step.total_seconds(), after // load.step
    left = (load.values - known) / np.sqrt(np.maximum(known, _NOTHING) / seconds)
    return Remainder(
        dispersion=float((left**2).mean()),
        autocorrelation=float(np.corrcoef(left[:-lag], left[lag:])[0, 1]),
        after=after,
    )


def linear(before: Series, load: Series, startup: timedelta, *, is_told_future: bool) -> Floats:
    """The best linear forecast of each step, in hindsight, from what was seen a start-up time before it; [n]."""
    values = np.concatenate([np.nan_to_num(before.values), load.values])
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places, day = np.arange(len(before), len(values)), timedelta(days=1) // load.step
    unseen = -(-startup // load.step)

    def mean(since: int, until: int) -> Floats:
        """Of the steps from `since` to before `until`, counted from each place on."""
        low, high = (np.clip(places + bound, 0, len(values)) for bound in (since, until))
        means: Floats = (sums[high] - sums[low]) / np.maximum(high - low, 1)
        return means

    terms = [np.ones(len(places)), *(mean(-unseen - reach, -unseen) for reach in (*REACHES, day))]
    terms += [mean(-days * day - 40, -days * day + 40) for days in range(1, _DAYS_BACK + 1)]
    angles = places % day / day * 2.0 * np.pi
    terms += [wave(order * angles) for order in range(1, WAVES + 1) for wave in (np.sin, np.cos)]
    if is_told_future:
        terms += [mean(1, 1 + reach) for reach in REACHES]
    weights = 1.0 / np.sqrt(smoothed(load, timedelta(minutes=10)))
    table = np.column_stack(terms)
    best = np.linalg.lstsq(table * weights[:, None], load.values * weights, rcond=None)[0]
    fitted: Floats = table @ best
    return fitted


def fewest_hours(load: Series, known: Floats, per_replica: float, objective: float, groups: int = GROUPS) -> float:
    """The fewest replica-hours at which the share `objective` of time is short, where equal `known` gets equal sizes.

    Steps are told apart into `groups`, by `known`. Between two allocations a mixture of both is allowed, so no
    allocation of one size to each group is cheaper.
    """
    order = np.argsort(known, kind="stable")
    parts = np.array_split(load.values[order], groups)
    most = int(np.ceil(load.values.max() / per_replica)) + 1
    tables = [(len(part), _short_counts(part, per_replica, most)) for part in parts]
    spent = float(sum(count for count, _ in tables))  # one replica each, as the least that a scaler keeps
    spare = sum(float(short[0]) for _, short in tables) - objective * len(load)
    bargains = sorted((one for count, short in tables for one in _bargains(count, short)), reverse=True)
    for _, saved, cost in bargains:
        if spare <= 0.0:
            break
        part = min(1.0, spare / saved)
        spent, spare = spent + part * cost, spare - part * saved
    return spent * (load.step / timedelta(hours=1))


def _short_counts(group: Floats, per_replica: float, most: int) -> Floats:
    """How many steps of the group are short with 1, 2 ... `most` replicas."""
    sizes = np.arange(1, most + 1) * per_replica * (1.0 + 1e-9)
    return len(group) - np.searchsorted(np.sort(group), sizes, side="right").astype(np.float64)


def _bargains(count: int, short: Floats) -> Iterator[tuple[float, float, float]]:
    """Short steps saved for each replica-step, all of them, and the cost, along the lower convex hull; best first."""
    size = 0
    while size < len(short) - 1 and short[size] > 0.0:
        slopes = (short[size] - short[size + 1 :]) / np.arange(1, len(short) - size)
        further = size + 1 + int(slopes.argmax())
        saved, cost = float(short[size] - short[further]), float(count * (further - size))
        yield saved / cost, saved, cost
        size = further
