"""Do values become the mean of their steps, and which periods tell which steps of which age?"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.series import EPOCH
from controller.sources.held import Page
from controller.sources.periods import KEPT, Points, available, oldest, on_steps, periods, tier
from tests.sources.watching import METRIC, MINUTE, NOW

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
values = st.one_of(st.floats(0, 1e6), st.sampled_from([math.nan, math.inf, -1.0]))


def steps_by_hand(points: dict[int, float], page: Page, step: int) -> list[float]:
    """Look at every second of every step for a value that ends there."""
    found = []
    for number in range(page.first, page.first + page.count):
        ends = range((number - 1) * step + 1, number * step + 1)
        usable = [points[end] for end in ends if end in points and 0 <= points[end] < math.inf]
        found.append(sum(usable) / len(usable) if usable else math.nan)
    return found


@given(
    period=st.sampled_from([1, 5, 10]),
    each=st.integers(1, 4),
    first=st.integers(-3, 6),
    count=st.integers(1, 6),
    loads=st.dictionaries(st.integers(1, 40), values),
)
def test_a_step_is_the_mean_of_its_periods_that_are_there(
    period: int, each: int, first: int, count: int, loads: dict[int, float]
) -> None:
    points = {number * period: load for number, load in sorted(loads.items())}
    page = Page(first=first, count=count)
    found = on_steps(
        Points(ends=np.array(list(points), np.int64), values=np.array(list(points.values()), np.float64)),
        page,
        timedelta(seconds=period * each),
    )
    np.testing.assert_allclose(found, steps_by_hand(points, page, period * each), rtol=1e-12)


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [
        pytest.param(10, timedelta(hours=3), id="part of a minute"),
        pytest.param(60, timedelta(days=15), id="a minute"),
        pytest.param(420, timedelta(days=15), id="seven minutes are made of minutes"),
        pytest.param(300, timedelta(days=63), id="five minutes"),
        pytest.param(900, timedelta(days=63), id="a quarter"),
        pytest.param(3600, timedelta(days=455), id="an hour"),
    ],
)
def test_how_long_a_period_is_kept(seconds: int, kept: timedelta) -> None:
    assert KEPT[tier(timedelta(seconds=seconds))] == kept


@pytest.mark.parametrize(
    ("period", "stat", "step", "expected"),
    [
        pytest.param(60, "Sum", 300, [60, 300], id="only longer ones that divide the step"),
        pytest.param(60, "Sum", 3600, [60, 300, 3600], id="hours"),
        pytest.param(60, "Sum", 120, [60], id="no longer one divides the step"),
        pytest.param(10, "Average", 3600, [10, 60, 300, 3600], id="high resolution"),
        pytest.param(120, "SampleCount", 3600, [120, 3600], id="five minutes are no multiple"),
        pytest.param(60, "Maximum", 3600, [60], id="the mean of maxima is no maximum"),
        pytest.param(60, "p99", 3600, [60], id="nor that of percentiles one"),
        pytest.param(60, None, 3600, [60], id="nobody knows what an expression does"),
    ],
)
def test_which_periods_tell_a_step(period: int, stat: str | None, step: int, expected: list[int]) -> None:
    metric = replace(METRIC, period=timedelta(seconds=period), stat=stat)
    found = periods(metric, timedelta(seconds=step))
    assert [one.total_seconds() for one in found] == expected


@given(
    stat=st.sampled_from(["Sum", "Average", "p90"]),
    minutes=st.sampled_from([1, 5, 60, 1440]),
    back=st.integers(0, 700 * 24),
    count=st.integers(1, 200_000),
)
def test_pages_cover_the_past_and_never_begin_before_what_is_kept(
    stat: str, minutes: int, back: int, count: int
) -> None:
    metric, step = replace(METRIC, stat=stat), minutes * MINUTE
    wanted = Page(first=(NOW - back * HOUR - EPOCH) // step - count + 1, count=count)
    missing, seen = wanted, []
    while missing.count:
        page, period = available(metric, step, missing, NOW)
        assert page.first + page.count == missing.first + missing.count
        assert page.first >= wanted.first
        begin = EPOCH + (page.first - 1) * step
        assert period is None or begin >= oldest(period, NOW) > NOW - KEPT[tier(period)]
        assert period is None or (not step % period and not period % metric.period)
        seen.append(KEPT[tier(period)] if period else timedelta.max)
        missing = Page(first=wanted.first, count=page.first - wanted.first)
    assert seen == sorted(set(seen))  # each period once, the shortest for the newest
