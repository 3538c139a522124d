"""What does the time of the week say? A regression on Fourier terms, written down as one value for each step of a week.

What is known of all days alike is trusted first, then what sets the weekend apart, and last what a single day of the
week does by itself; what is too sharp for the terms is added as far as it is more than chance. A week is seven seasons.
Must not know what the load was just now.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.forecaster import IntArray
from training.graph import Graph
from training.measures import Floats
from training.windows import DAYS_IN_WEEK, Window

_HARMONICS = 10  # of a season: what rises or falls within an hour of a day is still seen
_OWN_HARMONICS = 2  # of a season, for what a single day of the week does by itself
_WEEKEND = (2, 3)  # days since Thursday, 1 January 1970
# Seasons that a term has to be seen in until it is half believed.
_DOUBT, _OWN_DOUBT = 0.1, 3.5
_HALF_LIFE = 28  # seasons after which what was seen counts half
_ODD = 3.0  # a value this many robust deviations away counts less, in proportion
_ROUNDS = 4  # of weighing the odd ones anew; it has settled by then
_UNSEEN = 1e-9  # a weight that no step has had
_DEVIATION = 1.4826  # of a normal distribution, in median absolute errors


def week_of(window: Window) -> int:
    """Steps in a week."""
    return DAYS_IN_WEEK * window.slots


def slots_of(clock: IntArray, window: Window) -> IntArray:
    """Which step of the week ends at each local time; the week begins with that of 1 January 1970."""
    return (clock // round(window.step.total_seconds()) - 1) % week_of(window)


def add_slot(graph: Graph, window: Window) -> str:
    """Which step of the week ends at the origin, [batch], as `slots_of` says."""
    ended = graph.add("Div", graph.origin, graph.integers(round(window.step.total_seconds())))
    return graph.add("Mod", graph.add("Sub", ended, graph.integers(1)), graph.integers(week_of(window)))


def is_weekend(slot: IntArray, window: Window) -> NDArray[np.bool_]:
    """Whether the steps of the week lie in its weekend."""
    return np.isin(slot // window.slots, _WEEKEND)


def fit_week(values: Floats, slot: IntArray, window: Window) -> Floats:
    """What is usual at each step of a week, [week]. `values`, `slot`: [n], the newest last; at least one not NaN."""
    is_known = np.isfinite(values)
    known, place = values[is_known], slot[is_known]
    age = np.arange(len(values) - 1, -1, -1)[is_known] / window.slots
    recency = 0.5 ** (age / _HALF_LIFE)
    weight = recency
    for _ in range(_ROUNDS):
        usual = _regress(known, place, weight, window)
        usual = usual + _sharp(known - usual[place], place, weight, window)
        weight = recency * _ordinary(known - usual[place])
    return usual


def _ordinary(errors: Floats) -> Floats:
    """1, but less for the odd ones (Huber's weights)."""
    size = np.abs(errors)
    limit = _ODD * _DEVIATION * float(np.median(size))
    return np.divide(limit, size, out=np.ones_like(size), where=size > limit)


def _regress(values: Floats, slot: IntArray, weight: Floats, window: Window) -> Floats:
    terms, doubt = _terms(window)
    counted = np.bincount(slot, weight, week_of(window))
    summed = np.bincount(slot, weight * values, week_of(window))
    found: Floats = terms @ np.linalg.solve(terms.T @ (terms * counted[:, None]) + np.diag(doubt), terms.T @ summed)
    return found


def _sharp(errors: Floats, slot: IntArray, weight: Floats, window: Window) -> Floats:
    """What recurs at single steps of each season, as jobs by the clock do, [week]; none where that may be chance.

    The mean of each step, shrunk as James and Stein do: by how much of the differences between the means is chance.
    """
    place = slot % window.slots
    counted = np.bincount(place, weight, window.slots)
    seen = np.maximum(counted, _UNSEEN)
    mean = np.bincount(place, weight * errors, window.slots) / seen
    apart = np.square(errors - mean[place])
    chance = np.bincount(place, np.square(weight) * apart, window.slots) / np.square(seen)
    between = float(np.square(mean).sum())
    share = max(0.0, 1 - float(chance.sum()) / between) if between > 0 else 0.0
    return np.tile(share * mean, DAYS_IN_WEEK)


def _terms(window: Window) -> tuple[Floats, Floats]:
    """The terms at each step of a week, [week, terms], and how much of it each has to outweigh, [terms]."""
    slot = np.arange(week_of(window))
    day, angle = slot // window.slots, 2 * np.pi * (slot % window.slots + 0.5) / window.slots
    season = _fourier(angle, min(_HARMONICS, (window.slots - 1) // 2))
    alone = _fourier(angle, min(_OWN_HARMONICS, (window.slots - 1) // 2))
    weekend = _centred(is_weekend(slot, window))
    days = [_centred(day == each) * alone for each in range(DAYS_IN_WEEK)]
    shared = np.concatenate([season, weekend * season], axis=1)
    doubt = [np.full(shared.shape[1], _DOUBT), np.full(DAYS_IN_WEEK * alone.shape[1], _OWN_DOUBT)]
    weights = window.slots * np.concatenate(doubt)
    weights[0] = 1e-6 * window.slots  # the mean is not doubted, but where nothing counts there must be some answer
    return np.concatenate([shared, *days], axis=1), weights


def _fourier(angle: Floats, harmonics: int) -> Floats:
    """[n, 1 + 2 harmonics]; the first column is 1."""
    each = angle[:, None] * np.arange(1, harmonics + 1)
    return np.concatenate([np.ones((len(angle), 1)), np.sin(each), np.cos(each)], axis=1)


def _centred(flags: NDArray[np.bool_]) -> Floats:
    column: Floats = (flags - flags.mean())[:, None]
    return column
