"""Which load must the target be ready for, and who says so? What is seen, plus what is forecast.

The forecast can only add. Must not turn loads into replicas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controller.core.calibration import corrected, trust
from controller.core.forecast import Forecast
from controller.core.memory import TrackRecord
from controller.core.policy import Policy
from controller.core.series import Sample


class DemandSource(StrEnum):
    """Where the deciding load came from. Missing: nothing usable is seen, so nothing may shrink."""

    SEEN = "Seen"
    FORECAST = "Forecast"
    MISSING = "Missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One load to be ready for (metric's unit) and who named it.

    `value`: None exactly when `source` is Missing. `seen`: the load now. `forecast`: the peak of the wanted quantile,
    corrected step by step, until a replica started after this decision could serve; None where there is none. `weight`:
    how far the forecast was trusted, 0..1.
    """

    value: float | None
    source: DemandSource
    seen: float | None
    forecast: float | None
    weight: float


def assess(
    now: datetime, latest: Sample | None, forecast: Forecast | None, policy: Policy, record: TrackRecord
) -> Demand:
    """The load to be ready for until the next decision's replicas are up: max(seen, trusted part of the forecast)."""
    seen = _usable(now, latest, policy)
    peak = _peak(now, forecast, policy, record)
    weight = trust(record, spare=(1.0 - policy.quantile) * policy.target_per_replica)
    if seen is None:
        return Demand(value=None, source=DemandSource.MISSING, seen=None, forecast=peak, weight=weight)
    value = seen if peak is None else seen + weight * max(0.0, peak - seen)
    source = DemandSource.FORECAST if value > seen else DemandSource.SEEN
    return Demand(value=value, source=source, seen=seen, forecast=peak, weight=weight)


def _usable(now: datetime, latest: Sample | None, policy: Policy) -> float | None:
    """A sample that is fresh, finite and not negative; a true zero is one."""
    if latest is None or now - latest.time > policy.max_age:
        return None
    return latest.value if math.isfinite(latest.value) and latest.value >= 0.0 else None


def _peak(now: datetime, forecast: Forecast | None, policy: Policy, record: TrackRecord) -> float | None:
    if forecast is None:
        return None
    steps = forecast.steps_between(now, now + policy.lead_time + policy.interval)
    peak = float(corrected(record, forecast, policy.quantile)[steps].max(initial=-math.inf))
    return peak if math.isfinite(peak) else None
