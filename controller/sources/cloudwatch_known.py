"""What is known of CloudWatch's metrics, and which questions are open? Pasts on grids of steps, and the newest values.

What was seen once stays, whatever a later answer lacks. It must not ask anybody, nor judge a value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from controller.aws_spec import CloudWatchMetric
from controller.core.series import EPOCH, Series, floor_to_step
from controller.sources.cloudwatch_api import MOST_POINTS, MOST_QUERIES, Question
from controller.sources.held import Page, Pasts, index, missing
from controller.sources.periods import KEPT, SECOND, Points, available, on_steps, scale, tier

REREAD = timedelta(minutes=5)
"""And two periods: so late a value may come, or still grow, and count."""

_FEWEST_REREAD = 3
_LONGEST_GAP = timedelta(days=1)
"""What was missed after a longer pause is read like any past, in pages."""

_FEWEST_STEPS = 2
"""Of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One past: a metric in steps, each a whole number of its periods."""

    metric: CloudWatchMetric
    step: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The newest value that has come, usable or not. `end`: of its period; `seen`: when it was there first; aware."""

    end: datetime
    value: float
    seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Steps that are not held. `question`: who tells them; None where CloudWatch keeps them no longer."""

    line: Line
    page: Page
    question: Question | None


class Known:
    """Pasts and newest values. `held_points`, `idle`: as of `Pasts`."""

    def __init__(self, *, held_points: int, idle: timedelta) -> None:
        self.pasts: Pasts[Line] = Pasts(points=held_points, idle=idle)
        self._newest: dict[CloudWatchMetric, Newest] = {}
        self._read: dict[Line, datetime] = {}  # until when
        self._looked: dict[CloudWatchMetric, datetime] = {}  # at which tick

    def newest(self, metric: CloudWatchMetric) -> Newest | None:
        """None where no value has come."""
        return self._newest.get(metric)

    def recent(self, metric: CloudWatchMetric, lines: Iterable[Line], now: datetime) -> Question | None:
        """Asks for what may have come, or changed, since; None where nothing new is to be expected yet."""
        ended = floor_to_step(now, metric.period)
        tick = now - self._looked.get(metric, now)
        self._looked[metric] = now
        newest = self._newest.get(metric)
        if newest is not None and all(self._read.get(line, EPOCH) >= newest.end for line in lines):
            is_late = newest.seen - newest.end >= metric.period  # as the next one will be, then
            if newest.end >= ended or (is_late and now < newest.seen + metric.period - tick):
                return None
        first = min((self._first(line, ended) - 1) * line.step for line in lines)
        return Question(metric=metric, period=metric.period, start=EPOCH + first, end=ended)

    def take_recent(self, question: Question, lines: Iterable[Line], points: Points, now: datetime) -> None:
        """Keep the answer to `recent`."""
        self._note(question, points, now)
        for line in lines:
            first = 1 - (EPOCH - question.start) // line.step
            self._merge(line, Page(first=first, count=_last(line, question.end) + 1 - first), points)
            self._read[line] = question.end

    def gap(self, line: Line, now: datetime, together: int) -> Gap | None:
        """The newest steps of the context that are not held, as many as one call gives to `together` lines."""
        past = self.pasts[line]
        if past.held is None:
            return None
        each = MOST_POINTS // min(together, MOST_QUERIES)
        largest = max(_FEWEST_STEPS, each // (line.step // line.metric.period))
        wanted = next(missing(past.held, past.held.next - 1, past.context, largest), None)
        if wanted is None:
            return None
        page, period = available(line.metric, line.step, wanted, now)
        return Gap(line=line, page=page, question=_question(line, page, period) if period else None)

    def take(self, gap: Gap, points: Points | None, now: datetime) -> None:
        """Keep the answer to `gap`; None where there is none to be had."""
        if gap.question is None or points is None:
            self._merge(gap.line, gap.page, Points(ends=np.empty(0, np.int64), values=np.empty(0)))
            return
        if gap.question.period == gap.line.metric.period:
            self._note(gap.question, points, now)
        self._merge(gap.line, gap.page, points, scale(gap.line.metric, gap.question.period))

    def history(self, line: Line, context: int, max_age: timedelta, now: datetime) -> Series:
        """Ends with the newest step that has come; with the last one before `now` where none has for `max_age`.

        A step that is late is not there yet, and not missing.
        """
        newest = self._newest.get(line.metric)
        is_late = newest is not None and now - newest.end <= max_age
        end = index(newest.end if newest is not None and is_late else now, line.step)
        held = self.pasts[line].held
        values = held.window(end, context) if held else np.full(context, np.nan)
        return Series(end=EPOCH + end * line.step, step=line.step, values=values)

    def forget(self, now: datetime) -> None:
        """What is not used any more, or does not fit."""
        self.pasts.evict(now)
        self._read = {line: self._read[line] for line in self.pasts if line in self._read}
        metrics = {line.metric for line in self.pasts}
        self._newest = {metric: newest for metric, newest in self._newest.items() if metric in metrics}
        self._looked = {metric: looked for metric, looked in self._looked.items() if metric in metrics}

    def _first(self, line: Line, ended: datetime) -> int:
        """The first step to read again: what came late since it was last read, where that is not long ago."""
        period = line.metric.period
        longest = min(_LONGEST_GAP, KEPT[tier(period)] / 2)
        read = self._read.get(line, EPOCH)
        since = min(read, ended) if ended - read <= longest else ended
        return 1 + index(since - max(REREAD + 2 * period, _FEWEST_REREAD * period), line.step)

    def _note(self, question: Question, points: Points, now: datetime) -> None:
        if not len(points):
            return
        end, newest = EPOCH + int(points.ends[-1]) * SECOND, self._newest.get(question.metric)
        if newest is None or end >= newest.end:
            seen = (
                end if newest is None else newest.seen if end == newest.end else now
            )  # nobody looked before the first
            self._newest[question.metric] = Newest(end=end, value=float(points.values[-1]), seen=seen)

    def _merge(self, line: Line, page: Page, points: Points, factor: float = 1.0) -> None:
        past, last = self.pasts[line], page.first + page.count - 1
        values = on_steps(points, page, line.step, factor)
        if past.held is not None:
            values = np.where(np.isnan(values), past.held.window(last, page.count), values)
            last = max(last, past.held.next - 1)
        self.pasts[line] = past.merged(page, values, last)


def _last(line: Line, ended: datetime) -> int:
    """The step that the moment ends or lies in."""
    return -((EPOCH - ended) // line.step)


def _question(line: Line, page: Page, period: timedelta) -> Question:
    start = EPOCH + (page.first - 1) * line.step
    return Question(metric=line.metric, period=period, start=start, end=start + page.count * line.step)
