"""CloudWatch as the SDK meets it on loopback, where moto's own would have said something else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.fixtures import NAMESPACE, Place

NOW = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOON = NOW.replace(second=0)


@pytest.fixture
def cloudwatch(aws: Place) -> Place:
    aws.at(NOW)
    return aws


def stat(name: str = "Load", stat: str = "Sum", period: int = 60, **metric: Any) -> dict[str, Any]:
    named = {"Namespace": NAMESPACE, "MetricName": name, **metric}
    return {"MetricStat": {"Metric": named, "Period": period, "Stat": stat}}


def ask(aws: Place, *queries: dict[str, Any], minutes: float = 10, **given: Any) -> dict[str, Any]:
    asked = [{"Id": f"q{number}", **query} for number, query in enumerate(queries)]
    span = {"StartTime": NOW - minutes * MINUTE, "EndTime": NOW, "ScanBy": "TimestampAscending", **given}
    return dict(aws.client("cloudwatch").get_metric_data(MetricDataQueries=asked, **span))


def series(result: dict[str, Any]) -> dict[datetime, float]:
    return dict(zip((time.astimezone(UTC) for time in result["Timestamps"]), result["Values"], strict=True))


def first(aws: Place, *queries: dict[str, Any], **given: Any) -> dict[datetime, float]:
    return series(ask(aws, *queries, **given)["MetricDataResults"][0])


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_periods_begin_with_the_clock_and_the_unfinished_one_is_there(cloudwatch: Place) -> None:
    cloudwatch.put({NOON - 2 * MINUTE: 1.0, NOON - MINUTE: 2.0, NOON + timedelta(seconds=10): 3.0})
    assert first(cloudwatch, stat()) == {NOON - 2 * MINUTE: 1.0, NOON - MINUTE: 2.0, NOON: 3.0}
    assert first(cloudwatch, stat(period=300)) == {NOON - 5 * MINUTE: 3.0, NOON: 3.0}


def test_the_end_is_exclusive(cloudwatch: Place) -> None:
    cloudwatch.put({NOON - MINUTE: 1.0, NOON: 2.0})
    assert first(cloudwatch, stat(), EndTime=NOON) == {NOON - MINUTE: 1.0}


def test_what_comes_late_is_there_when_it_came(cloudwatch: Place) -> None:
    cloudwatch.put({NOON - MINUTE: 1.0})
    assert first(cloudwatch, stat()) == {NOON - MINUTE: 1.0}
    cloudwatch.put({NOON - MINUTE: 4.0, NOON - 3 * MINUTE: 2.0})
    assert first(cloudwatch, stat()) == {NOON - 3 * MINUTE: 2.0, NOON - MINUTE: 5.0}


def test_points_take_as_long_to_be_seen_as_is_set(cloudwatch: Place) -> None:
    cloudwatch.server.change(visible_after=60.0)
    cloudwatch.put({NOON - MINUTE: 1.0})
    assert first(cloudwatch, stat()) == {}
    cloudwatch.at(NOW + MINUTE)
    assert first(cloudwatch, stat()) == {NOON - MINUTE: 1.0}


def test_only_the_very_dimensions_and_namespace_are_found(cloudwatch: Place) -> None:
    cloudwatch.put({NOON - MINUTE: 1.0}, dimensions={"App": "web", "Zone": "a"})
    exact = [{"Name": "Zone", "Value": "a"}, {"Name": "App", "Value": "web"}]
    assert first(cloudwatch, stat(Dimensions=exact)) == {NOON - MINUTE: 1.0}
    assert first(cloudwatch, stat(Dimensions=exact[:1])) == {}
    assert first(cloudwatch, stat()) == {}
    assert first(cloudwatch, stat(Dimensions=exact, Namespace="Others")) == {}


def test_short_periods_are_there_for_metrics_of_high_resolution_only(cloudwatch: Place) -> None:
    times = {NOON - MINUTE + timedelta(seconds=second): 1.0 for second in (5, 15, 25)}
    cloudwatch.put(times, name="Fine", resolution=1)
    cloudwatch.put(times, name="Coarse")
    assert len(first(cloudwatch, stat("Fine", period=10))) == 3
    assert first(cloudwatch, stat("Coarse", period=10)) == {NOON - MINUTE: 3.0}


def test_a_page_ends_at_its_points_and_all_pages_together_have_all(cloudwatch: Place) -> None:
    for number in range(4):
        cloudwatch.put({NOON - minute * MINUTE: number + minute for minute in range(1, 6)}, name=f"m{number}")
    queries = [stat(f"m{number}") for number in range(4)]
    pages = list(_pages(cloudwatch, queries, 7))
    assert [sum(len(one["Values"]) for one in page["MetricDataResults"]) for page in pages] == [7, 7, 6]
    assert {one["StatusCode"] for one in pages[0]["MetricDataResults"]} == {"Complete", "PartialData"}
    assert _together(pages) == {f"q{number}": [number + minute for minute in (5, 4, 3, 2, 1)] for number in range(4)}


def test_pages_may_be_made_smaller_than_asked_for(cloudwatch: Place) -> None:
    cloudwatch.server.change(page_points=2)
    cloudwatch.put({NOON - minute * MINUTE: 1.0 for minute in range(1, 6)})
    pages = list(_pages(cloudwatch, [stat()], None))
    assert [len(page["MetricDataResults"][0]["Values"]) for page in pages] == [2, 2, 1]


def test_a_page_can_be_asked_for_again(cloudwatch: Place) -> None:
    cloudwatch.put({NOON - minute * MINUTE: float(minute) for minute in range(1, 6)})
    token = ask(cloudwatch, stat(), MaxDatapoints=3)["NextToken"]
    assert first(cloudwatch, stat(), NextToken=token) == first(cloudwatch, stat(), NextToken=token)


def _pages(aws: Place, queries: list[dict[str, Any]], most: int | None) -> Iterator[dict[str, Any]]:
    given: dict[str, Any] = {} if most is None else {"MaxDatapoints": most}
    while True:
        page = ask(aws, *queries, **given)
        yield page
        if "NextToken" not in page:
            return
        given["NextToken"] = page["NextToken"]


def _together(pages: list[dict[str, Any]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for page in pages:
        for one in page["MetricDataResults"]:
            found.setdefault(one["Id"], []).extend(one["Values"])
    return found


def test_500_queries_are_the_most(cloudwatch: Place) -> None:
    assert len(ask(cloudwatch, *[stat()] * 500)["MetricDataResults"]) == 500
    with pytest.raises(ClientError, match="500") as error:
        ask(cloudwatch, *[stat()] * 501)
    assert code(error) == "ValidationError"


@pytest.mark.parametrize(
    ("queries", "given"),
    [
        ([stat(period=45)], {}),
        ([{**stat(), "Id": "A-1"}], {}),
        ([{**stat(), "Id": "a"}, {**stat(), "Id": "a"}], {}),
        ([{}], {}),
        ([stat(stat="garbage")], {}),
        ([{"Expression": "SEARCH('anything', 'Sum', 60)"}], {}),
        ([{"Expression": "q0 + 1"}], {}),
        ([stat()], {"EndTime": NOW - 10 * MINUTE}),
        ([stat()], {"MaxDatapoints": 100_801}),
    ],
    ids=["period", "id", "same ids", "empty", "stat", "search", "itself", "no time", "too many points"],
)
def test_wrong_questions_are_refused(cloudwatch: Place, queries: list[dict[str, Any]], given: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        ask(cloudwatch, *queries, **given)
    assert code(error) == "ValidationError"


def test_a_made_up_token_is_refused(cloudwatch: Place) -> None:
    with pytest.raises(ClientError) as error:
        ask(cloudwatch, stat(), NextToken="made up")
    assert code(error) == "InvalidNextToken"


def test_an_expression_reads_others_and_hides_them_when_asked(cloudwatch: Place) -> None:
    cloudwatch.put({NOON - MINUTE: 30.0}, name="a")
    cloudwatch.put({NOON - MINUTE: 90.0}, name="b")
    hidden = [{**stat(name), "Id": name, "ReturnData": False} for name in ("a", "b")]
    doubled = {"Id": "d", "Expression": "rate * 2"}
    rate = {"Id": "rate", "Expression": "SUM(METRICS()) / PERIOD(a)", "ReturnData": False}
    (result,) = ask(cloudwatch, doubled, *hidden, rate)["MetricDataResults"]
    assert (result["Id"], series(result)) == ("d", {NOON - MINUTE: 4.0})


def test_a_search_finds_what_has_the_very_dimensions_and_all_values(cloudwatch: Place) -> None:
    for zone, pod, value in (("a", "1", 1.0), ("a", "2", 2.0), ("b", "1", 4.0)):
        cloudwatch.put({NOON - MINUTE: value}, dimensions={"Zone": zone, "Pod": pod})
    cloudwatch.put({NOON - MINUTE: 8.0}, dimensions={"Zone": "a"})
    cloudwatch.put({NOON - MINUTE: 16.0}, dimensions={"Zone": "a", "Pod": "1"}, name="Other")
    search = f"""SUM(SEARCH('{{{NAMESPACE},Pod,Zone}} MetricName="Load" Zone="a"', 'Sum', 60))"""
    assert first(cloudwatch, {"Expression": search}) == {NOON - MINUTE: 3.0}
    many = ask(cloudwatch, {"Expression": search[4:-1]})["MetricDataResults"]
    assert [(one["Id"], one["Values"]) for one in many] == [("q0", [1.0]), ("q0", [2.0])]
    assert many[0]["Label"] != many[1]["Label"]


def test_values_with_counts_and_sets_of_statistics_are_what_they_stand_for(cloudwatch: Place) -> None:
    datum = {"MetricName": "Load", "Timestamp": NOON - MINUTE}
    both = [
        {**datum, "Values": [1.0, 4.0], "Counts": [2.0, 1.0]},
        {**datum, "StatisticValues": {"Sum": 10.0, "SampleCount": 2.0, "Minimum": 3.0, "Maximum": 7.0}},
    ]
    cloudwatch.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=both)
    found = ask(cloudwatch, *[stat(stat=one) for one in ("Sum", "SampleCount", "Average", "Minimum", "Maximum")])
    assert [one["Values"] for one in found["MetricDataResults"]] == [[16.0], [5.0], [3.2], [1.0], [7.0]]


@pytest.mark.parametrize("age", [timedelta(days=14, seconds=1), timedelta(hours=-2, seconds=-1)])
def test_points_too_old_or_too_new_are_refused(cloudwatch: Place, age: timedelta) -> None:
    with pytest.raises(ClientError, match="two weeks") as error:
        cloudwatch.put({NOW - age: 1.0})
    assert code(error) == "InvalidParameterValue"


def test_a_past_can_be_built_and_is_kept_as_coarse_as_it_is_old(cloudwatch: Place) -> None:
    cloudwatch.server.change(oldest_put=100 * 86_400)
    old = NOON - timedelta(days=20)
    cloudwatch.put({old + minute * MINUTE: 1.0 for minute in range(60)})
    span = {"StartTime": old, "EndTime": old + timedelta(hours=1)}
    assert first(cloudwatch, stat(period=60), **span) == {}
    assert list(first(cloudwatch, stat(period=300), **span).values()) == [5.0] * 12


def test_statistics_and_the_list_tell_of_the_same_metrics(cloudwatch: Place) -> None:
    cloudwatch.put({NOON - MINUTE: 2.0, NOON - 2 * MINUTE: 4.0}, dimensions={"App": "web"})
    client = cloudwatch.client("cloudwatch")
    named = {"Namespace": NAMESPACE, "MetricName": "Load", "Dimensions": [{"Name": "App", "Value": "web"}]}
    span = {"StartTime": NOON - 5 * MINUTE, "EndTime": NOON, "Period": 300}
    (point,) = client.get_metric_statistics(**named, **span, Statistics=["Sum"])["Datapoints"]
    assert point["Sum"] == 6.0
    assert client.list_metrics(Namespace=NAMESPACE)["Metrics"] == [named]
    assert client.list_metrics(Dimensions=[{"Name": "App", "Value": "other"}])["Metrics"] == []


def test_regions_are_apart(cloudwatch: Place) -> None:
    cloudwatch.put({NOON - MINUTE: 1.0}, region="us-west-2")
    assert first(cloudwatch, stat()) == {}
