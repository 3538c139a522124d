"""Does a long past come out as it was put in, from whatever periods are kept, and with patience?"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np
import pytest

from controller.aws_spec import CloudWatchMetric
from controller.core.series import EPOCH, Series
from controller.ports import MetricError, MetricReason
from controller.sources import cloudwatch_range
from controller.sources.cloudwatch_range import Part, fetch_range
from tests.aws.fixtures import Place
from tests.sources.watching import CLOSED, MINUTE, NOW, client, request

HOUR, DAY = 60 * MINUTE, timedelta(days=1)
NEVER = timedelta(0)


async def fetched(
    metric: CloudWatchMetric, back: timedelta, step: timedelta, end: datetime = CLOSED
) -> tuple[Series, list[Part]]:
    aws, parts = client(), list[Part]()
    try:
        series = await fetch_range(aws, metric, end - back, end, step, now=NOW, on_part=parts.append)
    finally:
        aws.close()
    return series, parts


def put(aws: Place, days: float, every: timedelta) -> dict[datetime, float]:
    """A value `every` so often, at the begin of its period, none in every eleventh; what was put, by its time."""
    aws.at(NOW)
    aws.server.change(oldest_put=500 * DAY.total_seconds())
    count = round(days * DAY / every)
    values = {CLOSED - (back + 1) * every: 10.0 + back % 97 for back in range(count) if back % 11}
    aws.put(values)
    return values


def by_hand(values: dict[datetime, float], series: Series, kept: dict[timedelta, timedelta]) -> list[float]:
    """`kept`: until which age periods of which length are there, longest first; the mean of their sums a minute."""
    found = []
    for number in range(len(series)):
        begin = series.start + number * series.step
        period = next((one for one, age in kept.items() if begin >= NOW - age + 2 * MINUTE), NEVER)
        sums: dict[int, float] = {}
        for time, load in values.items():
            if period and begin <= time < begin + series.step:
                place = (time - EPOCH) // period
                sums[place] = sums.get(place, 0.0) + load * (MINUTE / period)
        found.append(sum(sums.values()) / len(sums) if sums else math.nan)
    return found


async def test_a_long_past_comes_from_the_periods_that_are_kept(aws: Place) -> None:
    values = put(aws, 70, 15 * MINUTE)
    series, parts = await fetched(request().metric, 70 * DAY, HOUR)
    kept = {MINUTE: 15 * DAY, 5 * MINUTE: 63 * DAY, HOUR: 455 * DAY}
    np.testing.assert_allclose(series.values, by_hand(values, series, kept))
    assert [part.period for part in parts] == list(kept)
    assert (series.end, len(series)) == (CLOSED, 70 * 24)


async def test_what_is_kept_no_more_is_missing(aws: Place) -> None:
    put(aws, 20, HOUR)
    series, parts = await fetched(request(stat="p50").metric, 20 * DAY, HOUR)
    assert [part.period for part in parts] == [MINUTE, None]
    assert np.isnan(series.values[: 4 * 24]).all()
    assert np.isfinite(series.values[-14 * 24 :]).mean() > 0.9


async def test_a_past_is_read_in_parts_of_a_page(aws: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloudwatch_range, "MOST_POINTS", 100)
    values = put(aws, 0.5, MINUTE)
    series, parts = await fetched(request().metric, 12 * HOUR, 5 * MINUTE)
    np.testing.assert_allclose(series.values, by_hand(values, series, {MINUTE: 15 * DAY}))
    assert [part.page.count for part in parts] == [20] * 7 + [4]


async def test_who_is_throttled_waits_and_goes_on(aws: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloudwatch_range, "_WAITS", (0.0,))
    put(aws, 0.1, MINUTE)
    aws.server.fail(operation="GetMetricData", code="Throttling", times=3)
    series, _ = await fetched(request().metric, HOUR, MINUTE)
    assert np.isfinite(series.values).sum() > 50
    monkeypatch.setattr(cloudwatch_range, "_WAITS", ())
    aws.server.fail(operation="GetMetricData", code="Throttling", times=-1)
    with pytest.raises(MetricError) as error:
        await fetched(request().metric, HOUR, MINUTE)
    assert error.value.reason == MetricReason.THROTTLED


@pytest.mark.parametrize(
    ("back", "step", "words"),
    [(HOUR, 90 * MINUTE / 60, "no whole number of periods"), (30 * MINUTE, HOUR, "no whole step")],
)
async def test_a_range_needs_whole_steps_of_whole_periods(back: timedelta, step: timedelta, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        await fetched(request().metric, back, step, CLOSED + 50 * MINUTE)
