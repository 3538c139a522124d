"""Which load was seen, and when? Evenly spaced past values in which missing is NaN, never 0.

Must not know where the values come from, nor what time it is now.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np
from numpy.typing import NDArray

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor_to_step(time: datetime, step: timedelta) -> datetime:
    """The last multiple of `step` since 1970-01-01T00:00Z that is not after `time` (aware)."""
    return time - (time - EPOCH) % step


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One load value (the metric's own unit, finite) and the moment it describes (aware)."""

    time: datetime
    value: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Load per step: `values[i]` covers (end - (n - i) step, end - (n - i - 1) step].

    `values`: float64, shape [n], oldest first, the metric's own unit, NaN where nothing was recorded.
    `end`: aware; the end of the last step.
    """

    end: datetime
    step: timedelta
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.end.tzinfo is None:
            raise ValueError("end must carry a zone")
        if self.step <= timedelta(0):
            raise ValueError(f"step must be positive, not {self.step}")
        if self.values.ndim != 1:
            raise ValueError(f"values must have one dimension, not {self.values.ndim}")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def start(self) -> datetime:
        """The beginning of the first step."""
        return self.end - len(self) * self.step

    def value_at(self, time: datetime) -> float:
        """The value of the step that ends at `time`; NaN outside the series or off its grid."""
        back, off = divmod(self.end - time, self.step)
        if off or not 0 <= back < len(self):
            return float("nan")
        return float(self.values[len(self) - 1 - back])

    def highest(self, start: datetime, end: datetime) -> float:
        """The highest value of the steps after `start` until `end`, both on the grid; NaN where any is not known."""
        steps, ahead = (end - start) // self.step, (self.end - end) // self.step
        first = len(self) - ahead - steps
        if first < 0 or ahead < 0 or steps < 1:
            return float("nan")
        return float(self.values[first : first + steps].max())

    def tail(self, count: int) -> Self:
        """The last `count` steps; padded with NaN at the front where the series is shorter."""
        kept = self.values[max(0, len(self) - count) :]
        padding = np.full(count - len(kept), np.nan)
        return type(self)(end=self.end, step=self.step, values=np.concatenate([padding, kept]))

    def until(self, time: datetime) -> Self:
        """The steps that had ended by `time`."""
        surplus = min(max(0, -((time - self.end) // self.step)), len(self))
        return type(self)(
            end=self.end - surplus * self.step,
            step=self.step,
            values=self.values[: len(self) - surplus],
        )

    def last_recorded(self) -> datetime | None:
        """The end of the newest step that holds a value; None when none does."""
        recorded = np.flatnonzero(np.isfinite(self.values))
        if not len(recorded):
            return None
        return self.end - int(len(self) - 1 - recorded[-1]) * self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a metric system said at one moment.

    `history`: closed steps, for the forecaster. `latest`: the load right now; None when the metric system
    gave no usable value. `problem`: why `latest` is None, in words that name the cure; where `latest` is there,
    why `history` is not up to date. `reason`: the same as one CamelCase word, for a condition.
    """

    history: Series
    latest: Sample | None
    problem: str | None = None
    reason: str | None = None
