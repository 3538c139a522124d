"""How sure is a difference between two policies that met the same load? A moving-block bootstrap of their differences.

The blocks keep what belongs together in time (Kuensch 1989, "The Jackknife and the Bootstrap for General Stationary
Observations"). It says how much the difference hangs on which hours were seen, not how another load would be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from training.simulate.log import Run
from training.simulate.scores import shortage
from training.simulate.study import HPA, PREDICTIVE, Scene, Study

Floats = NDArray[np.float64]

BLOCK = timedelta(hours=6)  # longer than any hold-down, and four in a day
LEVEL = 0.95
RESAMPLES = 4000
_FEWEST = 8  # blocks; fewer say nothing of how much they differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A difference, and where it lies with `LEVEL` confidence."""

    difference: float
    low: float
    high: float

    @property
    def is_significant(self) -> bool:
        """Whether it is not zero, as far as one can tell."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """One policy less another: in replica-hours, and in the shares of under-provisioned time and of unserved load."""

    replica_hours: Interval
    under_provisioned: Interval
    unserved: Interval


def of_study(study: Study, *, seed: int) -> Paired | None:
    """The predictive policy less the HPA that is shown; None where one of them is not, or the span is too short."""
    one, other = study.runs.get(PREDICTIVE), study.runs.get(HPA)
    return None if one is None or other is None else paired(study.scene, one, other, seed=seed)


def paired(scene: Scene, one: Run, other: Run, *, seed: int) -> Paired | None:
    """`one` less `other`; None where the span is too short to tell."""
    load, count = scene.load, BLOCK // scene.load.step
    if count < 1 or len(load) < _FEWEST * count:
        return None
    known = np.isfinite(load.values)
    came = np.where(known, load.values, 0.0)
    missed = [np.nan_to_num(shortage(load, run.capacity, scene.per_replica)) for run in (one, other)]
    desired = (one.capacity.desired - other.capacity.desired).astype(np.float64)
    short = (missed[0] > 0.0).astype(np.float64) - (missed[1] > 0.0)
    every = np.full(len(load), 1.0 / len(load))  # hours are summed up, the others are shares of what is known
    return Paired(
        replica_hours=ratio(desired * (load.step / timedelta(hours=1)), every, block=count, seed=seed),
        under_provisioned=ratio(short, known.astype(np.float64), block=count, seed=seed),
        unserved=ratio(missed[0] - missed[1], came, block=count, seed=seed),
    )


def ratio(parts: Floats, wholes: Floats, *, block: int, seed: int) -> Interval:
    """The sum of `parts` over the sum of `wholes`, both [n]; blocks of `block` steps are drawn with replacement.

    The percentiles are widened by the factor by which so few blocks underestimate their own spread, and by Student's
    quantile for so many of them.
    """
    count = -(-len(parts) // block)
    starts = np.random.default_rng(seed).integers(0, len(parts) - block + 1, (RESAMPLES, count))  # noqa: TID251  # seeded
    drawn = _sums(parts, block)[starts].sum(axis=1) / np.maximum(_sums(wholes, block)[starts].sum(axis=1), 1e-300)
    difference = float(parts.sum() / wholes.sum()) if wholes.sum() > 0.0 else 0.0
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail]) - float(np.median(drawn))
    return Interval(
        difference=difference, low=difference + _widened(low, count), high=difference + _widened(high, count)
    )


def _sums(values: Floats, block: int) -> Floats:
    """Of each `block` neighbours, [n - block + 1]."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    found: Floats = total[block:] - total[:-block]
    return found


def _widened(deviation: float, count: int) -> float:
    return float(deviation) * math.sqrt(count / (count - 1)) * _student(count - 1) / _NORMAL


_NORMAL = 1.959964  # the normal distribution's 97.5 % quantile


def _student(freedom: int) -> float:
    """Student's 97.5 % quantile, by the expansion of Abramowitz and Stegun 26.7.5; within 0.1 % from 7 on."""
    z = _NORMAL
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
