"""What do several families expect together? Their graphs side by side, averaged quantile by quantile.

How much a member counts is what would have been best on the last part of the past, forecast by members that had not
seen it; the members that stay know all of the past. Must not fit anything itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Self

import numpy as np

from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Session
from training.families.family import LEVELS, Examples, Family, FitError, Fitted, Progress
from training.features import keys
from training.graph import Graph
from training.measures import Floats, pinball
from training.windows import Window, futures, histories, origins

_REHEARSED = 0.8  # the share of the past that members learn from before their weights are found on the rest
_MOST_ROWS = 4_000  # more origins are thinned out: neighbours tell almost the same
_FEWEST_ROWS = 50
_ROUNDS = 200  # of the search for weights; it has settled after a hundred
_PACE = 0.3  # of its first steps
_NEGLIGIBLE = 0.05  # a member that counts less costs more time than it is worth
_PARTS = 100  # of a member's fit, as progress counts
_EXAMPLES = 64
_PARITY = 1e-4  # relative, as for a family alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """`members`: names that `find` knows. One that cannot be fitted is left out, and the remarks say why."""

    members: Sequence[str]
    find: Callable[[str, Progress], Family]
    name: str = "ensemble"
    progress: Progress = lambda _done, _all: None

    def fit(self, series: Series, window: Window, zone: tzinfo) -> Fitted:
        """Weights from the last fifth of `series`, members from all of it. Raises FitError."""
        recorded = np.flatnonzero(np.isfinite(series.values))
        if len(recorded) < _FEWEST_ROWS:
            raise FitError(f"an ensemble needs {_FEWEST_ROWS} values, the series holds {len(recorded)}")
        late = recorded[round(_REHEARSED * len(recorded)) :]
        early = series.until(series.start + int(late[0]) * series.step)
        trial = self._fit_members(self.members, early, window, zone, begun=0)
        weights = _weights(list(trial.fitted.values()), _Asked.of(series, window, zone, late[:-1]), window)
        kept = {name: each for name, each in zip(trial.fitted, weights, strict=True) if each > _NEGLIGIBLE}
        final = self._fit_members(list(kept), series, window, zone, begun=len(self.members))
        shares = np.array([kept[name] for name in final.fitted])
        last = _Asked.of(series, window, zone, recorded[-_EXAMPLES:])
        together = _together(list(final.fitted.values()), shares / shares.sum(), last, window)
        remarks = (*trial.remarks, *final.remarks, *together.remarks)
        return replace(together, family=self.name, remarks=remarks)

    def _fit_members(
        self, names: Sequence[str], series: Series, window: Window, zone: tzinfo, *, begun: int
    ) -> _Members:
        """Those that can be fitted, at least one. `begun`: how many fits came before these. Raises FitError."""
        fitted, remarks = {}, []
        for place, name in enumerate(names, begun):
            try:
                found = self.find(name, self._part(place, begun or len(names))).fit(series, window, zone)
                _check_parity(found, window)
                fitted[name] = found
                remarks += [f"{name}: {remark}" for remark in found.remarks]
            except FitError as error:
                remarks.append(f"{name} is left out of the ensemble: {error}")
        if not fitted:
            raise FitError("; ".join(remarks))
        return _Members(fitted=fitted, remarks=tuple(remarks))

    def _part(self, place: int, rehearsed: int) -> Progress:
        """The progress of one member's fit as a part of all fits, `rehearsed` of them twice."""
        return lambda done, total: self.progress(_PARTS * place + _PARTS * done // total, 2 * _PARTS * rehearsed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Members:
    """`fitted`: by name. `remarks`: theirs, and why others are missing."""

    fitted: Mapping[str, Fitted]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """Some origins: what was seen, float32 [n, context], when, int64 [n], and what came, [n, horizon]."""

    history: FloatArray
    origin: IntArray
    came: Floats

    @classmethod
    def of(cls, series: Series, window: Window, zone: tzinfo, place: IntArray) -> Self:
        """At the places in the series, or some of them."""
        place = place[:: max(1, -(-len(place) // _MOST_ROWS))]
        return cls(
            history=histories(series, window)[place],
            origin=origins(series, zone)[place],
            came=futures(series, window)[place],
        )


def _weights(members: Sequence[Fitted], asked: _Asked, window: Window) -> Floats:
    """How much each member counts, [members]; the same at all steps, because a fifth of the past is few days."""
    at = np.array(keys(window)) - 1
    answers = np.stack([_answers(member, asked.history, asked.origin, window)[:, at] for member in members]).astype(
        np.float64
    )
    came = asked.came[:, at]
    is_known = np.isfinite(came) & np.isfinite(answers).all(axis=(0, 3))
    if (is_known.sum(axis=0) < _FEWEST_ROWS).any():
        raise FitError(f"the last fifth of the series holds fewer than {_FEWEST_ROWS} values to weigh the members on")
    return best_weights(answers[:, is_known], came[is_known])


def best_weights(answers: Floats, came: Floats) -> Floats:
    """The weights, [members], with which the average of `answers` [members, n, levels] loses least against `came` [n].

    Above zero and 1 in sum; no member alone loses less. By exponentiated gradient (Kivinen and Warmuth, 1997).
    """
    levels = np.array(LEVELS)
    weights = np.full(len(answers), 1 / len(answers))
    tried = list(np.eye(len(answers)))
    for turn in range(_ROUNDS):
        tried.append(weights)
        is_above = came[:, None] > np.tensordot(weights, answers, 1)
        slope = np.tensordot(answers, np.where(is_above, -levels, 1 - levels), 2)
        slope -= slope @ weights
        steep = np.abs(slope).max() or 1.0
        weights = weights * np.exp(-_PACE / np.sqrt(1 + turn) * slope / steep)
        weights /= weights.sum()
    return min(tried, key=lambda each: float(pinball(np.tensordot(each, answers, 1), levels, came).mean()))


def _answers(member: Fitted, history: FloatArray, origin: IntArray, window: Window) -> FloatArray:
    """What a member answers alone, [n, horizon, levels]."""
    sizes: list[int | str] = ["batch", window.horizon, len(LEVELS)]
    session = Session(member.graph.to_bytes(member.quantiles, "quantiles", sizes, {}))
    return session.run(history, origin)


def _check_parity(member: Fitted, window: Window) -> None:
    """Its graph must compute what its training computed. Raises FitError."""
    examples = member.examples
    worst = np.abs(_answers(member, examples.history, examples.origin, window) - examples.quantiles).max()
    if not worst <= _PARITY * np.abs(examples.quantiles).max():
        raise FitError(f"the graph of {member.family} differs from the fitted model by {worst:.6g}")


def _together(members: Sequence[Fitted], shares: Floats, asked: _Asked, window: Window) -> Fitted:
    """One graph of all members, as much of each as `shares` [members] says; examples are averaged outside of it."""
    graph = Graph(context=window.context)
    weighted = list(zip(members, shares.astype(np.float32), strict=True))
    parts = [
        graph.add("Mul", graph.embed(member.graph, member.quantiles), graph.constant(share))
        for member, share in weighted
    ]
    alone = np.stack([share * _answers(member, asked.history, asked.origin, window) for member, share in weighted])
    return Fitted(
        family="",
        graph=graph,
        quantiles=graph.add("Sum", *parts),
        examples=Examples(history=asked.history, origin=asked.origin, quantiles=alone.sum(axis=0)),
        remarks=("the ensemble is " + ", ".join(f"{share:.0%} {member.family}" for member, share in weighted),),
    )
