"""How does a linear filter become a model file? Scaled history times a matrix, plus what the time of the week says.

The load, divided by its level, is what is usual at the time of the week and a remainder. A linear filter forecasts the
remainder, and its forecast is an affine map of the history: a matrix, and an offset for each step of the week. Must
not know which filter it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Protocol, Self

import numpy as np

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Session
from training.families.bands import add_quantiles, band_of, quantiles_of, unit_of
from training.families.family import Examples, FitError, Fitted, Progress
from training.families.weekly import add_slot, fit_week, slots_of, week_of
from training.features import fill_gaps
from training.graph import Graph
from training.measures import Floats
from training.windows import Window, futures, histories, origins

_REHEARSED = 0.8  # the share of the span that the filters learn from before they are compared on the rest
_MOST_STEPS = 20_000  # that a filter learns from, the newest; more would tell it the same again
_MOST_ROWS = 2_000  # origins that errors are measured at; more are thinned out
_LEVELS_A_SEASON = 48  # the level, a mean of days, is computed that often and linear between
_EXAMPLES = 16
_PART = 256  # rows whose histories are copied at once
_NEGLIGIBLE = 1e-5  # of the level: what older steps may add up to and still be left out
_NO_SPREAD = 1e-6  # of the level: below it a remainder is rounding


class Filter(Protocol):
    """A fitted linear filter. Remainders are divided by the level, the newest last, NaN where not recorded."""

    @property
    def parameters(self) -> int:
        """How many were fitted."""
        ...

    def errors(self, remainder: Floats) -> Floats:
        """What came at each step less what was expected one step before, [n]."""
        ...

    def forecast(self, remainder: Floats, horizon: int) -> Floats:
        """What is expected after a whole context without gaps, [horizon], as the library itself says."""
        ...

    def kernel(self, window: Window) -> Floats:
        """How much each step of a whole context counts in that, [horizon, context]."""
        ...


class Candidate(Protocol):
    """A filter that is not yet fitted."""

    def fit(self, remainder: Floats, window: Window) -> Filter:
        """Learn from all of it. Raises FitError where that fails."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """Candidate and filter in one: nothing but what is usual is ever expected."""

    parameters: int = 0

    def fit(self, _remainder: Floats, _window: Window) -> Self:
        """There is nothing to learn."""
        return self

    def errors(self, remainder: Floats) -> Floats:
        """All of it."""
        return remainder

    def forecast(self, _remainder: Floats, horizon: int) -> Floats:
        """None."""
        return np.zeros(horizon)

    def kernel(self, window: Window) -> Floats:
        """Nothing counts."""
        return np.zeros((window.horizon, window.context))


def fit_affine(
    name: str,
    candidates: Sequence[Candidate],
    past: Scaled,
    progress: Progress,
) -> Fitted:
    """The candidate that an information criterion likes best on the last fifth, then fitted on all. Raises FitError."""
    early = past.first(past.boundary)
    usual = fit_week(early.values, early.slot, past.window)
    chosen = _chosen(candidates, past, usual, progress)
    rehearsal = _Model(usual=usual, filter=_fit(chosen, early, usual), window=past.window)
    band = band_of(_late_errors(rehearsal, past))
    usual = fit_week(past.values, past.slot, past.window)
    model = _Model(usual=usual, filter=_fit(chosen, past, usual), window=past.window)
    progress(len(candidates) + 1, len(candidates) + 1)
    graph = Graph(context=past.window.context)
    centre, level = model.add_to(graph)
    return Fitted(
        family=name,
        graph=graph,
        quantiles=add_quantiles(graph, centre, level, band),
        examples=_examples(model, past, band),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaled:
    """A series divided by its level; n steps.

    `values`: [n], NaN where not recorded, idle, or in the first season, whose level is not yet one. `slot`: [n], which
    step of the week. `seen`, `clock`, `came`: what is seen at each step, when, and what comes after.
    """

    window: Window
    values: Floats
    slot: IntArray
    seen: FloatArray
    clock: IntArray
    came: Floats

    @classmethod
    def of(cls, series: Series, window: Window, zone: tzinfo) -> Self:
        """Raises FitError where the series holds too little to tell what is usual from what is not."""
        seen, clock = histories(series, window), origins(series, zone)
        level = _levels(seen, clock, window)
        is_idle = ~(level > 0)
        values = np.divide(series.values, level, out=np.full(len(series), np.nan), where=~is_idle)
        values[: window.slots] = np.nan
        found = cls(
            window=window, values=values, slot=slots_of(clock, window), seen=seen, clock=clock,
            came=futures(series, window),
        )  # fmt: skip
        if np.isfinite(found.first(found.boundary).values).sum() < window.slots:
            raise FitError(
                f"what is usual shows in three seasons ({window.season}) with load above zero at the least; the series "
                f"holds {len(series)} steps of {window.step}; give more history or use --family seasonal-naive"
            )
        return found

    @property
    def boundary(self) -> int:
        """Where the last fifth begins; the first season does not count."""
        return round(self.window.slots + _REHEARSED * max(0, len(self.values) - self.window.slots))

    def first(self, count: int) -> Self:
        """The first `count` steps."""
        return type(self)(
            window=self.window, values=self.values[:count], slot=self.slot[:count], seen=self.seen[:count],
            clock=self.clock[:count], came=self.came[:count],
        )  # fmt: skip

    def remainder(self, usual: Floats) -> Floats:
        """What is left of the values when the usual is taken away, the newest `_MOST_STEPS`."""
        return (self.values - usual[self.slot])[-_MOST_STEPS:]

    def rows(self, since: int, most: int) -> IntArray:
        """Up to `most` origins from the step `since` on, evenly among those that recorded and saw load."""
        usable = since + np.flatnonzero(np.isfinite(self.values[since:]))
        return usable[:: max(1, -(-len(usable) // most))]


def _levels(seen: FloatArray, clock: IntArray, window: Window) -> Floats:
    """The level of the history that ends with each step, [n]."""
    graph = Graph(context=window.context)
    session = Session(graph.to_bytes(_add_level(graph, fill_gaps(graph, window)), "level", ["batch", 1], {}))
    every = max(1, window.slots // _LEVELS_A_SEASON)
    places = np.arange(len(seen) - 1, -1, -every)[::-1]
    found = run_in_parts(session, seen, clock, places)[:, 0]
    return np.interp(np.arange(len(seen)), places, found)


def run_in_parts(session: Session, seen: FloatArray, clock: IntArray, places: IntArray) -> FloatArray:
    """What the session answers at the places, without a copy of all their histories at once."""
    parts = np.array_split(places, 1 + len(places) // _PART)
    return np.concatenate([session.run(seen[part], clock[part]) for part in parts])


def _add_level(graph: Graph, filled: str) -> str:
    return graph.add("ReduceMean", filled, graph.integers([1]), keepdims=1)


def _chosen(candidates: Sequence[Candidate], past: Scaled, usual: Floats, progress: Progress) -> Candidate:
    """By Akaike's criterion on the last fifth, which none was fitted on."""
    early, remainder = past.first(past.boundary), past.remainder(usual)
    late = remainder[past.boundary - len(past.values) :]
    best, best_value = Still(), _criterion(Still(), remainder, len(late))
    chosen: Candidate = best
    for done, candidate in enumerate(candidates, 1):
        try:
            value = _criterion(_fit(candidate, early, usual), remainder, len(late))
        except FitError:
            continue  # the others are there
        if value < best_value:
            chosen, best_value = candidate, value
        progress(done, len(candidates) + 1)
    return chosen


def _criterion(fitted: Filter, remainder: Floats, last: int) -> float:
    """Of one-step errors on the last steps, if they were normal."""
    errors = fitted.errors(remainder)[-last:]
    errors = errors[np.isfinite(errors)]
    if not len(errors):
        raise FitError("the last fifth of the series holds no load; choose another span")
    return len(errors) * float(np.log(np.mean(np.square(errors)) + _NO_SPREAD**2)) + 2 * fitted.parameters


def _fit(candidate: Candidate, past: Scaled, usual: Floats) -> Filter:
    remainder = past.remainder(usual)
    if float(np.nanstd(remainder)) < _NO_SPREAD:
        return Still()
    with warnings.catch_warnings():
        # A fit that has not converged is judged by its errors like any other.
        warnings.simplefilter("ignore")
        return candidate.fit(remainder, past.window)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Model:
    """What is usual, [week], and the filter of what is not."""

    usual: Floats
    filter: Filter
    window: Window

    def add_to(self, graph: Graph) -> tuple[str, str]:
        """The centre, [batch, horizon], divided by the level, and the level, [batch, 1]."""
        filled = fill_gaps(graph, self.window)
        level = _add_level(graph, filled)
        is_idle = graph.add("Equal", level, graph.constant(0.0))
        scaled = graph.add("Div", filled, graph.add("Where", is_idle, graph.constant(1.0), level))
        kernel = _trimmed(self.filter.kernel(self.window))
        ends = (graph.integers([-kernel.shape[1]]), graph.integers([self.window.context]), graph.integers([1]))
        moved = graph.add("MatMul", graph.add("Slice", scaled, *ends), graph.constant(kernel.T))
        offset = graph.add("Gather", graph.constant(self._offsets(kernel)), add_slot(graph, self.window), axis=0)
        return graph.add("Add", offset, moved), level

    def _offsets(self, kernel: Floats) -> Floats:
        """What is usual at the steps to come, less what the kernel makes of the usual before; [week, horizon]."""
        week = week_of(self.window)
        before, after = np.arange(1 - kernel.shape[1], 1), np.arange(1, self.window.horizon + 1)
        parts = np.array_split(np.arange(week), 1 + week // _PART)
        expected = [
            self.usual[(part[:, None] + after) % week] - self.usual[(part[:, None] + before) % week] @ kernel.T
            for part in parts
        ]
        return np.concatenate(expected)

    def answer(self, filled: Floats, level: float, slot: int) -> Floats:
        """The centre of one row, [horizon], as the filter's own library has it."""
        week, horizon = week_of(self.window), self.window.horizon
        before = self.usual[(slot + np.arange(1 - len(filled), 1)) % week]
        return self.usual[(slot + np.arange(1, horizon + 1)) % week] + self.filter.forecast(
            filled / level - before, horizon
        )


def _trimmed(kernel: Floats) -> Floats:
    """Without the oldest steps, as long as they add up to nothing; [horizon, reach], at least one step."""
    oldest = np.cumsum(np.abs(kernel), axis=1).max(axis=0)
    return kernel[:, min(int(np.searchsorted(oldest, _NEGLIGIBLE)), kernel.shape[1] - 1) :]


def _late_errors(model: _Model, past: Scaled) -> Floats:
    """How far the graph is off on the last fifth, [n, horizon], in the units that bands have."""
    graph = Graph(context=past.window.context)
    both = graph.add("Concat", *model.add_to(graph), axis=1)
    session = Session(graph.to_bytes(both, "both", ["batch", past.window.horizon + 1], {}))
    places = past.rows(past.boundary, _MOST_ROWS)
    found = run_in_parts(session, past.seen, past.clock, places).astype(np.float64)
    centre, level = found[:, :-1], found[:, -1:]
    errors: Floats = (past.came[places] / level - centre) / unit_of(centre)
    return errors


def _examples(model: _Model, past: Scaled, band: Floats) -> Examples:
    """The last rows; gaps are filled as in the graph, and all else is the library's."""
    places = past.rows(past.window.slots, len(past.values))[-_EXAMPLES:]
    graph = Graph(context=past.window.context)
    filled_name = fill_gaps(graph, past.window)
    session = Session(graph.to_bytes(filled_name, "filled", ["batch", past.window.context], {}))
    filled = run_in_parts(session, past.seen, past.clock, places).astype(np.float64)
    level = filled.mean(axis=1)
    rows = zip(filled, level, past.slot[places], strict=True)
    centre = np.stack([model.answer(row, float(mean), int(slot)) for row, mean, slot in rows])
    return Examples(
        history=past.seen[places],
        origin=past.clock[places],
        quantiles=quantiles_of(centre, level[:, None], band),
    )
