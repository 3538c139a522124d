"""What is left of a series when it is divided by its level? Scaled values, and when and after what each was seen.

The level is the mean of the history, as the exported graph computes it. Must not fit anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Self

import numpy as np

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Session
from training.families.family import FitError
from training.families.weekly import slots_of
from training.features import fill_gaps
from training.graph import Graph
from training.measures import Floats
from training.windows import Window, futures, histories, origins

_REHEARSED = 0.8  # the share of the span that a rehearsal learns from; errors are measured on the rest
_LEVELS_A_SEASON = 48  # the level, a mean of days, is computed that often and linear between
_MOST_ROWS = 2_000  # origins that errors are measured at; more are thinned out
_FEWEST_STEPS = 50  # to tell what is usual from, where a season has fewer
_PART = 256  # rows whose histories are copied at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaled:
    """A series divided by its level; n steps.

    `values`: [n], NaN where not recorded, idle, or in the first season, whose level is not yet one. `slot`: [n], which
    step of the week. `seen`, `clock`: what is seen at each step, and when.
    """

    series: Series
    window: Window
    values: Floats
    slot: IntArray
    seen: FloatArray
    clock: IntArray

    @classmethod
    def of(cls, series: Series, window: Window, zone: tzinfo) -> Self:
        """Raises FitError where the series holds too little to tell what is usual from what is not."""
        seen, clock = histories(series, window), origins(series, zone)
        found = cls(
            series=series,
            window=window,
            values=np.full(len(series), np.nan),
            slot=slots_of(clock, window),
            seen=seen,
            clock=clock,
        )
        is_used = np.arange(len(series)) >= window.slots
        if is_used.any():
            level = found._levels()
            np.divide(series.values, level, out=found.values, where=is_used & (level > 0))
        if np.isfinite(found.values[: found.boundary]).sum() < max(window.slots, _FEWEST_STEPS):
            raise FitError(
                f"what is usual takes three seasons ({window.season}) with load above zero to show; the series "
                f"holds {len(series)} steps of {window.step}; give more history or use --family seasonal-naive"
            )
        if not np.isfinite(found.values[found.boundary :]).any():
            raise FitError("the last fifth of the series holds no load; give more history or choose another span")
        return found

    def __len__(self) -> int:
        return len(self.values)

    @property
    def boundary(self) -> int:
        """Where the last fifth begins; the first season does not count."""
        return round(self.window.slots + _REHEARSED * max(0, len(self) - self.window.slots))

    @property
    def late(self) -> IntArray:
        """The origins in the last fifth, as `rows` has them."""
        return self.rows(self.boundary)

    def rows(self, since: int) -> IntArray:
        """The origins from the step `since` on that recorded and saw load, thinned out evenly."""
        usable = since + np.flatnonzero(np.isfinite(self.values[since:]))
        return usable[:: max(1, -(-len(usable) // _MOST_ROWS))]

    def until(self, count: int) -> Self:
        """The first `count` steps; what comes after the last of them is not known."""
        end = self.series.end - (len(self) - count) * self.series.step
        return replace(
            self,
            series=self.series.until(end),
            values=self.values[:count],
            slot=self.slot[:count],
            seen=self.seen[:count],
            clock=self.clock[:count],
        )

    def came(self, places: IntArray) -> Floats:
        """What came after the places, [n, horizon], in the metric's unit; NaN where not recorded."""
        return futures(self.series, self.window)[places]

    def last(self, count: int) -> IntArray:
        """The last origins that recorded and saw load."""
        return np.flatnonzero(np.isfinite(self.values))[-count:]

    def remainder(self, usual: Floats) -> Floats:
        """What is left of the values when what is usual in a week, [week], is taken away; [n]."""
        return self.values - usual[self.slot]

    def run(self, graph: Graph, value: str, width: int, places: IntArray) -> Floats:
        """The value, [batch, width], of a graph at the places, without a copy of all their histories at once."""
        session = Session(graph.to_bytes(value, "value", ["batch", width], {}))
        parts = np.array_split(places, 1 + len(places) // _PART)
        return np.concatenate([session.run(self.seen[part], self.clock[part]) for part in parts]).astype(np.float64)

    def filled(self, places: IntArray) -> Floats:
        """What is seen at the places, its gaps filled as in the exported graph; [n, context]."""
        graph = Graph(context=self.window.context)
        return self.run(graph, fill_gaps(graph, self.window), self.window.context, places)

    def _levels(self) -> Floats:
        """The level of the history that ends with each step, [n]."""
        graph = Graph(context=self.window.context)
        every = max(1, self.window.slots // _LEVELS_A_SEASON)
        places = np.arange(len(self) - 1, -1, -every)[::-1]
        found = self.run(graph, add_level(graph, fill_gaps(graph, self.window)), 1, places)[:, 0]
        return np.interp(np.arange(len(self)), places, found)


def add_level(graph: Graph, filled: str) -> str:
    """The mean of a history without gaps, [batch, 1]."""
    return graph.add("ReduceMean", filled, graph.integers([1]), keepdims=1)


def columns(graph: Graph, value: str, start: int, end: int) -> str:
    """Some columns of a value [batch, n]."""
    return graph.add("Slice", value, graph.integers([start]), graph.integers([end]), graph.integers([1]))
