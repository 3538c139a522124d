"""By what must the load that is seen be multiplied, so that reacting alone is short no more often than allowed?

For each load, the least factor is known afterwards that would have had enough replicas ready for it. How often each was
needed of late is counted, whoever decided, so that the factor for any objective can be read at once: a hundred short
loads need not come before a surge to five times the level is prepared for (docs/decisions/0016).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate

from controller.core import replicas
from controller.core.memory import HEADROOMS, START_HEADROOM
from controller.core.policy import Policy

STEPS = 16  # that are told apart between a factor and its double: 4 %, less than a replica of the usual number
COUNT = HEADROOMS
FACTORS: tuple[float, ...] = tuple(2.0 ** (place / STEPS) for place in range(COUNT))
BOUNDS = (FACTORS[0], FACTORS[-1])  # 1: the forecast can only add; 8: nothing makes more of a load (`calibration.MOST`)
CAREFUL = round(math.log2(START_HEADROOM) * STEPS)  # the place of the one that is started with


def counted(
    counts: tuple[float, ...], load: float, followed: float | None, decay: float, policy: Policy
) -> tuple[float, ...]:
    """Take in one more load: how often each of FACTORS was the least that was enough, and none of them; decayed.

    `followed`: what reacting without headroom would have been ready for (metric's unit); None where that is not known.
    """
    if followed is None:
        return counts
    past = [decay * count for count in counts] or [0.0] * (COUNT + 1)
    past[_place(load, followed, policy)] += 1.0
    return tuple(past)


def _place(load: float, followed: float, policy: Policy) -> int:
    """Which of FACTORS is the least that is enough; COUNT where none is. Replicas are whole, so nearly one less is."""
    wanted = min(replicas.needed(load, policy), policy.max_replicas)
    if wanted <= policy.min_replicas:
        return 0
    beyond = (wanted - 1) * policy.target_per_replica
    if followed * BOUNDS[1] <= beyond:
        return COUNT
    return max(0, min(COUNT, math.floor(math.log2(beyond / followed) * STEPS) + 1)) if beyond > 0.0 else 0


def enough(counts: tuple[float, ...], objective: float) -> float:
    """The least factor that would have been too small for at most that share of the loads.

    One load more than were counted is thought to have needed START_HEADROOM: few loads without a surge say little.
    """
    more = list(accumulate(reversed(counts))) if counts else [0.0] * (COUNT + 1)  # loads that need more than a factor
    allowed = objective * (more[-1] + 1.0)
    known, thought = bisect_right(more, allowed), bisect_right(more, allowed - 1.0)
    place = COUNT - min(known, max(thought, COUNT - CAREFUL))
    return FACTORS[min(max(0, place), COUNT - 1)]


def beyond(counts: tuple[float, ...]) -> float:
    """The share of the loads for which no factor was enough."""
    return counts[-1] / (sum(counts) + 1.0) if counts else 0.0
