"""What do several families expect together? Their graphs side by side, averaged quantile by quantile.

How much a member counts at each key step of the horizon is what would have been best on the last part of the past,
forecast by members that had not seen it; the members that stay know all of the past. Must not fit anything itself.
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
_PART = 256  # origins that are asked at once
_FEWEST_ROWS = 50
_ROUNDS = 200  # of the search for weights; it has settled after a hundred
_PACE = 0.3  # of its first steps
_NEGLIGIBLE = 0.03  # a member that counts less at every step costs more time than it is worth
_PARTS = 100  # of a member's fit, as progress counts
_EXAMPLES = 64


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
        kept = {name: each for name, each in zip(trial.fitted, weights, strict=True) if each.max() > _NEGLIGIBLE}
        final = self._fit_members(list(kept), series, window, zone, begun=len(self.members))
        shares = np.stack([kept[name] for name in final.fitted])
        last = _Asked.of(series, window, zone, recorded[-_EXAMPLES:])
        together = _together(list(final.fitted.values()), shares / shares.sum(axis=0), last, window)
        remarks = (*trial.remarks, *final.remarks, *together.remarks)
        return replace(together, family=self.name, remarks=remarks)

    def _fit_members(
        self, names: Sequence[str], series: Series, window: Window, zone: tzinfo, *, begun: int
    ) -> _Members:
        """Those that can be fitted, at least one. `begun`: how many fits came before these. Raises FitError."""
        fitted, remarks = {}, []
        for place, name in enumerate(names, begun):
            try:
                fitted[name] = self.find(name, self._part(place, begun or len(names))).fit(series, window, zone)
                remarks += [f"{name}: {remark}" for remark in fitted[name].remarks]
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
    """How much each member counts at each key, [members, keys]; sums to 1 at every key. Raises FitError."""
    at = np.array(keys(window)) - 1
    answers = np.stack([_answers(member, asked, window)[:, at] for member in members]).astype(np.float64)
    came = asked.came[:, at]
    is_known = np.isfinite(came) & np.isfinite(answers).all(axis=(0, 3))
    if (is_known.sum(axis=0) < _FEWEST_ROWS).any():
        raise FitError(f"the last fifth of the series holds fewer than {_FEWEST_ROWS} values to weigh the members on")
    found = (best_weights(answers[:, known, key], came[known, key]) for key, known in enumerate(is_known.T))
    return np.stack(list(found), axis=1)


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


def _answers(member: Fitted, asked: _Asked, window: Window) -> FloatArray:
    """What a member answers alone, [n, horizon, levels]."""
    sizes: list[int | str] = ["batch", window.horizon, len(LEVELS)]
    session = Session(member.graph.to_bytes(member.quantiles, "quantiles", sizes, {}))
    parts = range(0, len(asked.origin), _PART)
    return np.concatenate([session.run(asked.history[at : at + _PART], asked.origin[at : at + _PART]) for at in parts])


def _together(members: Sequence[Fitted], shares: Floats, asked: _Asked, window: Window) -> Fitted:
    """One graph of all members, `shares` [members, keys] of each; examples are averaged outside of it."""
    graph = Graph(context=window.context)
    weighted = [(member, share[:, None]) for member, share in zip(members, _at_every_step(shares, window), strict=True)]
    parts = [
        graph.add("Mul", graph.embed(member.graph, member.quantiles), graph.constant(share))
        for member, share in weighted
    ]
    alone = np.stack([share * _answers(member, asked, window) for member, share in weighted])
    told = (f"{share.mean():.0%} {member.family}" for member, share in weighted)
    return Fitted(
        family="",
        graph=graph,
        quantiles=graph.add("Sum", *parts),
        examples=Examples(history=asked.history, origin=asked.origin, quantiles=alone.sum(axis=0)),
        remarks=(f"the ensemble is, on average over the horizon, {', '.join(told)}",),
    )


def _at_every_step(shares: Floats, window: Window) -> FloatArray:
    """Linear between the keys, [members, horizon]."""
    steps = np.arange(1, window.horizon + 1)
    return np.array([np.interp(steps, keys(window), share) for share in shares], np.float32)
