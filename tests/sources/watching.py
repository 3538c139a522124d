"""How do the tests of CloudWatch ask? One metric with defaults, one moment, and values by the minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from controller.aws import Aws
from controller.aws_spec import AwsAccess, AwsRole, CloudWatchMetric
from controller.core.series import Observation
from controller.ports import MetricError, MetricRequest
from controller.sources.cloudwatch import CloudWatchSource, SourceLimits
from tests.waiting import PATIENCE

NOW = datetime(2026, 3, 2, 9, 0, 7, tzinfo=UTC)
CLOSED = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
REGION = "eu-central-1"
METRIC = CloudWatchMetric(access=AwsAccess(region=REGION), period=MINUTE, namespace="Tests", name="Load", stat="Sum")
LIMITS = SourceLimits(tick_seconds=PATIENCE, fill_seconds=PATIENCE)
REQUEST = MetricRequest(namespace="web", metric=METRIC, step=MINUTE, context=5, max_age=timedelta(minutes=5))


def request(name: str = "Load", **changes: object) -> MetricRequest[CloudWatchMetric]:
    asked = {"step", "context", "max_age"}
    metric = {key: value for key, value in changes.items() if key not in asked}
    rest = {key: value for key, value in changes.items() if key in asked}
    return replace(REQUEST, metric=replace(METRIC, name=name, **metric), **rest)  # type: ignore[arg-type]


def expression(text: str, **changes: object) -> MetricRequest[CloudWatchMetric]:
    return request(expression=text, namespace=None, stat=None, **{"name": None, **changes})  # type: ignore[arg-type]


def access(region: str = REGION, role: str | None = None) -> AwsAccess:
    return AwsAccess(region=region, role=AwsRole(arn=role) if role else None)


def minutes(count: int, load: Callable[[int], float], end: datetime = CLOSED) -> dict[datetime, float]:
    """`load` of how many minutes before `end` each of the last `count` minutes ended."""
    return {end - (back + 1) * MINUTE: load(back) for back in range(count)}


def client(timeout_seconds: float = PATIENCE, now: datetime = NOW, **options: object) -> Aws:
    return Aws(timeout_seconds=timeout_seconds, clock=lambda: now, **options)  # type: ignore[arg-type]


async def observed(
    source: CloudWatchSource, asked: MetricRequest[CloudWatchMetric] = REQUEST, now: datetime = NOW
) -> Observation:
    (answer,) = await source.observe([asked], now)
    assert isinstance(answer, Observation), answer
    return answer


async def refused(
    source: CloudWatchSource, asked: MetricRequest[CloudWatchMetric] = REQUEST, now: datetime = NOW
) -> MetricError:
    (answer,) = await source.observe([asked], now)
    assert isinstance(answer, MetricError), answer
    return answer
