"""What does CloudWatch keep of a metric, and what does it say of a period? Points by time, and their statistics.

The facts are of the documentation of PutMetricData, GetMetricData and "CloudWatch concepts" (periods, retention,
statistics): periods begin at multiples of themselves, the end of a range is exclusive, a period too fine for the age
of the range's start has no points, points come back only for the very set of dimensions. Must not know HTTP or moto.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

MINUTE = 60
_HOUR = 3600
_DAY = 86_400
_SHORT_PERIODS = frozenset({1, 5, 10, 20, 30})
_TIERS = ((63 * _DAY, _HOUR), (15 * _DAY, 5 * MINUTE), (3 * _HOUR, MINUTE))
"""Ranges that began longer ago than the first (s) need a period that is a multiple of the second (s)."""
LONGEST_KEPT = 455 * _DAY
_PERCENTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,10})?|100)")

Dimensions = tuple[tuple[str, str], ...]
Key = tuple[str, str, Dimensions]
"""Namespace, name, dimensions by name."""
Values = dict[int, float]
"""By the start of the period, Unix seconds; ascending."""


class QueryError(ValueError):
    """The question is wrong; the message is what AWS would say, or says that the sandbox cannot do it."""


@dataclass(frozen=True, slots=True)
class Point:
    """Values that came at a time: `count` of them from `lowest` to `highest`. `raw`: they are all alike.

    `time`: Unix seconds, already of the resolution at which it is kept. `put`: when it came. Sorted by `time`.
    """

    time: int
    put: float
    total: float
    count: float
    lowest: float
    highest: float
    unit: str = "None"
    raw: bool = True

    def __lt__(self, other: Point) -> bool:
        return self.time < other.time


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One statistic of one metric over [start, end), Unix seconds, asked at `now`.

    Points that were put after `seen` are not there yet.
    """

    key: Key
    stat: str
    period: int
    start: int
    end: int
    now: float
    seen: float
    unit: str | None = None


@dataclass(slots=True)
class Metrics:
    """All points of an account in a region."""

    points: dict[Key, list[Point]] = field(default_factory=dict)

    def put(self, key: Key, points: Iterable[Point]) -> None:
        """Keep points, in whatever order they come."""
        kept = self.points.setdefault(key, [])
        for point in points:
            if kept and point.time < kept[-1].time:
                insort(kept, point)
            else:
                kept.append(point)

    def values(self, question: Question) -> Values:
        """The statistic of each period that has points. Raises QueryError."""
        statistic = statistic_of(question.stat)
        if not is_kept(question.period, question.now - question.start):
            return {}
        values = {start: statistic(points) for start, points in self._periods(question).items()}
        return {start: value for start, value in values.items() if value is not None}

    def _periods(self, question: Question) -> dict[int, list[Point]]:
        kept = self.points.get(question.key, [])
        first = max(question.start, int(question.now) - LONGEST_KEPT)
        periods: dict[int, list[Point]] = {}
        for index in range(bisect_left(kept, first, key=_time), bisect_left(kept, question.end, key=_time)):
            point = kept[index]
            if point.put <= question.seen and question.unit in {None, point.unit}:
                periods.setdefault(point.time // question.period * question.period, []).append(point)
        return periods


def is_period(seconds: int) -> bool:
    """Whether a period may have this length."""
    return seconds in _SHORT_PERIODS or (seconds > 0 and seconds % MINUTE == 0)


def is_kept(period: int, age: float) -> bool:
    """Whether there is anything of this period for a range that began `age` seconds ago."""
    return all(age <= oldest or period % finest == 0 for oldest, finest in _TIERS)


def rounded_start(start: float, period: int, now: float) -> int:
    """The start of a range as CloudWatch takes it: rounded down, the more the longer ago it is."""
    if period < MINUTE:
        unit = period
    else:
        unit = next((finest for oldest, finest in _TIERS[:2] if now - start > oldest), MINUTE)
    return int(start // unit * unit)


def statistic_of(name: str) -> Callable[[Sequence[Point]], float | None]:
    """How a statistic is made of the points of one period; None where they do not tell. Raises QueryError."""
    if name in _STATISTICS:
        return _STATISTICS[name]
    percentile = _PERCENTILE.fullmatch(name)
    if percentile is None:
        raise QueryError(
            f"the sandbox's CloudWatch has no statistic {name}; it has {', '.join(_STATISTICS)} and p0-p100"
        )
    share = float(percentile[1]) / 100.0
    return lambda points: _percentile(points, share)


def _percentile(points: Sequence[Point], share: float) -> float | None:
    """Linear between ranks; none of sets of statistics whose values are not known, and none of negative values."""
    if any(not point.raw or point.lowest < 0.0 for point in points):
        return None
    values = sorted(value for point in points for value in [point.lowest] * int(point.count))
    if not values:
        return None
    place = share * (len(values) - 1)
    low, high = values[math.floor(place)], values[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def _average(points: Sequence[Point]) -> float | None:
    count = sum(point.count for point in points)
    return sum(point.total for point in points) / count if count else None


_STATISTICS: dict[str, Callable[[Sequence[Point]], float | None]] = {
    "Sum": lambda points: sum(point.total for point in points),
    "SampleCount": lambda points: sum(point.count for point in points),
    "Average": _average,
    "Minimum": lambda points: min(point.lowest for point in points),
    "Maximum": lambda points: max(point.highest for point in points),
}


def _time(point: Point) -> int:
    return point.time
