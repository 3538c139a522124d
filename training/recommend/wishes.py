"""What is wanted of a scaler, in one number? So little risk, or no more than so much; and which candidate that picks.

Must not replay: candidates come scored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from training.simulate.capacity import SimulationError
from training.simulate.frontier import Point

PRIORITIES = {"risk": 0.001, "balanced": 0.01, "cost": 0.05}
"""The share of time in which the load may be more than what is ready serves."""
PRIORITY = "balanced"
SAME = 0.01  # of the cost: who costs no more than that above the cheapest is as cheap
SAFE = 0.1  # of the short time: who is short no more than that above the safest is as safe
_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_HOURS = "h"


class Scored(Protocol):
    """What a candidate came to."""

    @property
    def point(self) -> Point:
        """On the span that is searched on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """The cheapest that is short at most `share` of the time, in (0, 1)."""

    share: float

    @property
    def words(self) -> str:
        """As in "of all it is ..."."""
        return (
            f"the calmest within {SAME:.0%} of the cheapest that was short at most {self.share * 100:g} % of the time"
        )

    def meets(self, point: Point, days: float) -> bool:  # noqa: ARG002  # as of a Budget
        """Whether a point of so many days keeps to it."""
        return point.score.under_provisioned <= self.share

    def best(self, scored: Sequence[Scored], days: float) -> int:
        """The place of the one to take; where none keeps to it, of the one that was short least."""
        fit = _places(scored, lambda point: self.meets(point, days))
        if not fit:
            return min(range(len(scored)), key=lambda place: (_short(scored[place]), scored[place].point.cost))
        cheapest = min(scored[place].point.cost for place in fit)
        return _calmest(scored, [place for place in fit if scored[place].point.cost <= cheapest * (1.0 + SAME)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The safest that needs at most `amount` a day: of replica-hours, or of the price's currency."""

    amount: float
    unit: str

    @property
    def words(self) -> str:
        """As in "of all it is ..."."""
        unit = "replica-hours" if self.unit == _HOURS else self.unit
        return f"the calmest within {SAFE:.0%} of the one that was short least for at most {self.amount:g} {unit} a day"

    def meets(self, point: Point, days: float) -> bool:
        """Whether a point of so many days keeps to it."""
        return self._spent(point) <= self.amount * days

    def best(self, scored: Sequence[Scored], days: float) -> int:
        """The place of the one to take; where none keeps to it, of the one that needs least."""
        fit = _places(scored, lambda point: self.meets(point, days))
        if not fit:
            return min(range(len(scored)), key=lambda place: (self._spent(scored[place].point), _short(scored[place])))
        safest = min(_short(scored[place]) for place in fit)
        return _calmest(scored, [place for place in fit if _short(scored[place]) <= safest * (1.0 + SAFE)])

    def _spent(self, point: Point) -> float:
        return point.score.replica_hours if self.unit == _HOURS else point.cost


Wish = Risk | Budget


def wish(priority: str | None, objective: float | None, budget: str | None, currency: str) -> Wish:
    """What the options ask for; `currency`: of the price. Raises SimulationError."""
    if sum(one is not None for one in (priority, objective, budget)) > 1:
        raise SimulationError("--priority, --objective and --budget each name the goal; keep one of them")
    if budget is not None:
        return _budget(budget, currency)
    if objective is not None:
        if not 0.0 < objective <= 0.2:  # noqa: PLR2004  # the bounds of spec.objective
            raise SimulationError(f"--objective must be above 0% and at most 20%, not {objective * 100:g}%")
        return Risk(share=objective)
    name = priority or PRIORITY
    if name not in PRIORITIES:
        raise SimulationError(f"--priority: there is no priority {name!r}; there are {', '.join(PRIORITIES)}")
    return Risk(share=PRIORITIES[name])


def _budget(text: str, currency: str) -> Budget:
    found = _BUDGET.fullmatch(text)
    if found is None or found[2] not in {_HOURS, currency} or float(found[1]) <= 0.0:
        raise SimulationError(
            f"--budget: {text!r} is not an amount a day such as 200h, in replica-hours, or 12.50{currency}"
        )
    return Budget(amount=float(found[1]), unit=found[2])


def _places(scored: Sequence[Scored], is_fit: Callable[[Point], bool]) -> list[int]:
    return [place for place, one in enumerate(scored) if is_fit(one.point)]


def _calmest(scored: Sequence[Scored], places: Sequence[int]) -> int:
    """The one that changes its size least often; of those alike the cheapest, and then the first."""
    return min(places, key=lambda place: (scored[place].point.score.changes, scored[place].point.cost))


def _short(one: Scored) -> float:
    return one.point.score.under_provisioned
