"""Which load must the target be ready for, and who says so? What is seen, and what is forecast.

The forecast can only add to what is seen. Must not turn loads into replicas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controller.core import rivals
from controller.core.calibration import shifted_one, trust
from controller.core.forecast import Forecast
from controller.core.headroom import beyond
from controller.core.memory import Rivals, Steering, TrackRecord
from controller.core.policy import Policy
from controller.core.series import Sample
from controller.core.steering import prepared


class DemandSource(StrEnum):
    """Where the deciding load came from. Missing: nothing usable is seen, so nothing may shrink."""

    SEEN = "Seen"
    FORECAST = "Forecast"
    MISSING = "Missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One load to be ready for (metric's unit) and who named it.

    `value`: None exactly when `source` is Missing. `seen`: the load now; `reactive`: with the headroom that it would
    need without a forecast. `forecast`: the most that is prepared for until a replica started after this decision could
    serve; None where there is none. `weight`: how far the forecast was trusted, 0..1, and of that `worth`: by what it
    costs beside reacting. `kept`: what a shrinking target must still serve, which looks one lead time further.
    `expected`: the most that was thought possible of this moment; None where no forecast is trusted.
    """

    value: float | None
    source: DemandSource
    seen: float | None
    forecast: float | None
    weight: float
    worth: float = 1.0
    reactive: float | None = None
    kept: float | None = None
    expected: float | None = None

    @property
    def is_burst(self) -> bool:
        """Whether what is seen has left the forecast upward."""
        return self.seen is not None and self.expected is not None and self.seen > self.expected


def assess(
    now: datetime,
    latest: Sample | None,
    forecast: Forecast | None,
    policy: Policy,
    *,
    track: TrackRecord,
    steering: Steering,
    worth: float,
) -> Demand:
    """The load to be ready for until the next decision's replicas are up: what is seen and what the forecast adds.

    `worth`: as `worthy` tells it.
    """
    seen = _usable(now, latest, policy)
    weight = min(worth, skilled(forecast, policy, track))
    outlook = None if forecast is None else _outlook(now, forecast, policy, track, steering)
    peak = None if outlook is None else outlook.peak
    if seen is None:
        return Demand(value=None, source=DemandSource.MISSING, seen=None, forecast=peak, weight=weight, worth=worth)
    reactive = seen if policy.objective is None else seen * steering.headroom
    value = _weighed(seen, reactive, peak, weight)
    is_forecast = value > seen and (weight >= 0.5 or value > reactive)  # noqa: PLR2004  # the larger part
    return Demand(
        value=value,
        source=DemandSource.FORECAST if is_forecast else DemandSource.SEEN,
        seen=seen,
        forecast=peak,
        weight=weight,
        worth=worth,
        reactive=reactive,
        kept=value if outlook is None else _weighed(seen, reactive, outlook.kept, weight),
        expected=outlook.expected if outlook is not None and weight > 0.0 else None,
    )


def skilled(forecast: Forecast | None, policy: Policy, track: TrackRecord) -> float:
    """The weight by skill; nothing is trusted that is not there."""
    if forecast is None:
        return 0.0
    return trust(track, spare=(1.0 - policy.judged_level) * policy.target_per_replica)


def worthy(policy: Policy, costs: Rivals, steering: Steering) -> float:
    """The weight by cost; without an objective nobody knows at which risk costs could be compared."""
    return 1.0 if policy.objective is None else rivals.worth(costs, policy.objective, beyond(steering.needed))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outlook:
    """The most that is prepared for: within the window that a new replica needs, one lead time further, and now.

    None where the forecast does not reach. `expected`: no less than the forecast's highest level.
    """

    peak: float | None
    kept: float | None
    expected: float | None


def _outlook(now: datetime, forecast: Forecast, policy: Policy, track: TrackRecord, steering: Steering) -> _Outlook:
    steps = forecast.steps_between(now, now + policy.window)
    further = forecast.steps_between(now, now + policy.window + policy.lead_time)
    loads = _prepared(forecast.near(policy.level, further), policy, track, steering)
    if not loads:
        return _Outlook(peak=None, kept=None, expected=None)
    top = float(forecast.quantiles[steps.start, -1])
    return _Outlook(
        peak=_highest(loads[: steps.stop - steps.start]), kept=_highest(loads), expected=_highest([loads[0], top])
    )


def _prepared(
    near: Sequence[tuple[float, float]], policy: Policy, track: TrackRecord, steering: Steering
) -> list[float]:
    """The load to be ready for in each step, of its quantile and its band."""
    if policy.objective is None:
        return [shifted_one(track.correction, upper, band) for upper, band in near]
    return [prepared(steering, upper, band) for upper, band in near]


def _highest(loads: Sequence[float]) -> float | None:
    highest = max(loads, default=math.inf)
    return highest if math.isfinite(highest) else None


def _weighed(seen: float, reactive: float, peak: float | None, weight: float) -> float:
    """From what would be done without the forecast to what it says, by its weight, and never below what is seen."""
    return max(seen, reactive if peak is None else reactive + weight * (peak - reactive))


def _usable(now: datetime, latest: Sample | None, policy: Policy) -> float | None:
    """A sample that is fresh, finite and not negative; a true zero is one."""
    if latest is None or now - latest.time > policy.max_age:
        return None
    return latest.value if math.isfinite(latest.value) and latest.value >= 0.0 else None
