"""What CloudWatch says of a period: against a plain count over all points, in whatever order they came."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.aws.metrics import Metrics, Point, QueryError, Question, is_kept, is_period, rounded_start, statistic_of

HOUR, DAY = 3600, 86_400
NOW = 1_700_000_040
KEY = ("Tests", "Load", (("App", "web"),))


def point(time: int, value: float, *, put: float = 0.0, unit: str = "None") -> Point:
    return Point(time, put, value, 1.0, value, value, unit)


def question(**changes: object) -> Question:
    plain = {"key": KEY, "stat": "Sum", "period": 60, "start": NOW - HOUR, "end": NOW, "now": NOW, "seen": math.inf}
    return Question(**{**plain, **changes})  # type: ignore[arg-type]


def told(points: list[Point], **changes: object) -> dict[int, float]:
    metrics = Metrics()
    metrics.put(KEY, points)
    return metrics.values(question(**changes))


points_of_the_hour = st.lists(
    st.builds(point, st.integers(NOW - 2 * HOUR, NOW + HOUR), st.integers(0, 1000).map(float)), max_size=60
)


@given(points_of_the_hour, st.sampled_from([60, 300, 3600]))
def test_the_sum_of_a_period_is_of_the_points_within_it_and_the_range(points: list[Point], period: int) -> None:
    said = told(points, period=period)
    inside = [one for one in points if NOW - HOUR <= one.time < NOW]
    assert said == {
        start: sum(one.total for one in inside if start <= one.time < start + period)
        for start in sorted({one.time - one.time % period for one in inside})
    }


@given(points_of_the_hour, st.randoms())
def test_the_order_in_which_points_come_changes_nothing(points: list[Point], random: object) -> None:
    mixed = list(points)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert told(mixed) == told(points)


def test_the_answer_is_ascending() -> None:
    assert list(told([point(NOW - 60, 1.0), point(NOW - 600, 2.0), point(NOW - 300, 3.0)])) == [
        NOW - 600 - (NOW - 600) % 60,
        NOW - 300 - (NOW - 300) % 60,
        NOW - 60 - (NOW - 60) % 60,
    ]


@given(st.lists(st.integers(0, 50).map(float), min_size=1, max_size=30))
def test_statistics_are_those_of_the_values(values: list[float]) -> None:
    points = [point(NOW, value) for value in values]
    said = {name: statistic_of(name)(points) for name in ("SampleCount", "Average", "Minimum", "Maximum", "p0", "p100")}
    assert said == {
        "SampleCount": len(values),
        "Average": sum(values) / len(values),
        "Minimum": min(values),
        "Maximum": max(values),
        "p0": min(values),
        "p100": max(values),
    }


def test_percentiles_lie_between_ranks() -> None:
    points = [point(NOW, value) for value in (4.0, 1.0, 3.0, 2.0)]
    assert [statistic_of(name)(points) for name in ("p50", "p99.9", "p25")] == pytest.approx([2.5, 3.997, 1.75])


def test_a_set_of_statistics_has_no_percentile_and_hides_those_of_its_period() -> None:
    known_only_as_a_set = Point(NOW - 60, 0.0, 30.0, 3.0, 5.0, 15.0, raw=False)
    assert told([known_only_as_a_set, point(NOW - 60, 1.0)], stat="p50") == {}
    assert list(told([known_only_as_a_set, point(NOW - 60, 2.0)], stat="Average").values()) == [8.0]


def test_a_negative_value_has_no_percentile() -> None:
    assert told([point(NOW - 60, -1.0)], stat="p50") == {}


@pytest.mark.parametrize("name", ["tm90", "IQM", "p101", "sum", "garbage", ""])
def test_other_statistics_are_refused_rather_than_empty(name: str) -> None:
    with pytest.raises(QueryError, match="no statistic"):
        told([], stat=name)


def test_what_is_not_visible_yet_is_not_there() -> None:
    points = [point(NOW - 120, 1.0, put=NOW - 100), point(NOW - 60, 2.0, put=NOW - 5)]
    assert list(told(points, seen=NOW - 10).values()) == [1.0]


def test_another_unit_is_another_series() -> None:
    points = [point(NOW - 60, 1.0, unit="Count"), point(NOW - 60, 2.0, unit="Seconds")]
    assert list(told(points, unit="Count").values()) == [1.0]
    assert list(told(points).values()) == [3.0]


@pytest.mark.parametrize("key", [("Other", *KEY[1:]), ("Tests", "load", KEY[2]), ("Tests", "Load", ())])
def test_only_the_very_metric_is_found(key: tuple[str, str, tuple[tuple[str, str], ...]]) -> None:
    assert told([point(NOW - 60, 1.0)], key=key) == {}


@pytest.mark.parametrize(
    ("age", "period", "kept"),
    [
        (3 * HOUR, 10, True),
        (3 * HOUR + 1, 10, False),
        (3 * HOUR + 1, 60, True),
        (15 * DAY, 60, True),
        (15 * DAY + 1, 60, False),
        (15 * DAY + 1, 300, True),
        (63 * DAY + 1, 300, False),
        (63 * DAY + 1, 3600, True),
        (63 * DAY + 1, DAY, True),
    ],
)
def test_a_period_too_fine_for_the_age_of_the_range_has_nothing(age: int, period: int, kept: bool) -> None:
    assert is_kept(period, age) is kept
    recent = [point(NOW - 600, 1.0)]
    assert bool(told(recent, start=NOW - age, period=period)) is kept


def test_nothing_is_kept_for_longer_than_455_days() -> None:
    points = [point(NOW - 456 * DAY, 1.0), point(NOW - 454 * DAY, 2.0)]
    assert list(told(points, start=NOW - 460 * DAY, period=3600).values()) == [2.0]


@pytest.mark.parametrize(
    ("age", "period", "unit"),
    [(600, 60, 60), (600, 300, 60), (600, 10, 10), (16 * DAY, 300, 300), (64 * DAY, 3600, 3600)],
)
def test_the_start_is_rounded_down_the_more_the_older_it_is(age: int, period: int, unit: int) -> None:
    start = NOW - age + 7.5
    rounded = rounded_start(start, period, NOW)
    assert rounded % unit == 0
    assert 0 <= start - rounded < unit


@given(st.integers(-10, 10_000))
def test_a_period_is_whole_minutes_or_one_of_the_short_ones(seconds: int) -> None:
    assert is_period(seconds) == (seconds in {1, 5, 10, 20, 30} or (seconds >= 60 and seconds % 60 == 0))
