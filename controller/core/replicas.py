"""How many replicas serve this load well? The arithmetic of autoscaling/v2, for a total load.

Must not know the past: windows and rates are `guardrails`.
"""

from __future__ import annotations

import math

from controller.core.policy import Policy

MOST = 2**31 - 1  # what a replica count can hold (int32); a load near the end of the floats must not end in an error
ROUNDING = 1e-9  # 8.000000000000002 replicas are 8: a sum of floats must not cost a replica


def needed(load: float, policy: Policy) -> int:
    """The fewest replicas of which each serves at most `target_per_replica`."""
    return math.ceil(min(load / policy.target_per_replica, MOST) - ROUNDING)


def is_too_much(load: float, ready: int, policy: Policy) -> bool:
    """Whether the load is more than `ready` replicas serve well: by what is steered, compared and measured.

    What grades the mode Observe lets pass what scaleUp tolerates as well: `shadow.is_short`.
    """
    return load > ready * policy.target_per_replica


def is_tolerable(load: float, current: int, policy: Policy) -> bool:
    """Whether the load is so near to what `current` replicas serve well that changing would only stir.

    autoscaling/v2: the change is skipped while load / (current x target) is within 1 +- tolerance.
    """
    usage = load / (current * policy.target_per_replica)
    return 1.0 - policy.scale_down.tolerance <= usage <= 1.0 + policy.scale_up.tolerance
