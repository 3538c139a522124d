"""How does a linear filter become a model file? Scaled history times a matrix, plus what the time of the week says.

The load, divided by its level, is what is usual at the time of the week and a remainder. A linear filter forecasts the
remainder, so its forecast is a matrix times the remainder, and with the usual an affine map of the history. Must not
know which filter it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from controller.forecaster import IntArray
from training.families.bands import add_quantiles, band_of, quantiles_of, unit_of
from training.families.family import Examples, Fitted, Progress
from training.families.filters import Candidate, Filter, choose, fit
from training.families.scaled import Scaled, add_level, columns
from training.families.weekly import add_slot, fit_week, week_of
from training.features import fill_gaps
from training.graph import Graph
from training.measures import Floats
from training.windows import Window

_EXAMPLES = 16
_DOUBT = 3.5  # seasons until what lasts is half believed
_NEGLIGIBLE = 1e-5  # of the level: what older steps may add up to and still be left out


def fit_affine(name: str, candidates: Sequence[Candidate], past: Scaled, progress: Progress) -> Fitted:
    """The candidate that an information criterion likes best on the last fifth, then fitted on all. Raises FitError."""
    early = past.until(past.boundary)
    usual = fit_week(early.values, early.slot, past.window)
    chosen, rehearsed = choose(candidates, past.remainder(usual), len(past) - len(early), past.window, progress)
    rehearsal, known = _corrected(usual, rehearsed, early)
    band = band_of(_errors(rehearsal, past, past.late).in_units, np.nanmedian(known.in_units, axis=0))
    usual = fit_week(past.values, past.slot, past.window)
    model, _ = _corrected(usual, fit(chosen, past.remainder(usual), past.window), past)
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
class _Model:
    """What is usual, [week], and the filter of what is not.

    `gain`: [horizon], how much of the mean remainder over the last season the filter leaves out.
    """

    usual: Floats
    filter: Filter
    window: Window
    gain: Floats

    def add_to(self, graph: Graph) -> tuple[str, str]:
        """The centre, [batch, horizon], divided by the level, and the level, [batch, 1]."""
        filled = fill_gaps(graph, self.window)
        level = add_level(graph, filled)
        is_idle = graph.add("Equal", level, graph.constant(0.0))
        scaled = graph.add("Div", filled, graph.add("Where", is_idle, graph.constant(1.0), level))
        kernel = _trimmed(self._kernel())
        reach, context = kernel.shape[1], self.window.context
        usual = self._add_usual(graph, reach)
        remainder = graph.add("Sub", columns(graph, scaled, context - reach, context), columns(graph, usual, 0, reach))
        after = columns(graph, usual, reach, reach + self.window.horizon)
        return graph.add("Add", after, graph.add("MatMul", remainder, graph.constant(kernel.T))), level

    def _add_usual(self, graph: Graph, reach: int) -> str:
        """What is usual at the last steps, as far as the kernel reaches, and over the horizon."""
        week, steps = week_of(self.window), reach + self.window.horizon
        table = np.take(self.usual, np.arange(week + steps) - (reach - 1), mode="wrap")
        slot = graph.add("Unsqueeze", add_slot(graph, self.window), graph.integers([1]))
        return graph.add("Gather", graph.constant(table), graph.add("Add", slot, graph.integers(np.arange(steps))))

    def _kernel(self) -> Floats:
        kernel = self.filter.kernel(self.window).copy()
        kernel[:, -self.window.slots :] += self.gain[:, None] / self.window.slots
        return kernel

    def _around(self, slot: IntArray, steps: IntArray) -> Floats:
        """What is usual at some steps from each slot, [slots, steps]."""
        return np.take(self.usual, slot[:, None] + steps, mode="wrap")

    def answer(self, scaled: Floats, slot: IntArray) -> Floats:
        """The centre of each row of `scaled` [n, context], as the filter's own library has it; [n, horizon]."""
        horizon = self.window.horizon
        remainder = self.remainder(scaled, slot)
        moved = np.stack([self.filter.forecast(row, horizon) for row in remainder])
        lasting = remainder[:, -self.window.slots :].mean(axis=1, keepdims=True) * self.gain
        centre: Floats = self._around(slot, np.arange(1, horizon + 1)) + moved + lasting
        return centre

    def remainder(self, scaled: Floats, slot: IntArray) -> Floats:
        """What is left of each row of `scaled` [n, steps], which ends with the slot, when the usual is taken away."""
        left: Floats = scaled - self._around(slot, np.arange(1 - scaled.shape[1], 1))
        return left


def _trimmed(kernel: Floats) -> Floats:
    """Without the oldest steps, as long as they add up to nothing; [horizon, reach], at least one step."""
    oldest = np.cumsum(np.abs(kernel), axis=1).max(axis=0)
    return kernel[:, min(int(np.searchsorted(oldest, _NEGLIGIBLE)), kernel.shape[1] - 1) :]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Errors:
    """How a model did at n origins, divided by the level.

    `missed`: what came less the centre; both [n, horizon]. `lasting`: the mean remainder over the last season, [n].
    """

    centre: Floats
    missed: Floats
    lasting: Floats

    @property
    def in_units(self) -> Floats:
        """As bands have them."""
        return self.missed / unit_of(self.centre)

    def corrected(self, gain: Floats) -> _Errors:
        """If the centre had been moved by so much of what lasts."""
        moved = self.lasting[:, None] * gain
        return replace(self, centre=self.centre + moved, missed=self.missed - moved)


def _errors(model: _Model, past: Scaled, places: IntArray) -> _Errors:
    """As the graph has it."""
    graph, slots = Graph(context=past.window.context), past.window.slots
    centre, level = model.add_to(graph)
    context = past.window.context
    season = graph.add("Div", columns(graph, fill_gaps(graph, past.window), context - slots, context), level)
    every = graph.add("Concat", level, centre, season, axis=1)
    found = past.run(graph, every, 1 + past.window.horizon + slots, places)
    level_, centre_, season_ = np.split(found, [1, 1 + past.window.horizon], axis=1)
    return _Errors(
        centre=centre_,
        missed=past.came(places) / level_ - centre_,
        lasting=model.remainder(season_, past.slot[places]).mean(axis=1),
    )


def _corrected(usual: Floats, fitted: Filter, past: Scaled) -> tuple[_Model, _Errors]:
    """What is best one step ahead forgets too soon for many steps: with what least squares then add, step by step.

    And what is still missed on the same span.
    """
    alone = _Model(usual=usual, filter=fitted, window=past.window, gain=np.zeros(past.window.horizon))
    errors = _errors(alone, past, past.rows(past.window.slots))
    is_known = np.isfinite(errors.missed)
    lasting = np.where(is_known, errors.lasting[:, None], 0.0)
    spread = np.square(lasting).mean(axis=0)
    doubt = _DOUBT * past.window.slots / max(1, len(past))
    shared = (lasting * np.where(is_known, errors.missed, 0.0)).mean(axis=0)
    gain = np.divide(shared, spread * (1 + doubt), out=np.zeros_like(shared), where=spread > 0)
    return replace(alone, gain=gain), errors.corrected(gain)


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
