"""Which sizes may follow this one? The rails: one signature, a fixed order, bounds last.

Each rail takes the wish of the one before and gives what it lets through; the words for a changed number are its own.
The arithmetic of hold-down and rate is that of autoscaling/v2 (Kubernetes API reference, HPAScalingRules).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta

from controller.core.memory import TURNS_KEPT, Memory, Recommendation
from controller.core.policy import Limit, Policy, PolicyType, RatePolicy, ScalingRules, SelectPolicy

Rail = Callable[[datetime, int, int, Policy, Memory], tuple[int, str]]
"""(now, wished, current, policy, memory) -> (allowed, why it differs from what was wished)."""


def hold_down(now: datetime, wished: int, current: int, policy: Policy, memory: Memory) -> tuple[int, str]:
    """Shrink no further than the highest wish of the scaleDown window, grow no further than the lowest of scaleUp's.

    A size that was held for want of a metric is one that the load may have needed, and none that it was content with:
    it counts for the first window only.
    """
    if wished < current:
        down = policy.scale_down.stabilization
        since = now - down
        highest = max([wished, *[wish.replicas for wish in memory.recommendations if wish.time > since]])
        return min(current, highest), f"{highest} were wanted within the last {_seconds(down)}"
    if wished > current:
        up = policy.scale_up.stabilization
        since = now - up
        known = [wish for wish in memory.recommendations if not wish.is_held]
        lowest = min([wished, *[wish.replicas for wish in known if wish.time > since]])
        return max(current, lowest), f"only {lowest} were wanted within the last {_seconds(up)}"
    return wished, ""


def rate(now: datetime, wished: int, current: int, policy: Policy, memory: Memory) -> tuple[int, str]:
    """Change no faster than the policies of the direction allow."""
    if wished > current:
        limit = max(current, _limit(now, current, policy.scale_up, memory, 1))
        return min(wished, limit), f"scaleUp allows {limit} now"
    if wished < current:
        limit = min(current, _limit(now, current, policy.scale_down, memory, -1))
        return max(wished, limit), f"scaleDown allows {limit} now"
    return wished, ""


def flap_budget(now: datetime, wished: int, current: int, policy: Policy, memory: Memory) -> tuple[int, str]:
    """Do not turn from growing to shrinking once the hour's turns are used up; growing is never held back."""
    budget = policy.flap_budget
    if budget is None or wished >= current or memory.direction <= 0:
        return wished, ""
    turns = sum(turn > now - TURNS_KEPT for turn in memory.turns)
    return (wished if turns < budget else current), f"it turned {turns} times in the last hour, {budget} are allowed"


def bounds(now: datetime, wished: int, current: int, policy: Policy, memory: Memory) -> tuple[int, str]:
    """Stay within minReplicas and maxReplicas, whatever anyone wished."""
    del now, current, memory
    if wished < policy.min_replicas:
        return policy.min_replicas, f"minReplicas is {policy.min_replicas}"
    return min(wished, policy.max_replicas), f"maxReplicas is {policy.max_replicas}"


RAILS: tuple[tuple[str, Rail], ...] = (
    ("Stabilization", hold_down),
    ("Rate", rate),
    ("FlapBudget", flap_budget),
    ("Bounds", bounds),
)


def limited(wished: int, limit: Limit) -> int:
    """Within a bound of the world's own, after all of the user's."""
    if limit.lowest is not None and wished < limit.lowest:
        return limit.lowest
    return wished if limit.highest is None else min(wished, limit.highest)


def remembered(
    now: datetime, wished: int, policy: Policy, wishes: tuple[Recommendation, ...], *, is_held: bool = False
) -> tuple[Recommendation, ...]:
    """The wishes that can still matter to `hold_down`, with this one added.

    A wish is dropped once it left both windows, or once a later one is at least as strict on either side: so the
    list is short however long the window is.
    """
    kept: list[Recommendation] = [Recommendation(time=now, replicas=wished, is_held=is_held)]
    highest, lowest = wished, math.inf if is_held else wished
    for wish in reversed(wishes):
        is_peak = wish.replicas > highest and wish.time > now - policy.scale_down.stabilization
        is_dip = not wish.is_held and wish.replicas < lowest and wish.time > now - policy.scale_up.stabilization
        if is_peak or is_dip:
            kept.append(wish)
        highest, lowest = max(highest, wish.replicas), lowest if wish.is_held else min(lowest, wish.replicas)
    return tuple(reversed(kept))


def _limit(now: datetime, current: int, rules: ScalingRules, memory: Memory, sign: int) -> int:
    """The furthest size in the direction `sign` that the rules allow now."""
    if rules.select is SelectPolicy.DISABLED or not rules.policies:
        return current
    limits = [_policy_limit(now, current, policy, memory, sign) for policy in rules.policies]
    is_widest = rules.select is SelectPolicy.MAX
    return max(limits) if is_widest == (sign > 0) else min(limits)


def _policy_limit(now: datetime, current: int, policy: RatePolicy, memory: Memory, sign: int) -> int:
    start = current - sum(change.change for change in memory.changes if change.time > now - policy.period)
    if policy.type is PolicyType.PODS:
        return start + sign * policy.value
    share = start * (1.0 + sign * policy.value / 100.0)
    return math.ceil(share) if sign > 0 else max(0, int(share))


def _seconds(window: timedelta) -> str:
    return f"{window.total_seconds():g} s"
