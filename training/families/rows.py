"""What can be learned from series that have happened? Rows of features and of what came, from one series or many.

Every row is divided by its own level, so that the rows of all series can be stacked. Must not fit anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Session
from training.families.family import FitError, Past
from training.features import add_features, columns, keys
from training.graph import Graph
from training.windows import Window, futures, histories, origins

Floats = NDArray[np.float64]
Random = np.random.Generator  # noqa: TID251  # a type

BLOCKS = 5  # parts of each series, in order
_FEWEST_ROWS = 200
_MOST_ROWS = 20_000  # of all series together: neighbours tell almost the same
_PART = 1024  # rows whose histories are copied at once
_EXAMPLES = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """What the features graph gives for some origins, and what came; n rows, series by series and in order.

    `block`: [n], in which of the BLOCKS of its series a row lies. `matrix`: [n, columns]; `level`, `near`, `change`:
    [n]; `profile`: [n, horizon]; `came`: [n, keys], divided by the level as all but it, NaN where not recorded.
    """

    block: IntArray
    matrix: FloatArray
    level: FloatArray
    near: FloatArray
    change: FloatArray
    profile: FloatArray
    came: Floats

    def __len__(self) -> int:
        return len(self.level)

    @classmethod
    def stacked(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts, one after the other."""
        return cls(**{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lessons:
    """What a family learns from. `history`, `origin`: what the last of the rows were made of, for the examples.

    `skipped`: how many series held too little.
    """

    window: Window
    rows: Rows
    history: FloatArray
    origin: IntArray
    skipped: int


def lessons(pasts: Sequence[Past], window: Window, *, short: float = 0.0) -> Lessons:
    """The origins after the first season that have seen any load, thinned out alike in all series.

    `short`: the share of rows that are shown but one to two seasons of their history. Raises FitError.
    """
    random = np.random.default_rng(1)  # noqa: TID251  # seeded
    usable = [_usable(past.series, window) for past in pasts]
    kept = min(1.0, _MOST_ROWS / max(1, sum(map(len, usable))))
    reader = _Reader.of(window)
    samples = (_sample(places, window, random, kept=kept, short=short) for places in usable)
    read = [reader.read(past, sample) for past, sample in zip(pasts, samples, strict=True) if len(sample.place)]
    useful = [each for each in read if len(each.rows)]
    rows = Rows.stacked([each.rows for each in useful]) if useful else None
    if rows is None or not (np.isfinite(rows.came).sum(axis=0) >= _FEWEST_ROWS).all():
        raise _too_little(pasts, window)
    return Lessons(
        window=window,
        rows=rows,
        history=useful[-1].history,
        origin=useful[-1].origin,
        skipped=len(pasts) - len(useful),
    )


def _too_little(pasts: Sequence[Past], window: Window) -> FitError:
    longest = max((len(past.series) for past in pasts), default=0)
    return FitError(
        f"trees need a season ({window.season}), the horizon and {_FEWEST_ROWS} more steps with load above zero; "
        f"the series holds {longest} steps of {window.step}; give more history or use --family seasonal-naive"
    )


def _usable(series: Series, window: Window) -> IntArray:
    """The places that can teach; none in a series that is idle or too short."""
    # An origin in the midst of a gap would teach what the filling says.
    recorded = np.flatnonzero(np.isfinite(series.values))
    place = recorded[recorded >= window.slots]
    is_idle = not series.values[recorded].any()
    return place[:0] if is_idle or len(place) < _FEWEST_ROWS else place


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sample:
    """Which rows of a series are read. `shown`: how many steps of its history each sees; all [n]."""

    place: IntArray
    block: IntArray
    shown: IntArray


def _sample(places: IntArray, window: Window, random: Random, *, kept: float, short: float) -> _Sample:
    count = math.ceil(kept * len(places))
    chosen = np.sort(random.choice(len(places), count, replace=False))
    is_short = random.random(count) < short
    seasons = random.uniform(1, min(2, window.seasons), count)
    return _Sample(
        place=places[chosen],
        block=chosen * BLOCKS // len(places),
        shown=np.where(is_short, (seasons * window.slots).astype(np.int64), window.context),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Read:
    """Rows of one series and what the last of them have seen."""

    rows: Rows
    history: FloatArray
    origin: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """The features graph, compiled once for all series. `widths`: of matrix, level, near, change and profile."""

    window: Window
    session: Session
    widths: tuple[int, ...]

    @classmethod
    def of(cls, window: Window) -> Self:
        names = columns(window)
        widths = (len(names.shared) + len(keys(window)) * len(names.own), 1, 1, 1, window.horizon)
        graph = Graph(context=window.context)
        found = add_features(graph, window)
        bundle = graph.add("Concat", found.matrix, found.level, found.near, found.change, found.profile, axis=1)
        session = Session(graph.to_bytes(bundle, "bundle", ["batch", sum(widths)], {}))
        return cls(window=window, session=session, widths=widths)

    def read(self, past: Past, sample: _Sample) -> _Read:
        """The rows whose history holds any load."""
        seen, clock = histories(past.series, self.window), origins(past.series, past.zone)
        # In parts, because each of these histories is a copy of a whole context.
        parts = np.array_split(np.arange(len(sample.place)), 1 + len(sample.place) // _PART)
        values = np.concatenate(
            [self.session.run(self._shown(seen, sample, part), clock[sample.place[part]]) for part in parts]
        )
        matrix, level, near, change, profile = np.split(values, np.cumsum(self.widths)[:-1], axis=1)
        used = np.flatnonzero(level[:, 0] > 0)
        came = futures(past.series, self.window)[sample.place[used, None], np.array(keys(self.window)) - 1]
        rows = Rows(
            block=sample.block[used],
            matrix=matrix[used],
            level=level[used, 0],
            near=near[used, 0],
            change=change[used, 0],
            profile=profile[used],
            came=came / level[used],
        )
        last = used[-_EXAMPLES:]
        return _Read(rows=rows, history=self._shown(seen, sample, last), origin=clock[sample.place[last]])

    def _shown(self, seen: FloatArray, sample: _Sample, rows: IntArray) -> FloatArray:
        """A copy of the histories, NaN where they are not shown."""
        age = np.arange(self.window.context, 0, -1)
        return np.where(age <= sample.shown[rows, None], seen[sample.place[rows]], np.float32(np.nan))
