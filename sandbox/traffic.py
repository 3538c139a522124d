"""Which load does the sandbox replay? Traces of requests per step: recorded ones, and made ones that repeat exactly.

Missing is NaN, never 0. Must not know when or how fast a trace is replayed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REPOSITORY = Path(__file__).parent.parent
NASA_FILE = Path("nasa") / "requests-1min.csv"
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
AS_RECORDED = 60.0  # requests a minute: about what NASA's server had on a working day


class TraceMissing(Exception):  # noqa: N818 - it is no error that a machine has no copy of a public data set
    """A recorded trace is not on this machine; the message says where it was looked for and how to point to it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """Requests per step: `counts[i]` came in [start + i step, start + (i + 1) step).

    `counts`: float64, shape [n], NaN where nothing was recorded. `start`: aware.
    """

    name: str
    start: datetime
    step: timedelta
    counts: NDArray[np.float64]

    @property
    def end(self) -> datetime:
        """The end of the last step."""
        return self.start + len(self.counts) * self.step

    def between(self, start: datetime, end: datetime) -> Trace:
        """The steps that lie wholly within [start, end)."""
        first = max(0, -((self.start - start) // self.step))
        last = max(first, min(len(self.counts), (end - self.start) // self.step))
        return Trace(
            name=self.name, start=self.start + first * self.step, step=self.step, counts=self.counts[first:last]
        )

    def totals_at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """All requests since the start at `times` (Unix seconds, shape [m]); NaN in gaps and outside the trace.

        Within a step requests come evenly. A gap adds nothing; its two ends still count as recorded.
        """
        position = np.round((times - self.start.timestamp()) / self.step.total_seconds(), 9)
        step = np.clip(np.floor(position).astype(np.int64), 0, len(self.counts) - 1)
        before = np.concatenate([[0.0], np.cumsum(np.nan_to_num(self.counts))])
        totals = before[step] + (position - step) * np.nan_to_num(self.counts[step])
        return np.where(self._is_recorded(position), totals, np.nan)

    def _is_recorded(self, position: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the step that `position` (in steps since the start) lies in, or at the end of, is recorded."""
        has_count = np.concatenate([[False], np.isfinite(self.counts), [False]])
        following = np.clip(np.floor(position).astype(np.int64), -1, len(self.counts)) + 1
        preceding = np.clip(np.ceil(position).astype(np.int64) - 1, -1, len(self.counts)) + 1
        return np.asarray(has_count[following] | has_count[preceding])


def recorded_or_made(environment: Mapping[str, str] = os.environ) -> tuple[Trace, str]:
    """NASA's July and August 1995 where the data are at hand, else five made weeks; and a sentence that says which."""
    try:
        trace = nasa(environment)
    except TraceMissing as missing:
        start = datetime.fromisoformat("2026-01-05T00:00:00+00:00")
        return synthetic(start=start, days=35, per_minute=AS_RECORDED), f"generated traffic, not a recording: {missing}"
    return trace, "recorded traffic: NASA-HTTP 1995, the Kennedy Space Center's web server"


def nasa(environment: Mapping[str, str] = os.environ) -> Trace:
    """Requests per minute to the Kennedy Space Center's web server in July and August 1995. Raises TraceMissing."""
    file = data_directory(environment) / NASA_FILE
    if not file.is_file():
        raise TraceMissing(f"there is no {file}; PREDICTIVE_SCALER_DATA may name the directory that holds {NASA_FILE}")
    with file.open(encoding="utf-8") as lines:
        next(lines)
        rows = [line.rstrip("\n").split(",") for line in lines]
    counts = np.array([float(count) if count else np.nan for _, count in rows])
    return Trace(name="nasa", start=datetime.fromisoformat(rows[0][0]), step=MINUTE, counts=counts)


def data_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Where public traces lie: PREDICTIVE_SCALER_DATA, or `shared/data` beside the repository."""
    return Path(environment.get("PREDICTIVE_SCALER_DATA") or REPOSITORY.parent / "shared" / "data")


def synthetic(
    *, start: datetime, days: int, step: timedelta = MINUTE, per_minute: float = 300.0, seed: int = 1
) -> Trace:
    """Made traffic: a day, a week, noise that grows with the load, and bursts. The same seed makes the same.

    `per_minute`: the mean load before bursts.
    """
    random = np.random.default_rng(seed)  # noqa: TID251 - seeded
    times = np.arange(round(days * DAY / step), dtype=np.float64) * step.total_seconds()
    hours = times / 3600.0
    day = 1.0 - 0.6 * np.cos(2 * np.pi * (hours - 4.0) / 24.0) + 0.15 * np.sin(4 * np.pi * hours / 24.0)
    weekend = np.where((start.weekday() + times // DAY.total_seconds()) % 7 >= 5, 0.6, 1.0)  # noqa: PLR2004 - Saturday
    expected = per_minute * (step / MINUTE) * day * weekend
    expected *= _bursts(random.uniform(0.0, days * DAY.total_seconds(), days), times)
    scatter = np.exp(random.normal(0.0, 0.05, len(times)))
    counts = random.poisson(np.maximum(expected * scatter, 0.0)).astype(np.float64)
    return Trace(name="synthetic", start=start, step=step, counts=counts)


def _bursts(beginnings: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """A factor on the load: each burst doubles it at its height and fades within half an hour."""
    factor = np.ones_like(times)
    for beginning in beginnings:
        age = times - beginning
        factor += np.where(age >= 0, np.exp(-np.maximum(age, 0.0) / 600.0), 0.0)
    return factor
