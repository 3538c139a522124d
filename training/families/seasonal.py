"""What would one expect without learning anything? The last value, or the value one season or a week ago.

The default where nothing is trained, and what every trained model has to beat. Only the width of the band is learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Session
from training.families.family import LEVELS, Examples, FitError, Fitted
from training.features import fill_gaps, season_ago
from training.graph import Graph
from training.windows import DAYS_IN_WEEK, Window, futures, histories, origins

_EXAMPLES = 64
_MOST_ROWS = 20_000  # more origins are thinned out: neighbours tell almost the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Naive:
    """A Gather on the history. `seasons`: how many seasons ago it looks; 0 takes the last value."""

    name: str
    seasons: int

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        """The point forecast with the band that its own past errors give. Raises FitError."""
        if self.seasons > window.seasons:
            raise FitError(f"{self.name} looks back {self.seasons} seasons; the context holds {window.seasons}")
        past = _past(self, series, window, zone)
        band = _band(past.errors())
        graph = Graph(context=window.context)
        point, scale = self.point_and_scale(graph, window)
        spread = graph.add("Mul", _column(graph, scale), graph.constant(band))
        quantiles = graph.add("Add", _column(graph, point), spread)
        return Fitted(
            family=self.name,
            graph=graph,
            quantiles=graph.add("Max", quantiles, graph.constant(0.0)),
            examples=past.examples(band),
        )

    def point_and_scale(self, graph: Graph, window: Window) -> tuple[str, str]:
        """The forecast and the unit of its errors, both [batch, horizon].

        Errors grow with the load, but less than in proportion to it, so their unit lies half-way between the level of
        the whole history and the forecast.
        """
        filled = fill_gaps(graph, window)
        places = season_ago(window, self.seasons) if self.seasons else [window.context - 1] * window.horizon
        point = graph.add("Gather", filled, graph.integers(places), axis=1)
        level = graph.add("ReduceMean", filled, graph.integers([1]), keepdims=1)
        return point, graph.add("Mul", graph.add("Add", point, level), graph.constant(0.5))


PERSISTENCE = Naive(name="persistence", seasons=0)
SEASONAL_NAIVE = Naive(name="seasonal-naive", seasons=1)
SEASONAL_NAIVE_WEEK = Naive(name="seasonal-naive-week", seasons=DAYS_IN_WEEK)


def _column(graph: Graph, value: str) -> str:
    return graph.add("Unsqueeze", value, graph.integers([-1]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Past:
    """What the point forecast would have said once it could look back so far, and what came; [n, horizon]."""

    history: FloatArray
    origin: IntArray
    point: FloatArray
    scale: FloatArray
    came: NDArray[np.float64]

    def errors(self) -> NDArray[np.float64]:
        """In units of the scale; NaN where not known. Raises FitError."""
        with np.errstate(divide="ignore", invalid="ignore"):  # an idle workload has no unit
            errors = (self.came - self.point) / self.scale
        errors[~np.isfinite(errors)] = np.nan
        if not np.isfinite(errors).any(axis=0).all():
            raise FitError(
                "the series must hold load above zero for longer than the seasons that are looked back and one horizon"
            )
        return errors

    def examples(self, band: FloatArray) -> Examples:
        """The last answers whose history is not empty, put together without the exported graph."""
        rows = np.flatnonzero(np.isfinite(self.point).all(axis=1))[-_EXAMPLES:]
        quantiles = self.point[rows][..., None] + self.scale[rows][..., None] * band
        return Examples(
            history=self.history[rows],
            origin=self.origin[rows],
            quantiles=np.maximum(quantiles, np.float32(0)),
        )


def _past(family: Naive, series: Series, window: Window, zone: tzinfo) -> _Past:
    graph = Graph(context=window.context)
    both = graph.add("Concat", *(_column(graph, part) for part in family.point_and_scale(graph, window)), axis=-1)
    session = Session(graph.to_bytes(both, "both", ["batch", window.horizon, 2], {}))
    kept = slice(max(1, family.seasons) * window.slots, None, 1 + len(series) // _MOST_ROWS)
    history, origin = histories(series, window)[kept], origins(series, zone)[kept]
    found = session.run(history, origin)
    return _Past(
        history=history,
        origin=origin,
        point=found[..., 0],
        scale=found[..., 1],
        came=futures(series, window)[kept],
    )


def _band(errors: NDArray[np.float64]) -> FloatArray:
    """The quantiles of the errors by step of the horizon, [horizon, levels], symmetric so that the median is zero.

    A naive forecast is as often too high as too low in the long run; what a finite span says else is chance.
    """
    both_ways = np.concatenate([errors, -errors])
    band: FloatArray = np.nanquantile(both_ways, LEVELS, axis=0).T.astype(np.float32)
    return np.maximum.accumulate(band, axis=1)
