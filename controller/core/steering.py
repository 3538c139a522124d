"""How much must be added so that the load is short of replicas no more often than the objective allows?

Each load that is seen is held against the replicas that could be ready for it. One that is too much raises what is
added, every other lowers it a little, in such proportion that the share of time that is short becomes the objective,
whatever the forecasts are like (adaptive conformal inference: Gibbs and Candes 2021; with steps that shrink:
Angelopoulos, Barber and Bates 2024, "Online conformal prediction with decaying step sizes"; docs/decisions/0010).
What is steered is what is used: rounding up, rails and start-up times are part of what is measured.
"""

from __future__ import annotations

import math
from datetime import timedelta

from controller.core import headroom, rivals
from controller.core.calibration import shifted_one
from controller.core.memory import Memory, Steering
from controller.core.policy import Policy
from controller.core.replicas import is_too_much
from controller.core.rivals import Pick, by_forecast, by_reacting
from controller.core.series import Sample

SHIFT_RATE = 0.05  # units that one short load moves the shift, at most, once many were judged
HEADROOM_RATE = 0.001  # the same for the logarithm of the headroom, beside what was needed
EAGER, EAGER_FOR = 10.0, 200.0  # at first so many times as far, halved after so many judged loads
HALF_LIFE = timedelta(days=1)  # of the counts behind the share that is told
SLOWER = 0.25  # the headroom remembers four days: surges are rare, and one day of them says too little
SHIFT_BOUNDS = (-1.0, 20.0)
LEAST_UNIT = 0.05  # of the forecast: a model that is sure beyond reason can still be corrected


def steered(memory: Memory, latest: Sample | None, weight: float, policy: Policy) -> Steering:
    """Learn from the newest load, once. `weight`: how far the forecast decides, 0..1.

    The one that decides learns from what was short, the other from what it would have been short of.
    Where no more replicas may be had, or none are wanted, a short load says nothing about what is added.
    """
    past = memory.steering
    if policy.objective is None or latest is None or memory.size is None or not _is_news(past, latest):
        return past
    ready = memory.smallest_since(latest.time - policy.window)
    if ready is None or memory.size.replicas == 0:
        return past
    is_short = is_too_much(latest.value, ready, policy)
    mine = _error(latest, ready, memory.size.replicas, policy)
    shift = weight * mine + (1.0 - weight) * _rival_error(memory, by_forecast, latest, policy)
    factor = (1.0 - weight) * mine + weight * _rival_error(memory, by_reacting, latest, policy)
    eagerness = _eagerness(past)
    decay = 1.0 if past.time is None else 0.5 ** ((latest.time - past.time) / HALF_LIFE)
    followed = rivals.followed(memory.rivals, latest.time, policy)
    needed = headroom.counted(past.needed, latest.value, followed, decay**SLOWER, policy)
    moved = headroom.enough(needed, policy.objective) / headroom.enough(past.needed, past.objective or policy.objective)
    return Steering(
        shift=_within(past.shift + SHIFT_RATE * eagerness * shift, SHIFT_BOUNDS),
        headroom=_within(past.headroom * moved * math.exp(HEADROOM_RATE * factor), headroom.BOUNDS),
        time=latest.time,
        settled=past.settled * decay + 1.0,
        short=past.short * decay + is_short,
        needed=needed,
        objective=policy.objective,
    )


def prepared(steering: Steering, upper: float, band: float) -> float:
    """The load to be ready for in a step of the forecast, of which `upper` is a quantile: it and what steering adds."""
    return shifted_one(steering.shift, upper, max(band, LEAST_UNIT * upper))


def _is_news(past: Steering, latest: Sample) -> bool:
    return math.isfinite(latest.value) and (past.time is None or latest.time > past.time)


def _error(latest: Sample, ready: int, most: int, policy: Policy) -> float:
    """How far one load was off the objective; 0 where it was short and no more could be had."""
    is_short = is_too_much(latest.value, ready, policy)
    return 0.0 if is_short and most >= policy.max_replicas else is_short - (policy.objective or 0.0)


def _rival_error(memory: Memory, pick: Pick, latest: Sample, policy: Policy) -> float:
    """The same of the way that did not decide, as far as it was thought through."""
    ready = rivals.ready(memory.rivals, pick, latest.time, policy)
    return 0.0 if ready is None else _error(latest, ready, ready, policy)


def _eagerness(past: Steering) -> float:
    return 1.0 + EAGER / (1.0 + past.settled / EAGER_FOR)


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])
