"""What does less risk cost? One policy at many settings, and what lies between them.

Between two settings of a policy everything is taken to be linear. Beyond the outermost nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.simulate.scores import Score

Measure = Callable[["Point"], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A policy at one setting of its knob (a target utilisation, an objective, a quantile ...), scored."""

    setting: float
    score: Score
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """All points of one policy; `knob`: what is varied, in words."""

    knob: str
    points: tuple[Point, ...]

    def hours_at(self, under_provisioned: float) -> float | None:
        """The replica-hours at that share of time; None where no setting comes near it."""
        return between(self.points, risk, under_provisioned, hours)

    def cost_at(self, under_provisioned: float) -> float | None:
        """As `hours_at`, of the cost."""
        return between(self.points, risk, under_provisioned, lambda point: point.cost)

    def unserved_within(self, replica_hours: float) -> float | None:
        """The share of load that is not served for at most so many replica-hours; None where every setting costs more."""
        costliest = max(map(hours, self.points))
        return between(self.points, hours, min(replica_hours, costliest), lambda point: point.score.unserved)

    def changes_at(self, under_provisioned: float) -> float | None:
        """The changes of size at that share of time."""
        return between(self.points, risk, under_provisioned, lambda point: point.score.changes)


def risk(point: Point) -> float:
    """The share of time that is under-provisioned."""
    return point.score.under_provisioned


def hours(point: Point) -> float:
    """The replica-hours."""
    return point.score.replica_hours


def between(points: Sequence[Point], along: Measure, at: float, wanted: Measure) -> float | None:
    """`wanted` where `along` is `at`; of points that are equal in `along` the one with the least of it counts."""
    least: dict[float, float] = {}
    for point in points:
        least[along(point)] = min(wanted(point), least.get(along(point), np.inf))
    places = sorted(least)
    if not places or not places[0] <= at <= places[-1]:
        return None
    return float(np.interp(at, places, [least[place] for place in places]))
