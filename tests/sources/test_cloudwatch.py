"""Does the load come out of CloudWatch as it was put in, late or missing, and each thing asked for once?"""

from __future__ import annotations

import csv
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from controller.core.series import Observation, Sample
from controller.ports import MetricError, MetricReason
from controller.sources.cloudwatch import CloudWatchSource
from controller.sources.periods import SECOND
from tests.aws.fixtures import Place
from tests.sources.watching import CLOSED, LIMITS, MINUTE, NOW, access, client, minutes, observed, refused, request

TRACES = Path(__file__).parents[2].parent / "shared" / "data" / "cloudwatch"
DAY = timedelta(days=1)


@pytest.fixture
async def source(aws: Place) -> AsyncIterator[CloudWatchSource]:
    aws.at(NOW)
    asked = client()
    source = CloudWatchSource(asked, limits=LIMITS)
    yield source
    await source.close()
    asked.close()


def calls(aws: Place) -> list[int]:
    """How many metrics each GetMetricData asked for."""
    return [call["queries"] for call in aws.server.calls("GetMetricData")]


# What is seen


async def test_the_newest_value_is_dated_by_the_end_of_its_period(source: CloudWatchSource, aws: Place) -> None:
    aws.put(minutes(5, lambda back: 100.0 - back))
    observation = await observed(source)
    assert observation.latest == Sample(time=CLOSED, value=100.0)
    assert observation.history.end == CLOSED
    assert observation.history.values.tolist() == [96, 97, 98, 99, 100]
    assert observation.problem is None


async def test_a_period_that_is_not_over_is_not_used(source: CloudWatchSource, aws: Place) -> None:
    aws.put({**minutes(5, lambda _: 60.0), CLOSED: 3.0})
    assert (await observed(source)).latest == Sample(time=CLOSED, value=60.0)


async def test_a_true_zero_is_a_value(source: CloudWatchSource, aws: Place) -> None:
    aws.put(minutes(5, lambda _: 0.0))
    observation = await observed(source)
    assert observation.latest == Sample(time=CLOSED, value=0.0)
    assert observation.history.values.tolist() == [0.0] * 5


async def test_missing_is_not_zero(source: CloudWatchSource, aws: Place) -> None:
    values = minutes(5, lambda back: 5.0 - back)
    del values[CLOSED - 3 * MINUTE]
    aws.put(values)
    np.testing.assert_array_equal((await observed(source)).history.values, [1, 2, math.nan, 4, 5])


async def test_what_is_late_is_not_missing(source: CloudWatchSource, aws: Place) -> None:
    aws.put({time: load for time, load in minutes(9, lambda back: 9.0 - back).items() if time < CLOSED - 2 * MINUTE})
    observation = await observed(source)
    assert observation.latest == Sample(time=CLOSED - 2 * MINUTE, value=7.0)
    assert observation.history.end == CLOSED - 2 * MINUTE
    assert observation.history.values.tolist() == [3, 4, 5, 6, 7]


async def test_what_does_not_come_for_long_is_missing(source: CloudWatchSource, aws: Place) -> None:
    aws.put({time: 7.0 for time in minutes(9, lambda _: 0.0) if time < CLOSED - 6 * MINUTE})
    observation = await observed(source, request(context=8))
    assert observation.latest is None
    assert observation.reason == MetricReason.STALE
    assert "ended 367 s ago, and 300 s is the most" in (observation.problem or "")
    assert observation.history.end == CLOSED
    np.testing.assert_array_equal(observation.history.values, [7, 7] + [math.nan] * 6)


async def test_a_step_is_the_mean_of_its_periods(source: CloudWatchSource, aws: Place) -> None:
    values = minutes(15, lambda back: 15.0 - back)
    for lost in (1, 2, 6):
        del values[CLOSED - 15 * MINUTE + lost * MINUTE]
    aws.put(values)
    history = (await observed(source, request(step=5 * MINUTE, context=3))).history
    assert history.values.tolist() == [(1 + 4 + 5) / 3, (6 + 8 + 9 + 10) / 4, 13]


async def test_a_step_that_is_not_over_is_not_there(source: CloudWatchSource, aws: Place) -> None:
    aws.put(minutes(12, lambda _: 1.0, CLOSED - MINUTE))
    observation = await observed(source, request(step=5 * MINUTE, context=2))
    assert observation.history.end == CLOSED - 5 * MINUTE
    assert observation.latest == Sample(time=CLOSED - MINUTE, value=1.0)


@pytest.mark.parametrize(
    ("step", "period", "words"),
    [
        (90, 60, "90 s, is no whole number of periods of 60 s; set spec.metric.cloudwatch.period"),
        (60, 300, "60 s, is no whole number of periods of 300 s"),
        (7200, 10, "three hours only, too short for steps of 7200 s"),
    ],
)
async def test_steps_that_no_period_tells_are_refused_unasked(
    source: CloudWatchSource, aws: Place, step: int, period: int, words: str
) -> None:
    error = await refused(source, request(step=step * SECOND, period=period * SECOND))
    assert error.reason == MetricReason.PERIOD_INVALID
    assert words in str(error)
    assert calls(aws) == []


async def test_without_a_model_any_period_will_do(source: CloudWatchSource, aws: Place) -> None:
    aws.put({CLOSED - 5 * MINUTE: 50.0})
    asked = request(context=0, step=MINUTE, period=5 * MINUTE, max_age=13 * MINUTE)
    assert (await observed(source, asked)).latest == Sample(time=CLOSED, value=50.0)


async def test_a_load_below_zero_is_none(source: CloudWatchSource, aws: Place) -> None:
    aws.put(minutes(5, lambda back: -1.0 if back in {0, 2} else 4.0))
    observation = await observed(source)
    assert observation.latest is None
    assert observation.reason == MetricReason.NEGATIVE
    np.testing.assert_array_equal(observation.history.values, [4, 4, math.nan, 4, math.nan])


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"namespace": "Else"}, id="namespace"),
        pytest.param({"name": "Other"}, id="name"),
        pytest.param({"dimensions": (("App", "web"), ("Zone", "a"))}, id="more dimensions"),
        pytest.param({"dimensions": ()}, id="no dimensions"),
    ],
)
async def test_what_is_not_put_is_empty(source: CloudWatchSource, aws: Place, other: dict[str, object]) -> None:
    aws.put(minutes(5, lambda _: 1.0), dimensions={"App": "web"})
    asked = request(dimensions=(("App", "web"),))
    assert isinstance((await observed(source, asked)).latest, Sample)
    error = await refused(source, replace(asked, metric=replace(asked.metric, **other)))  # type: ignore[arg-type]
    assert error.reason == MetricReason.EMPTY
    assert "check region, namespace, metricName and all dimensions" in str(error)


@pytest.mark.parametrize(("stat", "value"), [("Average", 4.0), ("Maximum", 8.0), ("SampleCount", 3.0), ("p50", 3.0)])
async def test_the_statistic_is_that_of_the_period(
    source: CloudWatchSource, aws: Place, stat: str, value: float
) -> None:
    for seconds, load in ((0, 1.0), (20, 3.0), (40, 8.0)):
        aws.put({CLOSED - MINUTE + seconds * SECOND: load})
    assert (await observed(source, request(stat=stat))).latest == Sample(time=CLOSED, value=value)


async def test_high_resolution(source: CloudWatchSource, aws: Place) -> None:
    aws.put({CLOSED - seconds * SECOND: float(seconds) for seconds in range(10, 130, 10)}, resolution=1)
    observation = await observed(source, request(period=10 * SECOND, context=2))
    assert observation.latest == Sample(time=CLOSED, value=10.0)
    assert observation.history.values.tolist() == [95, 35]


async def test_a_role_sees_its_own_account(source: CloudWatchSource, aws: Place) -> None:
    aws.put(minutes(5, lambda _: 1.0))
    theirs = request(access=access(role="arn:aws:iam::222222222222:role/metrics"))
    ours, other = await source.observe([request(), theirs], NOW)
    assert isinstance(ours, Observation)
    assert isinstance(other, MetricError)
    assert other.reason == MetricReason.EMPTY


# What is asked


async def test_equal_questions_are_asked_once(source: CloudWatchSource, aws: Place) -> None:
    aws.put(minutes(30, lambda _: 1.0))
    answers = await source.observe([request(), request(), request(step=5 * MINUTE, context=2)], NOW)
    assert all(isinstance(answer, Observation) and answer.latest for answer in answers)
    assert calls(aws)[0] == 1


async def test_many_are_asked_together_and_answered_in_order(source: CloudWatchSource, aws: Place) -> None:
    names = [f"load-{number}" for number in range(501)]
    for number, name in enumerate(names[:3]):
        aws.put(minutes(5, lambda _, number=number: float(number)), name=name)  # type: ignore[misc]
    answers = await source.observe([request(name) for name in names], NOW)
    assert [answer.latest.value for answer in answers[:3] if isinstance(answer, Observation) and answer.latest] == [
        0,
        1,
        2,
    ]
    assert sorted(calls(aws)[:2]) == [1, 500]
    before = len(calls(aws))
    aws.at(NOW + MINUTE)
    await source.observe([request(name) for name in names], NOW + MINUTE)
    assert len(calls(aws)) - before == 2


async def test_nothing_is_asked_when_nothing_can_be_new(source: CloudWatchSource, aws: Place) -> None:
    aws.put(minutes(30, lambda _: 1.0))
    await observed(source)
    before = len(calls(aws))
    for seconds in (10, 25, 40):
        assert (await observed(source, now=NOW + seconds * SECOND)).problem is None
    assert len(calls(aws)) == before
    await observed(source, now=NOW + MINUTE)
    assert len(calls(aws)) == before + 1


async def test_pages_are_followed(source: CloudWatchSource, aws: Place) -> None:
    aws.put(minutes(60, lambda back: 60.0 - back))
    aws.server.change(page_points=7)
    history = (await observed(source, request(context=60))).history
    assert history.values.tolist() == list(range(1, 61))
    assert len(calls(aws)) > 60 / 7


async def test_the_present_of_all_comes_before_the_past_of_any(source: CloudWatchSource, aws: Place) -> None:
    for name in "ab":
        aws.put(minutes(3000, lambda back: 3000.0 - back), name=name)
    hurried = CloudWatchSource(asked := client(), limits=replace(LIMITS, fill_seconds=0.0))
    asked_for = [request(name, context=2000) for name in "ab"]
    for answer in await hurried.observe(asked_for, NOW):
        assert isinstance(answer, Observation)
        assert answer.latest == Sample(time=CLOSED, value=3000.0)
        assert answer.reason == MetricReason.TIMEOUT
        assert 3 <= np.isfinite(answer.history.values).sum() < 20
    assert calls(aws) == [2]
    await hurried.close()
    asked.close()
    for answer in await source.observe(asked_for, NOW):
        assert isinstance(answer, Observation)
        assert answer.history.values.tolist() == list(range(1001, 3001))


async def test_an_old_past_comes_from_the_periods_that_are_kept(source: CloudWatchSource, aws: Place) -> None:
    """Twenty days of five-minute steps: minutes for 15 days, and sums of five minutes, a fifth each, before."""
    aws.server.change(oldest_put=30 * DAY.total_seconds())
    aws.put(
        {CLOSED - (back + 1) * 5 * MINUTE + at * MINUTE: 60.0 + back % 7 for back in range(5760) for at in range(5)}
    )
    history = (await observed(source, request(step=5 * MINUTE, context=5760))).history
    np.testing.assert_allclose(history.values, [60.0 + back % 7 for back in reversed(range(5760))])


async def test_a_statistic_that_longer_periods_do_not_tell_ends_with_its_own(
    source: CloudWatchSource, aws: Place
) -> None:
    aws.server.change(oldest_put=30 * DAY.total_seconds())
    aws.put({CLOSED - (back + 1) * 60 * MINUTE: 5.0 for back in range(480)})
    history = (await observed(source, request(step=60 * MINUTE, context=480, stat="Maximum"))).history
    known = np.isfinite(history.values)
    assert known[-359:].all()
    assert not known[:-360].any()


async def test_a_past_is_forgotten_where_all_do_not_fit(aws: Place) -> None:
    aws.at(NOW)
    for name in "ab":
        aws.put(minutes(30, lambda _: 1.0), name=name)
    source = CloudWatchSource(asked := client(), limits=replace(LIMITS, held_points=40))
    for name in "ab":
        await observed(source, request(name, context=20))
    before = len(calls(aws))
    await observed(source, request("b", context=20))
    assert len(calls(aws)) == before
    await observed(source, request("a", context=20))
    assert len(calls(aws)) > before
    await source.close()
    asked.close()


# Real metrics


def trace(name: str) -> dict[datetime, float]:
    path = TRACES / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"the public traces are not here: {path.name}")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC): float(row["value"]) for row in rows}


@pytest.mark.parametrize(
    "name", ["ec2_cpu_utilization_5f5533", "elb_request_count_8c0756", "rds_cpu_utilization_cc0c53"]
)
async def test_public_traces_come_back_as_they_were_put(source: CloudWatchSource, aws: Place, name: str) -> None:
    values = trace(name)
    last = max(values)
    now = last + 10 * MINUTE
    aws.at(now)
    aws.server.change(oldest_put=30 * DAY.total_seconds())
    aws.put(values, name=name)
    asked = request(name, stat="Average", period=5 * MINUTE, step=5 * MINUTE, context=len(values), max_age=13 * MINUTE)
    observation = await observed(source, asked, now)
    expected = {time - timedelta(seconds=time.timestamp() % 300) + 5 * MINUTE: load for time, load in values.items()}
    assert observation.latest == Sample(time=max(expected), value=values[last])
    history = observation.history
    times = [history.end - back * history.step for back in range(len(history))][::-1]
    np.testing.assert_allclose(history.values, [expected.get(time, math.nan) for time in times], rtol=1e-12)
