"""What are the user's rules? Frozen; `controller.spec` fills them, every other part of the core reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class PolicyType(StrEnum):
    """What a scaling policy's value counts."""

    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    """Which of several policies holds: the one that allows most, the one that allows least, or no change at all."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePolicy:
    """At most `value` pods or percent within `period`, as in autoscaling/v2."""

    type: PolicyType
    value: int
    period: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRules:
    """One direction of `behavior`, as in autoscaling/v2. `tolerance`: the share of change that is ignored."""

    stabilization: timedelta
    tolerance: float
    select: SelectPolicy
    policies: tuple[RatePolicy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """After `after` without a metric: `replicas` (never fewer than now), or hold when None."""

    after: timedelta
    replicas: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The user's rules. `target_per_replica`: the load one replica serves well, metric's unit, > 0.

    `quantile`: in (0, 1); the forecast level to be ready for. `lead_time`: how long a replica takes to be ready.
    `interval`: the time between two decisions.
    """

    min_replicas: int
    max_replicas: int
    target_per_replica: float
    quantile: float
    lead_time: timedelta
    interval: timedelta
    scale_up: ScalingRules
    scale_down: ScalingRules
    fallback: Fallback

    @property
    def max_age(self) -> timedelta:
        """An older load counts as missing: four missed decisions, and no less than two scrapes of a minute each."""
        return max(4 * self.interval, timedelta(seconds=150))
