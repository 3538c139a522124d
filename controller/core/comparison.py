"""By how much do the two arms of an experiment differ, and could that be chance?

The arms are compared within pairs of neighbouring windows, so that the hour of the day is the same for both, up to
one window. Chance is what the coin in `experiment.side` could have done: had the arms made no difference, each pair's
difference would as well have come with the other sign, whatever the load was like and however one hour hangs on the
last. So the interval needs no assumption about the load (Fisher's randomisation test; Kempthorne and Doerfler 1969
for pairs). It holds each difference for which the signs seen are nothing special, and its ends are found by
resampling: they are quantiles of the means of random subsets of the pairs (Hartigan 1969, "Using subsample values as
typical values", JASA 64: exact for any number of pairs, while the usual bootstrap is far too sure with few;
docs/decisions/0012).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from controller.core.experiment import PAIR, Arm, Experiment, Tally, side, wash_out, window_at
from controller.core.policy import Policy

CONFIDENCE = (
    0.975  # that both intervals hold: with 0.95 every second batch of 200 A/A tests would have its 5 % and more
)
CONFIDENCE_EACH = 1.0 - (1.0 - CONFIDENCE) / 2.0  # of the two figures (Bonferroni)
LEAST_KNOWN = 0.5  # of what counts of a window; a pair with less in one of its windows is left out
EXACT_PAIRS = 12  # up to here all subsets are taken
SUBSETS = 2**EXACT_PAIRS - 1  # of more pairs, so many random ones
_SPARE = 64  # drawn beyond, since an empty one has no mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure of both arms.

    `first`, `second`: the reactive and the predictive arm where they differ, else the plan's in their order.
    `difference`: the second less the first, and `low` to `high` where it lies; None with too few pairs.
    """

    first: float
    second: float
    difference: float
    low: float | None
    high: float | None

    @property
    def is_significant(self) -> bool:
        """Whether the interval leaves out that there is no difference."""
        return self.low is not None and self.high is not None and (self.low > 0.0 or self.high < 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the pairs that are over say. `pairs`: how many of them count.

    `replica_hours`: an hour, at the mean load of the experiment. `under_provisioned`: share of the time, 0..1.
    """

    pairs: int
    replica_hours: Estimate
    under_provisioned: Estimate

    @property
    def is_significant(self) -> bool:
        """Whether the arms differ in either; with equal arms, one experiment in forty does at most."""
        return self.replica_hours.is_significant or self.under_provisioned.is_significant


def windows_over(experiment: Experiment, now: datetime) -> int:
    """How many windows are over."""
    window = window_at(experiment, now)
    return experiment.plan.windows if window is None else window


def compared(policy: Policy, experiment: Experiment, now: datetime) -> Comparison | None:
    """The comparison over all pairs that are over; None before the first of them."""
    over = windows_over(experiment, now) // PAIR
    least = (experiment.plan.window_length - wash_out(experiment.plan, policy)) * LEAST_KNOWN
    pairs = [pair for number in range(over) if (pair := _pair(experiment, number, least)) is not None]
    if not pairs:
        return None
    hours, short = (np.array([[figure(tally) for tally in pair] for pair in pairs]) for figure in (_excess, _short))
    need = float(np.mean([tally.needed / tally.known for pair in pairs for tally in pair]))
    return Comparison(pairs=len(pairs), replica_hours=_estimate(hours, offset=need), under_provisioned=_estimate(short))


def interval(differences: NDArray[np.float64], confidence: float) -> tuple[float, float] | None:
    """Where the mean difference is, with at least this confidence; None where so few pairs could never say.

    `differences`: shape [pairs], the second arm less the first.
    """
    subsets = _subsets(len(differences))
    means = np.sort((subsets @ differences) / subsets.sum(axis=1))
    outside = int((1.0 - confidence) / 2.0 * (len(means) + 1))
    return None if outside == 0 else (float(means[outside - 1]), float(means[-outside]))


def fewest_pairs(confidence: float = CONFIDENCE_EACH) -> int:
    """With fewer pairs than this no outcome is beyond chance."""
    return int(np.ceil(np.log2(2.0 / (1.0 - confidence))))


def _pair(experiment: Experiment, number: int, least: timedelta) -> tuple[Tally, Tally] | None:
    """The tallies of an `Estimate`'s first and second; None where too little is known of one."""
    windows = range(PAIR * number, PAIR * (number + 1))
    tallies = experiment.tallies[windows.start : windows.stop]
    if len(tallies) < PAIR or any(tally.known < least.total_seconds() for tally in tallies):
        return None
    is_turned = experiment.plan.arms == (Arm.PREDICTIVE, Arm.REACTIVE)
    return (tallies[0], tallies[1]) if side(experiment, windows.start) == is_turned else (tallies[1], tallies[0])


def _excess(tally: Tally) -> float:
    """Replica-hours an hour beyond what the load itself called for.

    The load is nobody's doing, so taking its part out changes no expectation; it takes out most of the chance, which
    is that one window of a pair was busier.
    """
    return (tally.replicas - tally.needed) / tally.known


def _short(tally: Tally) -> float:
    return tally.short / tally.known


def _estimate(figures: NDArray[np.float64], offset: float = 0.0) -> Estimate:
    """`figures`: shape [pairs, 2]."""
    first, second = (float(mean) + offset for mean in figures.mean(axis=0))
    bounds = interval(figures[:, 1] - figures[:, 0], CONFIDENCE_EACH)
    low, high = (None, None) if bounds is None else bounds
    return Estimate(first=first, second=second, difference=second - first, low=low, high=high)


@lru_cache(maxsize=2)
def _subsets(pairs: int) -> NDArray[np.float64]:
    """Non-empty subsets as rows of 0 and 1: all of them, or SUBSETS that a hash draws; the same for everyone."""
    if pairs <= EXACT_PAIRS:
        numbers = np.arange(1, 2**pairs)
        return ((numbers[:, None] >> np.arange(pairs)) & 1).astype(np.float64)
    drawn = hashlib.shake_256(f"subsets of {pairs}".encode()).digest((SUBSETS + _SPARE) * pairs // 8 + 1)
    bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8))[: (SUBSETS + _SPARE) * pairs]
    rows = bits.reshape(-1, pairs).astype(np.float64)
    return rows[rows.any(axis=1)][:SUBSETS]
