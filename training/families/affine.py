"""How does a linear filter become a model file? Scaled history times a matrix, plus what the time of the week says.

The load, divided by its level, is what is usual at the time of the week and a remainder. A linear filter forecasts the
remainder, and its forecast is an affine map of the history: a matrix, and an offset for each step of the week. Must
not know which filter it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from controller.forecaster import IntArray
from training.families.bands import add_quantiles, band_of, quantiles_of, unit_of
from training.families.family import Examples, FitError, Fitted, Progress
from training.families.scaled import Scaled, add_level
from training.families.weekly import add_slot, fit_week, week_of
from training.features import fill_gaps
from training.graph import Graph
from training.measures import Floats
from training.windows import Window

_MOST_STEPS = 20_000  # that a filter learns from, the newest; more would tell it the same again
_EXAMPLES = 16
_PART = 256  # slots whose past is laid out at once
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


def fit_affine(name: str, candidates: Sequence[Candidate], past: Scaled, progress: Progress) -> Fitted:
    """The candidate that an information criterion likes best on the last fifth, then fitted on all. Raises FitError."""
    usual = fit_week(past.values[: past.boundary], past.slot[: past.boundary], past.window)
    chosen, rehearsed = _chosen(candidates, past.remainder(usual), past, progress)
    band = band_of(_late_errors(_Model(usual=usual, filter=rehearsed, window=past.window), past))
    usual = fit_week(past.values, past.slot, past.window)
    model = _Model(usual=usual, filter=_fit(chosen, past.remainder(usual), past.window), window=past.window)
    progress(len(candidates) + 1, len(candidates) + 1)
    graph = Graph(context=past.window.context)
    centre, level = model.add_to(graph)
    return Fitted(
        family=name,
        graph=graph,
        quantiles=add_quantiles(graph, centre, level, band),
        examples=_examples(model, past, band),
    )


def _chosen(
    candidates: Sequence[Candidate], remainder: Floats, past: Scaled, progress: Progress
) -> tuple[Candidate, Filter]:
    """By Akaike's criterion on the last fifth, which none was fitted on; with what was fitted on the rest."""
    last = len(past) - past.boundary
    best: tuple[Candidate, Filter] = (Still(), Still())
    least = _criterion(best[1], remainder, last)
    for done, candidate in enumerate(candidates, 1):
        try:
            fitted = _fit(candidate, remainder[:-last], past.window)
        except FitError:
            continue  # the others are there
        value = _criterion(fitted, remainder, last)
        if value < least:
            best, least = (candidate, fitted), value
        progress(done, len(candidates) + 1)
    return best


def _criterion(fitted: Filter, remainder: Floats, last: int) -> float:
    """Of one-step errors on the last steps, if they were normal."""
    errors = fitted.errors(remainder[-_MOST_STEPS:])[-last:]
    errors = errors[np.isfinite(errors)]
    return len(errors) * float(np.log(np.mean(np.square(errors)) + _NO_SPREAD**2)) + 2 * fitted.parameters


def _fit(candidate: Candidate, remainder: Floats, window: Window) -> Filter:
    used = remainder[-_MOST_STEPS:]
    known = used[np.isfinite(used)]
    if not len(known) or float(known.std()) < _NO_SPREAD:
        return Still()
    with warnings.catch_warnings():
        # A fit that has not converged is judged by its errors like any other.
        warnings.simplefilter("ignore")
        return candidate.fit(used, window)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Model:
    """What is usual, [week], and the filter of what is not."""

    usual: Floats
    filter: Filter
    window: Window

    def add_to(self, graph: Graph) -> tuple[str, str]:
        """The centre, [batch, horizon], divided by the level, and the level, [batch, 1]."""
        filled = fill_gaps(graph, self.window)
        level = add_level(graph, filled)
        is_idle = graph.add("Equal", level, graph.constant(0.0))
        scaled = graph.add("Div", filled, graph.add("Where", is_idle, graph.constant(1.0), level))
        kernel = _trimmed(self.filter.kernel(self.window))
        ends = (graph.integers([-kernel.shape[1]]), graph.integers([self.window.context]), graph.integers([1]))
        moved = graph.add("MatMul", graph.add("Slice", scaled, *ends), graph.constant(kernel.T))
        offset = graph.add("Gather", graph.constant(self._offsets(kernel)), add_slot(graph, self.window), axis=0)
        return graph.add("Add", offset, moved), level

    def _offsets(self, kernel: Floats) -> Floats:
        """What is usual at the steps to come, less what the kernel makes of the usual before; [week, horizon]."""
        before, after = np.arange(1 - kernel.shape[1], 1), np.arange(1, self.window.horizon + 1)
        slots = np.arange(week_of(self.window))
        parts = np.array_split(slots, 1 + len(slots) // _PART)
        return np.concatenate([self._around(part, after) - self._around(part, before) @ kernel.T for part in parts])

    def _around(self, slot: IntArray, steps: IntArray) -> Floats:
        """What is usual at some steps from each slot, [slots, steps]."""
        return np.take(self.usual, slot[:, None] + steps, mode="wrap")

    def answer(self, scaled: Floats, slot: IntArray) -> Floats:
        """The centre of each row of `scaled` [n, context], as the filter's own library has it; [n, horizon]."""
        horizon = self.window.horizon
        remainder = scaled - self._around(slot, np.arange(1 - scaled.shape[1], 1))
        moved = np.stack([self.filter.forecast(row, horizon) for row in remainder])
        return self._around(slot, np.arange(1, horizon + 1)) + moved


def _trimmed(kernel: Floats) -> Floats:
    """Without the oldest steps, as long as they add up to nothing; [horizon, reach], at least one step."""
    oldest = np.cumsum(np.abs(kernel), axis=1).max(axis=0)
    return kernel[:, min(int(np.searchsorted(oldest, _NEGLIGIBLE)), kernel.shape[1] - 1) :]


def _late_errors(model: _Model, past: Scaled) -> Floats:
    """How far the graph is off on the last fifth, [n, horizon], in the units that bands have."""
    graph, places = Graph(context=past.window.context), past.late
    both = graph.add("Concat", *model.add_to(graph), axis=1)
    found = past.run(graph, both, past.window.horizon + 1, places)
    centre, level = found[:, :-1], found[:, -1:]
    return np.asarray((past.came[places] / level - centre) / unit_of(centre), np.float64)


def _examples(model: _Model, past: Scaled, band: Floats) -> Examples:
    """The last rows; gaps are filled as in the graph, and all else is the library's."""
    places = past.last(_EXAMPLES)
    filled = past.filled(places)
    level = filled.mean(axis=1, keepdims=True)
    centre = model.answer(filled / level, past.slot[places])
    return Examples(
        history=past.seen[places],
        origin=past.clock[places],
        quantiles=quantiles_of(centre, level, band),
    )
