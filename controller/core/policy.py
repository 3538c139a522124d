"""What are the user's rules? Frozen; `controller.spec` fills them, every other part of the core reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cached_property


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


TARGET_BOUNDS = "TargetBounds"
"""The rule of a limit that is the target's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Bounds on the size that hold whatever the user's are, in words: `rule` names it, `why` says whose they are.

    None: no bound on that side. Of several the later one wins.
    """

    rule: str
    why: str
    lowest: int | None = None
    highest: int | None = None


@dataclass(frozen=True, kw_only=True)  # no slots: what follows from the rules is worked out once, not at every decision
class Policy:
    """The user's rules. `target_per_replica`: the load one replica serves well, metric's unit, > 0.

    `objective`: in (0, 1); the share of time in which the load may be more than the ready replicas serve well. With
    one, what is prepared for is steered to meet it; without, `quantile`, in (0, 1), is the level to be ready for.
    `lead_time`: how long a replica takes to be ready. `interval`: the time between two decisions.
    `flap_budget`: how often in an hour the size may turn from growing to shrinking; None: as often as it likes.
    `metric_age`: how old the newest value may be by the nature of its source. `limits`: the world's own bounds.
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
    objective: float | None = None
    flap_budget: int | None = None
    metric_age: timedelta = field(default=timedelta(0), repr=False)  # no rule of the user's: it follows from the metric
    limits: tuple[Limit, ...] = field(default=(), repr=False)

    @cached_property
    def level(self) -> float:
        """The forecast level that preparing starts from, in (0, 1)."""
        return self.quantile if self.objective is None else 1.0 - self.objective

    @cached_property
    def judged_level(self) -> float:
        """The level at which forecasts are compared: the one that is used, or the median where steering adds to it."""
        return self.quantile if self.objective is None else 0.5

    @cached_property
    def window(self) -> timedelta:
        """How far ahead must be prepared for now: a replica asked for at the next decision is ready only then."""
        return self.lead_time + self.interval

    @cached_property
    def max_age(self) -> timedelta:
        """An older load counts as missing: four missed decisions, two scrapes of a minute each, or its own nature."""
        return max(4 * self.interval, timedelta(seconds=150), self.metric_age)

    @cached_property
    def longest_period(self) -> timedelta:
        """How long a change of size matters to any rate."""
        periods = [one.period for rules in (self.scale_up, self.scale_down) for one in rules.policies]
        return max(periods, default=timedelta(0))
