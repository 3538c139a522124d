"""Which linear filter forecasts a remainder best? What one has to offer, and the choice between them.

Must not know what a remainder was taken from, nor how a filter is written down.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from training.families.family import FitError, Progress
from training.measures import Floats
from training.windows import Window

_MOST_STEPS = 20_000  # that a filter learns from, the newest; more would tell it the same again
_NO_SPREAD = 1e-6  # of the level: below it a remainder is rounding


class Filter(Protocol):
    """A fitted linear filter. Remainders are divided by the level, the newest last, NaN where not recorded."""

    @property
    def parameters(self) -> int:
        """How many were fitted."""
        ...

    def errors(self, remainder: Floats) -> Floats:
        """What came at each step less what was expected one step before, [n]."""
        ...

    def forecast(self, remainder: Floats, horizon: int) -> Floats:
        """What is expected after a whole context without gaps, [horizon], as the library itself says."""
        ...

    def kernel(self, window: Window) -> Floats:
        """How much each step of a whole context counts in that, [horizon, context]."""
        ...


class Candidate(Protocol):
    """A filter that is not yet fitted."""

    def fit(self, remainder: Floats, window: Window) -> Filter:
        """Learn from all of it. Raises FitError where that fails."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """Candidate and filter in one: nothing but what is usual is ever expected."""

    parameters: int = 0

    def fit(self, _remainder: Floats, _window: Window) -> Self:
        """There is nothing to learn."""
        return self

    def errors(self, remainder: Floats) -> Floats:
        """All of it."""
        return remainder

    def forecast(self, _remainder: Floats, horizon: int) -> Floats:
        """None."""
        return np.zeros(horizon)

    def kernel(self, window: Window) -> Floats:
        """Nothing counts."""
        return np.zeros((window.horizon, window.context))


def choose(
    candidates: Sequence[Candidate], remainder: Floats, last: int, window: Window, progress: Progress
) -> tuple[Candidate, Filter]:
    """By Akaike's criterion on the `last` steps, which none was fitted on; with what was fitted on the others."""
    best: tuple[Candidate, Filter] = (Still(), Still())
    least = _criterion(best[1], remainder, last)
    for done, candidate in enumerate(candidates, 1):
        try:
            fitted = fit(candidate, remainder[:-last], window)
        except FitError:
            continue  # the others are there
        value = _criterion(fitted, remainder, last)
        if value < least:
            best, least = (candidate, fitted), value
        progress(done, len(candidates) + 1)
    return best


def _criterion(fitted: Filter, remainder: Floats, last: int) -> float:
    """Of one-step errors on the last steps, if they were normal."""
    errors = fitted.errors(remainder[-_MOST_STEPS:])[-last:]
    errors = errors[np.isfinite(errors)]
    if not len(errors):
        return 0.0
    return len(errors) * float(np.log(np.mean(np.square(errors)) + _NO_SPREAD**2)) + 2 * fitted.parameters


def fit(candidate: Candidate, remainder: Floats, window: Window) -> Filter:
    """Learn from the newest steps. Raises FitError where the candidate does."""
    used = remainder[-_MOST_STEPS:]
    known = used[np.isfinite(used)]
    if not len(known) or float(known.std()) < _NO_SPREAD:
        return Still()
    with warnings.catch_warnings():
        # A fit that has not converged is judged by its errors like any other.
        warnings.simplefilter("ignore")
        return candidate.fit(used, window)
