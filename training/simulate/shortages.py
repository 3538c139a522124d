"""When and why was it short? The worst spans in which the ready replicas did not suffice, and what had been decided.

Must not decide or score.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from controller.core.series import Series
from training.simulate.capacity import lag_of
from training.simulate.log import Run
from training.simulate.scores import shortage
from training.simulate.study import Scene

_APART = timedelta(minutes=2)  # short spans that are nearer to each other are one


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """One span. `missed`: the load that was not served, units; `share`: of all that this policy missed.

    `worst`: the step in which most was missed: its `load` (a second) met `ready` replicas, where `needed` would have
    served it. `decided`: the last decision whose replicas could have been ready by then; `steps`: its reasons.
    """

    since: datetime
    until: datetime
    missed: float
    share: float
    worst: datetime
    load: float
    ready: int
    needed: int
    decided: datetime
    steps: str


def worst(scene: Scene, run: Run, count: int) -> list[Shortage]:
    """The `count` spans in which most load was missed, the worst first."""
    short = np.nan_to_num(shortage(scene.load, run.capacity, scene.per_replica))
    edges = _spans(short > 0.0, max(1, _APART // scene.load.step))
    missed = [float(short[since:until].sum()) for since, until in edges]
    ranked = sorted(range(len(edges)), key=lambda place: -missed[place])[:count]
    return [_told(scene, run, *edges[place], short, missed[place] / sum(missed)) for place in ranked]


def _spans(is_short: np.ndarray[tuple[int], np.dtype[np.bool_]], apart: int) -> list[tuple[int, int]]:
    """First and last + 1 of the short steps of each span."""
    places = np.flatnonzero(is_short)
    if not len(places):
        return []
    cuts = np.flatnonzero(np.diff(places) > apart)
    firsts, lasts = places[np.r_[0, cuts + 1]], places[np.r_[cuts, len(places) - 1]]
    return [(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]


def _told(
    scene: Scene, run: Run, since: int, until: int, short: np.ndarray[tuple[int], np.dtype[np.float64]], share: float
) -> Shortage:
    load = scene.load
    place = since + int(short[since:until].argmax())
    decided = max(0, place - lag_of(scene.startup, load.step))
    return Shortage(
        since=_moment(load, since),
        until=_moment(load, until),
        missed=float(short[since:until].sum()) * load.step.total_seconds(),
        share=share,
        worst=_moment(load, place),
        load=float(load.values[place]),
        ready=int(run.capacity.ready[place]),
        needed=int(np.ceil(load.values[place] / scene.per_replica)),
        decided=_moment(load, decided),
        steps=run.log.steps[decided] if run.log is not None else "",
    )


def _moment(load: Series, place: int) -> datetime:
    return load.start + place * load.step
