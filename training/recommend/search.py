"""Which candidate is chosen, and what is it worth on what it was not chosen by? Three rounds, then a judgement.

The scene that is searched on and the one that is judged on are different spans; only the winner meets the second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from training.recommend.candidates import Candidate, Target, calming, first, releasing
from training.recommend.wishes import Wish
from training.simulate.foresight import Forecasts
from training.simulate.frontier import Point
from training.simulate.study import HPA, ORACLE, STATIC, Question, Scene, Study, study
from training.simulate.trials import Trial, points

Tell = Callable[[int, int], None]
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A candidate and what it came to on the span that is searched on."""

    candidate: Candidate
    point: Point


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """`tried`: all, in the order of the search. `best`: the place of the winner in it.

    `judged`: what it came to on the other span, and `beside`: the others there. `is_met`, `is_kept`: whether the wish
    was on either span.
    """

    wish: Wish
    searched: Scene
    tried: Sequence[Tried]
    best: int
    judged: Point
    beside: Study

    @property
    def winner(self) -> Tried:
        """The one that is recommended."""
        return self.tried[self.best]

    @property
    def days(self) -> float:
        """The length of the span that was searched on."""
        return _days(self.searched)

    @property
    def is_met(self) -> bool:
        """Whether the wish came true on the span that was searched on."""
        return self.wish.meets(self.winner.point, self.days)

    @property
    def is_kept(self) -> bool:
        """Whether it came true on the other one as well."""
        return self.wish.meets(self.judged, _days(self.beside.scene))


def choose(
    target: Target,
    wish: Wish,
    searched: Scene,
    held: Scene,
    forecasts: Forecasts | None,
    *,
    cores: int | None = None,
    tell: Callable[[str], Tell] = lambda _title: lambda _done, _all: None,
) -> Choice:
    """Search on `searched`, judge on `held`. `forecasts`: of both; None where none is known. Raises SimulationError."""
    days = _days(searched)

    def scored(new: Sequence[Candidate], title: str) -> list[Tried]:
        trials = [_trial(searched, one, forecasts) for one in new]
        found = points(trials, cores=cores, tell=tell(title))
        return [Tried(candidate=one, point=point) for one, point in zip(new, found, strict=True)]

    tried = scored(first(target, wish), "candidates")
    for title, propose in (("releases", releasing), ("limits", calming)):
        tried += scored(propose(tried[wish.best(tried, days)].candidate), title)
    best = wish.best(tried, days)
    judged = _trial(held, tried[best].candidate, forecasts).run()
    question = Question(names=(HPA, STATIC, ORACLE), policy=None)
    beside = study(held, question, None, cores=cores, tell=tell("judgement"))
    return Choice(wish=wish, searched=searched, tried=tried, best=best, judged=judged, beside=beside)


def _trial(scene: Scene, candidate: Candidate, forecasts: Forecasts | None) -> Trial:
    return Trial(
        scene=scene,
        policy=candidate.policy,
        setting=candidate.setting,
        forecasts=forecasts if candidate.forecasts else None,
        over=candidate.over,
    )


def _days(scene: Scene) -> float:
    return len(scene.load) * (scene.load.step / _DAY)
