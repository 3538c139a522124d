"""What can be learned from a series that has happened? Rows of features and of what came.

Every row is divided by its own level. Must not fit anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Session
from training.families.family import FitError
from training.features import add_features, columns, keys
from training.graph import Graph
from training.windows import Window, futures, histories, origins

Floats = NDArray[np.float64]

BLOCKS = 5  # parts of the series, in order
_FEWEST_ROWS = 200
_MOST_ROWS = 20_000  # neighbours tell almost the same
_PART = 1024  # rows whose histories are copied at once
_EXAMPLES = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """What the features graph gives for some origins, and what came; n rows, in order.

    `block`: [n], in which of the BLOCKS of the series a row lies. `matrix`: [n, columns]; `level`, `near`, `change`:
    [n]; `profile`: [n, horizon]; `came`: [n, keys], divided by the level as all but it, NaN where not recorded.
    `history`, `origin`: what the last of the rows were made of, for the examples.
    """

    block: IntArray
    matrix: FloatArray
    level: FloatArray
    near: FloatArray
    change: FloatArray
    profile: FloatArray
    came: Floats
    history: FloatArray
    origin: IntArray


def rows_of(series: Series, zone: tzinfo, window: Window) -> Rows:
    """The origins after the first season that have seen any load, thinned out. Raises FitError."""
    places, block = _sample(series, window)
    seen, clock = histories(series, window), origins(series, zone)
    values, widths = _features(window, seen, clock, places)
    matrix, level, near, change, profile = np.split(values, np.cumsum(widths)[:-1], axis=1)
    used = np.flatnonzero(level[:, 0] > 0)
    came = futures(series, window)[places[used, None], np.array(keys(window)) - 1]
    if not (np.isfinite(came).sum(axis=0) >= _FEWEST_ROWS).all():
        raise _too_little(series, window)
    last = places[used[-_EXAMPLES:]]
    return Rows(
        block=block[used],
        matrix=matrix[used],
        level=level[used, 0],
        near=near[used, 0],
        change=change[used, 0],
        profile=profile[used],
        came=came / level[used],
        history=seen[last],
        origin=clock[last],
    )


def _too_little(series: Series, window: Window) -> FitError:
    return FitError(
        f"trees need a season ({window.season}), the horizon and {_FEWEST_ROWS} more steps with load above zero; "
        f"the series holds {len(series)} steps of {window.step}; give more history or use --family seasonal-naive"
    )


def _sample(series: Series, window: Window) -> tuple[IntArray, IntArray]:
    """Where the origins are and in which block each lies, [n] each. Raises FitError where it is idle or too short."""
    # An origin in the midst of a gap would teach what the filling says.
    recorded = np.flatnonzero(np.isfinite(series.values))
    places = recorded[recorded >= window.slots]
    if len(places) < _FEWEST_ROWS or not series.values[recorded].any():
        raise _too_little(series, window)
    random = np.random.default_rng(1)  # noqa: TID251  # seeded
    count = math.ceil(min(1.0, _MOST_ROWS / len(places)) * len(places))
    chosen = np.sort(random.choice(len(places), count, replace=False))
    return places[chosen], chosen * BLOCKS // len(places)


def _features(window: Window, seen: FloatArray, clock: IntArray, places: IntArray) -> tuple[FloatArray, list[int]]:
    """The features graph's matrix, level, near, change and profile side by side, and how wide each of these is."""
    names = columns(window)
    widths = [len(names.shared) + len(keys(window)) * len(names.own), 1, 1, 1, window.horizon]
    graph = Graph(context=window.context)
    found = add_features(graph, window)
    bundle = graph.add("Concat", found.matrix, found.level, found.near, found.change, found.profile, axis=1)
    session = Session(graph.to_bytes(bundle, "bundle", ["batch", sum(widths)], {}))
    # In parts, because each of these histories is a copy of a whole context.
    parts = np.array_split(places, 1 + len(places) // _PART)
    return np.concatenate([session.run(seen[part], clock[part]) for part in parts]), widths
