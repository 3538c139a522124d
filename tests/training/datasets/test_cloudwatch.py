"""Is a past read from CloudWatch what was put there, and good for a model?"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from controller.aws_spec import AwsAccess, AwsRole, CloudWatchMetric
from controller.forecaster import load_model
from tests.aws.fixtures import REGION, Place
from tests.training.shell import invoke
from training import datasets
from training.datasets import DataError, Request
from training.datasets.cloudwatch import metric_of

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 3, 2, 9, 0, 7, tzinfo=UTC)
LOAD = f"cloudwatch://{REGION}/Tests/Load?App=web&stat=Sum&period=5m"
ACCESS = AwsAccess(region="us-east-1")


@pytest.mark.parametrize(
    ("data", "query", "metric"),
    [
        pytest.param(
            "cloudwatch://us-east-1/AWS/ApplicationELB/RequestCount?LoadBalancer=app/shop/50dc&stat=Sum&period=60s",
            None,
            CloudWatchMetric(
                access=ACCESS,
                period=MINUTE,
                namespace="AWS/ApplicationELB",
                name="RequestCount",
                dimensions=(("LoadBalancer", "app/shop/50dc"),),
                stat="Sum",
            ),
            id="a metric",
        ),
        pytest.param(
            "cloudwatch://us-east-1/My%20Shop/Open%2FOrders?stat=p99&Zone=a%26b&App=web",
            None,
            CloudWatchMetric(
                access=ACCESS,
                period=MINUTE,
                namespace="My Shop",
                name="Open/Orders",
                dimensions=(("App", "web"), ("Zone", "a&b")),
                stat="p99",
            ),
            id="odd characters",
        ),
        pytest.param(
            "cloudwatch://us-east-1?period=5m",
            "SUM(SEARCH('a', 'Sum', 300))",
            CloudWatchMetric(access=ACCESS, period=5 * MINUTE, expression="SUM(SEARCH('a', 'Sum', 300))"),
            id="an expression",
        ),
        pytest.param(
            "cloudwatch://us-east-1/A/B?stat=Sum&roleArn=arn:aws:iam::123456789012:role/r&externalId=shop",
            None,
            CloudWatchMetric(
                access=AwsAccess(
                    region="us-east-1", role=AwsRole(arn="arn:aws:iam::123456789012:role/r", external_id="shop")
                ),
                period=MINUTE,
                namespace="A",
                name="B",
                stat="Sum",
            ),
            id="a role",
        ),
    ],
)
def test_an_address_names_a_metric(data: str, query: str | None, metric: CloudWatchMetric) -> None:
    assert metric_of(data, query) == metric


@pytest.mark.parametrize(
    ("data", "query", "words"),
    [
        ("cloudwatch:///A/B?stat=Sum", None, "region"),
        ("cloudwatch://us-east-1", None, "takes exactly one of metricName and expression"),
        ("cloudwatch://us-east-1/B?stat=Sum", None, "namespace"),
        ("cloudwatch://us-east-1/A/B", None, "stat"),
        ("cloudwatch://us-east-1/A/B?stat=Most", None, "stat"),
        ("cloudwatch://us-east-1/A/B?stat=Sum&period=90s", None, "period: must be whole minutes"),
        ("cloudwatch://us-east-1/A/B?stat=Sum", "SUM(x)", "takes exactly one of metricName and expression"),
    ],
)
def test_an_address_that_names_none_is_refused_in_words(data: str, query: str | None, words: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        metric_of(data, query)
    assert "write cloudwatch://REGION/NAMESPACE/METRIC" in str(error.value)


def loads(end: datetime, days: int) -> dict[datetime, float]:
    """A day's rhythm in five minutes, with some noise."""
    random = np.random.default_rng(4)  # seeded
    times = [end - (back + 1) * 5 * MINUTE for back in range(days * 288)]
    return {
        time: 300 + 200 * math.sin(time.timestamp() % 86400 / 86400 * math.tau) + random.normal(0, 8) for time in times
    }


def put(aws: Place, end: datetime, days: int) -> dict[datetime, float]:
    values = loads(end, days)
    aws.server.change(oldest_put=60 * DAY.total_seconds())
    aws.put(values, dimensions={"App": "web"})
    return values


def test_the_load_is_what_was_put(aws: Place) -> None:
    aws.at(NOW)
    values = put(aws, NOW - 7 * timedelta(seconds=1), 8)
    request = Request(data=LOAD, step=10 * MINUTE, season=DAY, now=NOW, since=NOW - timedelta(days=7, seconds=7))
    found = datasets.load(request)
    ends = [found.series.end - back * 10 * MINUTE for back in range(len(found.series))][::-1]
    expected = [(values[end - 10 * MINUTE] + values[end - 5 * MINUTE]) / 2 for end in ends]
    np.testing.assert_allclose(found.series.values, expected)
    assert len(found.series) == 7 * 144
    assert "Sum of Tests Load App=web of cloudwatch.eu-central-1, 1008 steps by periods of 0:05:00" in found.about


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"code": "AccessDenied"}, "allow cloudwatch:GetMetricData"),
        ({"kind": "close"}, "check the region eu-central-1"),
    ],
)
def test_what_is_refused_is_one_clear_error(aws: Place, fault: dict[str, str], words: str) -> None:
    aws.server.fail(operation="GetMetricData", times=-1, **fault)
    with pytest.raises(DataError, match=words):
        datasets.load(Request(data=LOAD, step=HOUR, season=DAY, now=NOW))


def test_a_step_that_no_period_divides_is_refused(aws: Place) -> None:
    with pytest.raises(DataError, match="no whole number of periods"):
        datasets.load(Request(data=LOAD, step=7 * MINUTE, season=DAY, now=NOW))
    assert aws.server.calls("GetMetricData") == []


@pytest.mark.slow
def test_a_model_is_fitted_from_it(
    aws: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    put(aws, now - timedelta(seconds=now.timestamp() % 3600), 21)
    out = tmp_path / "web.onnx"
    options = ("--step", "1h", "--horizon", "6h", "--family", "ets", "--clean", "off", "--out", str(out))
    assert invoke(monkeypatch, "fit", "--data", LOAD, *options) == 0, capsys.readouterr()
    model = load_model(out)
    assert model.card.step == HOUR
    assert model.card.scores
