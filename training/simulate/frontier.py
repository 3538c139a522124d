"""What does less risk cost? One policy at many settings, and what lies between them.

Between two settings of a policy everything is taken to be linear; a setting that costs more than a safer one does not
count. Beyond the outermost nothing is known.
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
        return self._at_risk(under_provisioned, hours)

    def cost_at(self, under_provisioned: float) -> float | None:
        """As `hours_at`, of the cost."""
        return self._at_risk(under_provisioned, lambda point: point.cost)

    def changes_at(self, under_provisioned: float) -> float | None:
        """As `hours_at`, of the changes of size."""
        return self._at_risk(under_provisioned, lambda point: point.score.changes)

    def unserved_within(self, replica_hours: float) -> float | None:
        """The share of load that is not served for at most so many replica-hours; None where all settings cost more."""
        spent = [hours(point) for point in self.points]
        return between(self.points, hours, min(replica_hours, max(spent)), lambda point: point.score.unserved)

    def _at_risk(self, under_provisioned: float, wanted: Measure) -> float | None:
        return between(self.points, risk, under_provisioned, wanted, least=hours)


def risk(point: Point) -> float:
    """The share of time that is under-provisioned."""
    return point.score.under_provisioned


def hours(point: Point) -> float:
    """The replica-hours."""
    return point.score.replica_hours


def between(
    points: Sequence[Point], along: Measure, at: float, wanted: Measure, least: Measure | None = None
) -> float | None:
    """`wanted` where `along` is `at`, linear between the efficient points; None beyond the outermost of all points.

    A point is efficient when none has less of `least` (`wanted`, if not given) for as little of `along`: nobody would
    choose another.
    """
    reached = [along(point) for point in points]
    if not reached or not min(reached) <= at <= max(reached):
        return None
    kept = efficient(points, along, least or wanted)
    return float(np.interp(at, [along(point) for point in kept], [wanted(point) for point in kept]))


def efficient(points: Sequence[Point], along: Measure, least: Measure) -> list[Point]:
    """The points of which none is worse in both than another, by `along`, ascending."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (along(point), least(point))):
        if not kept or least(point) < least(kept[-1]):
            kept.append(point)
    return kept
