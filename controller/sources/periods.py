"""How long does CloudWatch keep values of which period, and how do they become steps?

A value is the statistic of one period. One more than 15 days old is there for periods of 5 minutes only, one of more
than 63 days for hours only: a statistic that can be told from longer periods is, any other is missing from there on.
A question that begins before what its period is kept for is answered with nothing at all, and without an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from controller.aws_spec import CloudWatchMetric
from controller.core.series import EPOCH
from controller.sources.held import Page

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
COARSER = (MINUTE, timedelta(minutes=5), timedelta(hours=1))
"""What values become with age."""

KEPT = (timedelta(hours=3), timedelta(days=15), timedelta(days=63), timedelta(days=455))
"""Parts of a minute; whole minutes; multiples of five minutes; of hours. As AWS's reference of GetMetricData has it."""

_MARGIN = timedelta(minutes=2)
"""Clocks differ, and a question takes its time."""

_ADDED_UP = frozenset({"Sum", "SampleCount"})
_AVERAGED = frozenset({"Average"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Values of periods that have ended, oldest first. `ends`: int64 [n], seconds since 1970 UTC; `values`: [n]."""

    ends: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.ends)


def tier(period: timedelta) -> int:
    """Which of `KEPT` it has."""
    return sum(not period % coarser for coarser in COARSER)


def oldest(period: timedelta, now: datetime) -> datetime:
    """The earliest beginning of a question that is answered at this period."""
    return now - KEPT[tier(period)] + _MARGIN


def scale(metric: CloudWatchMetric, period: timedelta) -> float:
    """Times this, a value of `period` is the mean of those of the metric's own."""
    return metric.period / period if metric.stat in _ADDED_UP else 1.0


def periods(metric: CloudWatchMetric, step: timedelta) -> Iterator[timedelta]:
    """Its own, and the longer ones from which a step's mean can be told as well, shortest first."""
    yield metric.period
    if metric.stat in _ADDED_UP | _AVERAGED:
        yield from (
            longer for longer in COARSER if longer > metric.period and not longer % metric.period and not step % longer
        )


def available(metric: CloudWatchMetric, step: timedelta, page: Page, now: datetime) -> tuple[Page, timedelta | None]:
    """The newest steps of `page` that one period tells, and that period; None where none does any more."""
    begin = EPOCH + (page.first + page.count - 2) * step
    for period in periods(metric, step):
        since = oldest(period, now)
        if begin >= since:
            first = max(page.first, 1 - (EPOCH - since) // step)
            return Page(first=first, count=page.first + page.count - first), period
    return page, None


def on_steps(points: Points, page: Page, step: timedelta, scale: float = 1.0) -> Floats:
    """The mean of the periods of each step of the page, [page.count], each times `scale`; NaN where none is usable."""
    usable = np.isfinite(points.values) & (points.values >= 0)
    places = -(-points.ends // (step // SECOND)) - page.first
    usable &= (places >= 0) & (places < page.count)
    sums = np.bincount(places[usable], points.values[usable], page.count)
    counts = np.bincount(places[usable], minlength=page.count)
    means: Floats = np.divide(sums * scale, counts, out=np.full(page.count, np.nan), where=counts > 0)
    return means
