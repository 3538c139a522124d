"""What `parse` makes of the parts of a good spec that are of AWS. What it refuses: tests/contracts/refused.yaml."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from controller.aws_spec import AwsAccess, AwsRole, CapacityField, CloudWatchMetric, GroupRef
from controller.spec import SpecError, parse
from tests.contracts.specs import SMALLEST, full_specs, merged

KEY_WORDS = (
    "is no field: AWS is asked by the role of the controller's ServiceAccount, or by roleArn; remove it, "
    "and replace the key if it was a real one"
)


def test_group() -> None:
    role = AwsRole(arn="arn:aws:iam::123456789012:role/teams/scaler", external_id="shop-7")
    access = AwsAccess(region="eu-central-1", role=role)
    assert parse(full_specs()[2]).target == GroupRef(
        access=access, name="Workers (blue)/1", capacity=CapacityField.FLOOR
    )


def test_a_group_has_its_desired_capacity_set_by_default() -> None:
    spec = merged(SMALLEST, {"targetRef": {"kind": "AutoScalingGroup", "name": "workers", "region": "eu-west-1"}})
    assert parse(spec).target == GroupRef(access=AwsAccess(region="eu-west-1"), name="workers")


def test_cloudwatch_metric() -> None:
    """In the order of the names: which dimension is written first makes no other metric."""
    role = AwsRole(arn="arn:aws-us-gov:iam::210987654321:role/metrics", external_id="shop:metrics")
    assert parse(full_specs()[2]).metric == CloudWatchMetric(
        access=AwsAccess(region="us-gov-west-1", role=role),
        period=timedelta(minutes=5),
        namespace="AWS/ApplicationELB",
        name="RequestCount",
        dimensions=(("AvailabilityZone", "eu-central-1a"), ("LoadBalancer", "app/shop/50dc6c495c0c9188")),
        stat="Sum",
    )


def test_cloudwatch_expression() -> None:
    metric = parse(full_specs()[3]).metric
    assert isinstance(metric, CloudWatchMetric)
    assert metric.expression == "SUM(SEARCH('{AWS/SQS,QueueName} MetricName=\"NumberOfMessagesSent\"', 'Sum', 10))"
    assert (metric.period, metric.name, metric.stat) == (timedelta(seconds=10), None, None)


def test_a_load_of_cloudwatch_may_be_two_periods_and_its_delay_old() -> None:
    assert parse(full_specs()[2]).policy.metric_age == timedelta(minutes=13)
    assert parse(full_specs()[2]).policy.max_age == timedelta(minutes=13)
    assert parse(SMALLEST).policy.metric_age == timedelta(0)


@pytest.mark.parametrize(
    ("patch", "is_another"),
    [
        ({"roleArn": "arn:aws:iam::123456789012:role/other"}, False),
        ({"period": "1m"}, True),
        ({"stat": "Average"}, True),
        ({"dimensions": {"LoadBalancer": "app/other/1"}}, True),
        ({"region": "eu-west-1"}, True),
    ],
    ids=["role", "period", "stat", "dimension", "region"],
)
def test_another_reader_makes_no_other_load(patch: dict[str, Any], is_another: bool) -> None:
    before = full_specs()[2]
    after = merged(before, {"metric": {"cloudwatch": patch}})
    assert (parse(before).metric.load != parse(after).metric.load) is is_another


@pytest.mark.parametrize(
    "name", ["accessKeyId", "secretAccessKey", "sessionToken", "aws_secret_access_key", "credentials", "secretKeyRef"]
)
@pytest.mark.parametrize("path", ["targetRef", "metric.cloudwatch"])
def test_a_key_is_refused_without_being_told(path: str, name: str) -> None:
    """The error ends in a status and in logs, where a key must not."""
    patch: dict[str, Any] = {name: "AKIAIOSFODNN7EXAMPLE"}
    for part in reversed(path.split(".")):
        patch = {part: patch}
    with pytest.raises(SpecError) as refused:
        parse(merged(full_specs()[2], patch))
    assert str(refused.value) == f"spec.{path}.{name}: {KEY_WORDS}"
