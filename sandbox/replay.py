"""Where is "now" in a trace, and how fast does it pass? Maps the trace's clock to the wall's, and both to a counter.

Pure: every clock is an argument. Under a compression of 60 a minute of the trace passes in a second, and whatever is
a duration for the workload (step, season, start-up, stabilisation) has to go through `shrink` alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sandbox.traffic import Trace

WEEK = timedelta(weeks=1)
JOB = "traffic"
INSTANCE = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """The name and labels of a counter, as an application would serve it. Equal in history and in live scrapes."""

    name: str = "http_requests_total"
    labels: tuple[tuple[str, str], ...] = (("app", "web"),)

    def line(self, value: float, extra: Mapping[str, str] | None = None) -> str:
        """A sample line of the text formats, without its time."""
        labels = ",".join(f'{name}="{label}"' for name, label in (*self.labels, *(extra or {}).items()))
        return f"{self.name}{{{labels}}} {value:.6f}"


class Source(Protocol):
    """Something that counts."""

    def total(self, now: datetime) -> float | None:
        """The counter's value; None while there is nothing to report."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replay:
    """A trace whose moment `moment` passes at `wall`, `factor` times as fast as it was recorded (> 0)."""

    trace: Trace
    moment: datetime
    wall: datetime
    factor: float = 1.0

    def __post_init__(self) -> None:
        if not self.factor > 0:
            raise ValueError(f"factor must be positive, not {self.factor}")

    @classmethod
    def on_this_weekday(cls, trace: Trace, now: datetime, history: timedelta) -> Self:
        """Uncompressed, a whole number of weeks after it was recorded, at least `history` into the trace."""
        weeks = (now - trace.start - history) // WEEK
        return cls(trace=trace, moment=now - weeks * WEEK, wall=now)

    def wall_at(self, moment: datetime) -> datetime:
        """When the trace's `moment` passes."""
        return self.wall + self.shrink(moment - self.moment)

    def moment_at(self, wall: datetime) -> datetime:
        """The trace's moment that passes at `wall`."""
        return self.moment + (wall - self.wall) * self.factor

    def shrink(self, duration: timedelta) -> timedelta:
        """How long `duration` of the trace takes on the wall."""
        return duration / self.factor

    def total(self, now: datetime) -> float | None:
        """All requests from the trace's start until now; None in its gaps and outside it."""
        total = float(self.totals(np.array([now.timestamp()]))[0])
        return None if np.isnan(total) else total

    def totals(self, walls: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `total`, for many wall times in Unix seconds, shape [m]; NaN for None."""
        return self.trace.totals_at(self.moment.timestamp() + (walls - self.wall.timestamp()) * self.factor)


class Dial:
    """Load that a test sets by hand: requests per second from now on. The counter never falls."""

    def __init__(self, rate: float, now: datetime) -> None:
        self._rate = rate
        self._total = 0.0
        self._since = now

    def turn(self, rate: float, now: datetime) -> None:
        """From `now` on count `rate` a second."""
        self._rate, self._total, self._since = rate, self.total(now), now

    def total(self, now: datetime) -> float:
        """The counter's value."""
        return self._total + self._rate * max(0.0, (now - self._since).total_seconds())


def write_history(
    file: Path, replays: Mapping[Counter, Replay], *, until: datetime, every: timedelta, since: datetime | None = None
) -> Path:
    """Write what Prometheus would hold had it scraped since the traces began, as OpenMetrics for promtool.

    `since`: leave out what lies before. `until`: the seam; live scrapes go on from there. It may lie a few seconds
    ahead, to leave time for loading: no scrape is taken in before it. `every`: the scrape interval; the same as live,
    or rate() sees a seam.
    """
    with file.open("w", encoding="utf-8") as out:
        for family in dict.fromkeys(counter.name for counter in replays):
            out.write(f"# TYPE {family.removesuffix('_total')} counter\n")
            for counter, replay in replays.items():
                if counter.name == family:
                    out.writelines(_samples(counter, replay, _walls(replay, since, until, every)))
        out.write("# EOF\n")
    return file


def _walls(replay: Replay, since: datetime | None, until: datetime, every: timedelta) -> NDArray[np.float64]:
    start = replay.wall_at(replay.trace.start)
    count = (until - max(start, since or start)) // every
    return until.timestamp() - np.arange(count, -1, -1, dtype=np.float64) * every.total_seconds()


def _samples(counter: Counter, replay: Replay, walls: NDArray[np.float64]) -> list[str]:
    scraped = {"job": JOB, "instance": INSTANCE}
    return [
        f"{counter.line(total, scraped)} {wall:.3f}\n"
        for wall, total in zip(walls, replay.totals(walls), strict=True)
        if not np.isnan(total)
    ]
