"""Which way is cheaper for the same risk: to go by the forecast, or to react with headroom?

Both are thought through at every decision, whoever makes it: what each would have asked for, and until when the
scaleDown window would have held it. Each is steered by what it would have been short of (`steering`), so both come to
the same risk, and what remains to compare is what they cost. A load whose bursts nobody can forecast is served best by
who reacts most sharply, one with a daily pattern by who knows it (docs/decisions/0014).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from controller.core.memory import Memory, Plan, Rivals
from controller.core.policy import Policy

MOST_PLANS = 16  # that are told apart over the lead time and the scaleDown window
HALF_LIFE = timedelta(days=1)  # of the costs that are compared
PRIOR = timedelta(hours=1)  # of equal costs that are thought to have come first
FULL_WORTH, NO_WORTH = (
    1.0,
    1.1,
)  # the forecast's cost relative to reacting: up to the first it decides, from the second not

Pick = Callable[[Plan], int]


def by_forecast(plan: Plan) -> int:
    """What going by the forecast would have asked for."""
    return plan.forecast


def by_reacting(plan: Plan) -> int:
    """What reacting would have asked for."""
    return plan.reactive


def ready(rivals: Rivals, pick: Pick, time: datetime, policy: Policy) -> int | None:
    """How many replicas one way would have had ready for a load of `time`; None where it was not thought through."""
    held = [_held(rivals, pick, at, policy) for at in (time - policy.window, time - policy.interval)]
    known = [size for size in held if size is not None]
    return min(known) if len(known) == len(held) else None


def worth(rivals: Rivals) -> float:
    """How far the forecast should decide, 0..1, by what both ways cost of late."""
    if rivals.reactive_cost <= 0.0:
        return 1.0
    known = rivals.watched / (rivals.watched + PRIOR.total_seconds())
    ratio = 1.0 + known * (rivals.forecast_cost / rivals.reactive_cost - 1.0)
    return min(1.0, max(0.0, (NO_WORTH - ratio) / (NO_WORTH - FULL_WORTH)))


def planned(now: datetime, forecast: int, reactive: int, policy: Policy, memory: Memory) -> Rivals:
    """Take in what both ways ask for now, and what they have cost since the last time."""
    span = policy.window + policy.scale_down.stabilization
    past = memory.rivals
    plans = tuple(plan for plan in past.plans if now - span - policy.interval < plan.time <= now)
    if plans and now - plans[-1].time < span / MOST_PLANS:
        last = plans[-1]
        merged = Plan(time=last.time, forecast=max(last.forecast, forecast), reactive=max(last.reactive, reactive))
        plans = (*plans[:-1], merged)
    else:
        plans = (*plans, Plan(time=now, forecast=forecast, reactive=reactive))
    return _counted(replace(past, plans=plans), now, policy)


def _counted(rivals: Rivals, now: datetime, policy: Policy) -> Rivals:
    """Only time in which both are known to have gone on counts."""
    seconds = policy.interval.total_seconds()
    sizes = [_held(rivals, pick, now, policy) for pick in (by_forecast, by_reacting)]
    decay = 0.5 ** (policy.interval / HALF_LIFE)
    forecast, reactive = (seconds * (size or 0) for size in sizes)
    return replace(
        rivals,
        watched=rivals.watched * decay + seconds,
        forecast_cost=rivals.forecast_cost * decay + forecast,
        reactive_cost=rivals.reactive_cost * decay + reactive,
    )


def _held(rivals: Rivals, pick: Pick, at: datetime, policy: Policy) -> int | None:
    """The size at that time: the most that was asked for within the scaleDown window before."""
    since = at - max(policy.scale_down.stabilization, policy.interval)
    return max([pick(plan) for plan in rivals.plans if since < plan.time <= at], default=None)
