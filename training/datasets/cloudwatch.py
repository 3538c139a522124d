"""What load does CloudWatch remember? One metric over a range becomes a Series. Must not put values together.

cloudwatch://REGION/NAMESPACE/METRIC?stat=Sum&period=60s&DIMENSION=VALUE, or cloudwatch://REGION with an expression.
A step is what the controller makes of it: the mean of the values of its periods, missing where none is there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from controller.aws import Aws
from controller.aws_spec import CloudWatchMetric
from controller.core.series import Series
from controller.ports import MetricError
from controller.sources.cloudwatch_range import Part, fetch_range
from controller.spec import SpecError, parse
from training.datasets.reading import Reading, of_series
from training.datasets.request import DataError, Request

FORM = "cloudwatch://REGION/NAMESPACE/METRIC?stat=Sum&DIMENSION=VALUE"
_DEFAULT_SEASONS = 28  # how far back CloudWatch is asked when nobody says
_TIMEOUT_SECONDS = 30.0
_OPTIONS = ("stat", "period", "roleArn", "externalId", "expression")
"""Of the metric; every other name in the query is a dimension's."""
_PATH = "spec.metric.cloudwatch"


def read(request: Request, step: timedelta) -> Reading:
    """Ask for the span of the request, by default the last four weeks of seasons. Raises DataError."""
    metric = metric_of(request.data, request.query)
    until = request.until or request.now
    since = request.since or until - _DEFAULT_SEASONS * request.season
    counts: Counter[timedelta | None] = Counter()
    try:
        series = asyncio.run(_fetched(metric, since, until, step, request.now, counts))
    except (MetricError, ValueError) as error:
        raise DataError(f"{metric.place}: {error}") from error
    source = f"{_name(metric)} of {metric.place}, {_ages(counts)}"
    return of_series(series, request.aggregate or "mean", request.zone, source)


def metric_of(data: str, query: str | None) -> CloudWatchMetric:
    """What the address, and `--query` as an expression, say. Raises DataError."""
    parts = urlsplit(data)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if query is not None:
        options["expression"] = query
    *namespace, name = (unquote(part) for part in parts.path.strip("/").split("/"))
    named: dict[str, Any] = {key: options.pop(key) for key in _OPTIONS if key in options}
    if name:
        named |= {"namespace": "/".join(namespace), "metricName": name}
    if options:
        named["dimensions"] = options
    return _parsed({"region": parts.netloc, **named})


def _parsed(cloudwatch: Mapping[str, Any]) -> CloudWatchMetric:
    """By the rules of a PredictiveScaler, in their words."""
    spec = {
        "targetRef": {"name": "any"},
        "maxReplicas": 1,
        "metric": {"cloudwatch": cloudwatch, "targetPerReplica": 1},
    }
    try:
        metric = parse(spec).metric
    except SpecError as error:
        told = str(error).removeprefix(f"{_PATH}.").removeprefix(f"{_PATH}: ")
        raise DataError(f"{told}; write {FORM}, or cloudwatch://REGION with an expression as --query") from error
    assert isinstance(metric, CloudWatchMetric)  # noqa: S101  # that is what was asked for
    return metric


async def _fetched(
    metric: CloudWatchMetric,
    since: datetime,
    until: datetime,
    step: timedelta,
    now: datetime,
    counts: Counter[timedelta | None],
) -> Series:
    def heard(part: Part) -> None:
        counts[part.period] += part.page.count

    aws = Aws(timeout_seconds=_TIMEOUT_SECONDS, clock=lambda: datetime.now(UTC))  # noqa: TID251  # credentials end by it
    try:
        return await fetch_range(aws, metric, since, until, step, now=now, on_part=heard)
    finally:
        aws.close()


def _ages(counts: Mapping[timedelta | None, int]) -> str:
    """Which part came from which periods, newest first."""
    parts = [
        f"{count} steps by periods of {period}" if period else f"{count} before, which it keeps no more"
        for period, count in counts.items()
    ]
    return ", ".join(parts)


def _name(metric: CloudWatchMetric) -> str:
    if metric.expression is not None:
        return metric.expression
    return " ".join([f"{metric.stat} of {metric.namespace} {metric.name}", *(f"{k}={v}" for k, v in metric.dimensions)])
