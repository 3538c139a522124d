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
from controller.core.replicas import is_too_much

MOST_PLANS = 16  # that are told apart over the lead time and the scaleDown window
HALF_LIFE = timedelta(days=1)  # of the costs that are compared
PRIOR = timedelta(hours=1)  # of equal costs that are thought to have come first
FULL_WORTH, NO_WORTH = (
    1.0,
    1.1,
)  # the forecast's cost relative to reacting: up to the first it decides, from the second not

LITTLE_MISSED, MUCH_MISSED = 1.25, 1.75  # reacting short so many times the objective: from the first it loses its say
LITTLE_BEYOND, MUCH_BEYOND = 0.25, 0.5  # objectives of loads for which no headroom was enough: below it will learn

Pick = Callable[[Plan], int]


def by_forecast(plan: Plan) -> int:
    """The size that going by the forecast would have had."""
    return plan.forecast_held


def by_reacting(plan: Plan) -> int:
    """The size that reacting would have had."""
    return plan.reactive_held


def ready(rivals: Rivals, pick: Pick, time: datetime, policy: Policy) -> int | None:
    """How many replicas one way would have had ready for a load of `time`; None where it was not thought through.

    Those it had already when the lead time began, unless it let some go since.
    """
    began = _began(rivals, time, policy)
    return None if began is None else min(pick(began), pick(rivals.plans[-1]))


def followed(rivals: Rivals, time: datetime, policy: Policy) -> float | None:
    """The load (metric's unit) that reacting without headroom would have been ready for at `time`; as in `ready`."""
    began = _began(rivals, time, policy)
    return None if began is None else min(began.seen_held, rivals.plans[-1].seen_held)


def _began(rivals: Rivals, time: datetime, policy: Policy) -> Plan | None:
    """The plan of when the lead time of `time` began."""
    began = time - policy.window
    for plan in reversed(rivals.plans):
        if plan.time <= began:
            return plan
    return None


def worth(rivals: Rivals, objective: float, unreachable: float) -> float:
    """How far the forecast should decide, 0..1: the cheaper way does, but none that misses the objective.

    `unreachable`: the share of the loads that reacting would have been short of with any headroom.
    """
    return max(_by_cost(rivals), _by_risk(rivals, objective, unreachable))


def _by_risk(rivals: Rivals, objective: float, unreachable: float) -> float:
    """What is short too often is no choice, however cheap, where the forecast does better and no headroom would."""
    if rivals.reactive_short <= rivals.forecast_short:
        return 0.0
    missed = rivals.reactive_short / (rivals.judged + PRIOR.total_seconds())
    return min(
        _risen(missed / objective, LITTLE_MISSED, MUCH_MISSED),
        _risen(unreachable / objective, LITTLE_BEYOND, MUCH_BEYOND),
    )


def _risen(value: float, start: float, end: float) -> float:
    """0 up to `start`, 1 from `end` on, linear between."""
    return min(1.0, max(0.0, (value - start) / (end - start)))


def _by_cost(rivals: Rivals) -> float:
    if rivals.reactive_cost <= 0.0:
        return 1.0
    known = rivals.watched / (rivals.watched + PRIOR.total_seconds())
    ratio = 1.0 + known * (rivals.forecast_cost / rivals.reactive_cost - 1.0)
    return min(1.0, max(0.0, (NO_WORTH - ratio) / (NO_WORTH - FULL_WORTH)))


def planned(now: datetime, seen: float, forecast: int | None, reactive: int, policy: Policy, memory: Memory) -> Rivals:
    """Take in what both ways ask for now, what they cost until the next time, and whether `seen` was too much.

    Where there is no `forecast`, there is no choice whose cost could be compared.
    """
    past = memory.rivals
    plans = _extended(now, seen, reactive if forecast is None else forecast, reactive, policy, past.plans)
    if forecast is None:
        return replace(past, plans=plans)
    return _compared(now, seen, plans, policy, past)


def _extended(
    now: datetime, seen: float, forecast: int, reactive: int, policy: Policy, plans: tuple[Plan, ...]
) -> tuple[Plan, ...]:
    span = policy.window + policy.scale_down.stabilization
    apart, time = span / MOST_PLANS, now
    if plans and now - plans[-1].time < apart and plans[-1].time <= now:
        last = plans[-1]  # plans that follow each other closely are told as one, which asks for the most of them
        time, seen = last.time, max(last.seen, seen)
        forecast, reactive = max(last.forecast, forecast), max(last.reactive, reactive)
        plans = plans[:-1]
    else:
        oldest = now - span - apart
        plans = tuple([plan for plan in plans if oldest < plan.time <= now])
    since = now - policy.scale_down.stabilization
    held = [plan for plan in plans if plan.time > since]
    plan = Plan(
        time=time,
        forecast=forecast,
        reactive=reactive,
        forecast_held=max([forecast, *[one.forecast for one in held]]),
        reactive_held=max([reactive, *[one.reactive for one in held]]),
        seen=seen,
        seen_held=max([seen, *[one.seen for one in held]]),
    )
    return (*plans, plan)


def _compared(now: datetime, seen: float, plans: tuple[Plan, ...], policy: Policy, past: Rivals) -> Rivals:
    plan = plans[-1]
    seconds = policy.interval.total_seconds()
    decay = 0.5 ** (policy.interval / HALF_LIFE)
    short = [_is_short(past, pick, now, seen, policy) for pick in (by_forecast, by_reacting)]
    judged = 0.0 if None in short else seconds
    return Rivals(
        plans=plans,
        watched=past.watched * decay + seconds,
        forecast_cost=past.forecast_cost * decay + seconds * plan.forecast_held,
        reactive_cost=past.reactive_cost * decay + seconds * plan.reactive_held,
        judged=past.judged * decay + judged,
        forecast_short=past.forecast_short * decay + judged * bool(short[0]),
        reactive_short=past.reactive_short * decay + judged * bool(short[1]),
    )


def _is_short(rivals: Rivals, pick: Pick, now: datetime, seen: float, policy: Policy) -> bool | None:
    """Whether the load was more than what one way had ready; None where that is not known."""
    count = ready(rivals, pick, now, policy)
    return None if count is None else is_too_much(seen, count, policy)
