"""How did a capacity meet a load? Counts and shares, the same for every policy.

Missing is not zero: what is not known of the load is left out of the shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.replicas import ROUNDING
from controller.core.series import Series
from training.simulate.capacity import Capacity, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How a capacity met a load.

    `replica_hours`: of desired replicas, since a starting one is paid for. `under_provisioned`, `unserved`: shares
    (0..1) of the known time in which, and of the load for which, ready replicas did not suffice. `changes`: of size;
    `turns`: changes in the other direction than the one before. `utilisation`: the load in shares of what was ready
    to be served, over all known time.
    """

    replica_hours: float
    under_provisioned: float
    unserved: float
    changes: int
    turns: int
    utilisation: float


def score(load: Series, capacity: Capacity, per_replica: float) -> Score:
    """Measure a capacity against the load; steps without a known load are left out of the shares."""
    known = np.isfinite(load.values)
    came = load.values[known]
    short = shortage(load, capacity, per_replica)[known]
    served = capacity.ready[known] * per_replica
    moves = _moves(capacity.desired)
    return Score(
        replica_hours=float(capacity.desired.sum() * (load.step / timedelta(hours=1))),
        under_provisioned=float((short > 0.0).mean()),
        unserved=_share(short.sum(), came.sum()),
        changes=len(moves),
        turns=int(np.count_nonzero(np.diff(np.sign(moves)))),
        utilisation=_share(came.sum(), served.sum()),
    )


def shortage(load: Series, capacity: Capacity, per_replica: float) -> NDArray[np.float64]:
    """The load that ready replicas do not serve, at each step, [n]; NaN where the load is not known.

    Rounding is no shortage: what `decide` takes for 8 replicas, 8 replicas serve.
    """
    short = load.values - capacity.ready * per_replica
    short[short <= ROUNDING * per_replica] = 0.0
    return short


def _moves(desired: Ints) -> Ints:
    steps: Ints = np.diff(desired)
    moves: Ints = steps[steps != 0]
    return moves


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0.0 else 0.0
