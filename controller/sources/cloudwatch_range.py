"""Which past does CloudWatch still have of a metric? Its steps over a long span, from the periods that are kept.

For whoever has time: a call that is throttled is made again, after a growing while. Must not hold anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from controller.aws import Aws
from controller.aws_spec import CloudWatchMetric
from controller.core.series import EPOCH, Series
from controller.ports import MetricError
from controller.sources.cloudwatch_api import MOST_POINTS, CloudWatchApi, Question
from controller.sources.cloudwatch_patience import is_throttled
from controller.sources.held import Page, index
from controller.sources.periods import Floats, Points, available, on_steps, scale

_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds, before a call that was throttled is made again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one call told, or could not: `page` of steps, by values of `period`; None where none is kept any more."""

    page: Page
    period: timedelta | None


async def fetch_range(
    aws: Aws,
    metric: CloudWatchMetric,
    start: datetime,
    end: datetime,
    step: timedelta,
    *,
    now: datetime,
    on_part: Callable[[Part], None] = lambda _: None,
) -> Series:
    """The steps that lie within [start, end]; the mean of the periods of each that are there. Raises MetricError.

    `step`: a whole number of the metric's periods. The newest come first; `on_part` hears of each part that is there.
    NaN where nothing usable was recorded, and where CloudWatch has no period of that age that tells the step.
    """
    if step % metric.period:
        raise ValueError(f"a step of {step} is no whole number of periods of {metric.period}")
    last = index(end, step)
    count = last + (start - EPOCH) // -step
    if count < 1:
        raise ValueError(f"no whole step of {step} lies between {start} and {end}")
    api = CloudWatchApi(aws, at_once=1)
    parts: list[Floats] = []
    for part in _parts(metric, step, Page(first=last - count + 1, count=count), now):
        parts.append(await _values(api, metric, step, part))
        on_part(part)
    return Series(end=EPOCH + last * step, step=step, values=np.concatenate(parts[::-1]))


def _parts(metric: CloudWatchMetric, step: timedelta, left: Page, now: datetime) -> Iterator[Part]:
    """Newest first; each the points of one call at the most, where a step is no more than that."""
    while left.count:
        page, period = available(metric, step, left, now)
        if period is not None:
            most = max(1, MOST_POINTS // (step // period))
            first = max(page.first, page.first + page.count - most)
            page = Page(first=first, count=page.first + page.count - first)
        yield Part(page=page, period=period)
        left = Page(first=left.first, count=page.first - left.first)


async def _values(api: CloudWatchApi, metric: CloudWatchMetric, step: timedelta, part: Part) -> Floats:
    if part.period is None:
        return np.full(part.page.count, np.nan)
    begin = EPOCH + (part.page.first - 1) * step
    question = Question(metric=metric, period=part.period, start=begin, end=begin + part.page.count * step)
    return on_steps(await _asked(api, question), part.page, step, scale(metric, part.period))


async def _asked(api: CloudWatchApi, question: Question) -> Points:
    access = question.metric.access
    answer = (await api.ask(access, [question]))[question]
    for wait in _WAITS:
        if not is_throttled(answer):
            break
        await asyncio.sleep(wait)
        answer = (await api.ask(access, [question]))[question]
    if isinstance(answer, MetricError):
        raise answer
    return answer
