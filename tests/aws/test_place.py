"""The fixtures of AWS: what a test puts is there, and nothing of the test before."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from tests.aws.fixtures import REGION, Place

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_finds_an_empty_account(aws: Place, turn: int) -> None:
    assert aws.described() is None
    aws.group(minimum=turn)
    assert aws.desired() == turn


def test_what_is_put_is_found_at_the_time_of_the_test(aws: Place) -> None:
    aws.at(NOW)
    aws.put({NOW - MINUTE: 3.0}, dimensions={"App": "web"})
    (metric,) = aws.client("cloudwatch").list_metrics()["Metrics"]
    assert metric["Dimensions"] == [{"Name": "App", "Value": "web"}]


def test_the_environment_leads_to_it(aws: Place) -> None:
    assert os.environ["AWS_ENDPOINT_URL"] == aws.server.url
    assert "AWS_PROFILE" not in os.environ


def test_a_region_that_was_down_is_there_again_at_the_same_address(aws: Place) -> None:
    address = aws.server.url
    aws.server.stop()
    assert not aws.server.is_running
    aws.server.start()
    assert (aws.server.url, aws.described()) == (address, None)


def test_what_was_asked_is_written_down(aws: Place) -> None:
    aws.described()
    (call,) = aws.server.calls("DescribeAutoScalingGroups")
    assert (call["service"], call["region"], call["identity"]) == ("autoscaling", REGION, "tests")
