"""A metric of CloudWatch becomes the capacity of an Auto Scaling group, whatever AWS does meanwhile."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import pytest

from sandbox.controller import Controller
from tests.aws.fixtures import NAMESPACE, REGION, Place
from tests.e2e.clouding import DIMENSION, SECOND, Cloud
from tests.e2e.driving import await_decisions, eventually, wall_clock, workload

pytestmark = pytest.mark.e2e
IS_ON_AWS = True

STILL_SECONDS = 4.0
"""So long nothing changes where nothing may: four ticks."""

TICKS = 8
HUNG_SECONDS = 8.0
HELD_UP_SECONDS = TICKS * 5.0
"""What as many ticks would take at least if each waited for a region that hangs: one attempt may last 5 s."""

SDK_WAITS_SECONDS = 3.0
"""No wait of the SDK, nor one for the next tick, is as long; of a pause of 8 s the SDK's waits leave at least 5."""

TRACKING: dict[str, Any] = {
    "PolicyName": "cpu",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingConfiguration": {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
        "TargetValue": 50.0,
    },
}


def holds(cloud: Cloud, desired: int, seconds: float = STILL_SECONDS) -> None:
    """The desired capacity stays what it is."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert cloud.desired() == desired
        time.sleep(0.2)


def longest_pause(cloud: Cloud) -> float:
    """Between two calls for the metric, in seconds."""
    times = [call["time"] for call in cloud.place.server.calls("GetMetricData")]
    return float(max(later - earlier for earlier, later in pairwise(times)))


def rules(cloud: Cloud, name: str = "web") -> list[str]:
    """What changed the last decision on its way."""
    return [step["rule"] for step in cloud.scene.status(name).get("lastDecision", {}).get("steps", [])]


def reason(cloud: Cloud, type_: str, reason: str, status: str = "False", name: str = "web") -> str:
    """Wait until a condition says so; its message."""
    return cloud.scene.await_condition(type_, status, reason, name)


def test_the_capacity_follows_the_metric_up_and_down(cloud: Cloud) -> None:
    cloud.group(desired=2)
    cloud.sees(45)
    cloud.scene.apply(cloud.scaler())
    cloud.await_desired(5)
    cloud.sees(120)
    cloud.await_desired(12)
    cloud.sees(31)
    cloud.await_desired(4)
    status = eventually(cloud.scene.status, lambda status: status.get("currentReplicas") == 4)
    assert status["desiredReplicas"] == 4
    assert [call["operation"] for call in cloud.writes()] == ["SetDesiredCapacity"] * 3


def test_a_forecast_adds_before_the_load_is_there(cloud: Cloud) -> None:
    """By a model of minutes: one of seconds would reach no further than five of them beyond the value."""
    cloud.group(desired=2)
    cloud.sees(25, 25)
    cloud.scene.apply(cloud.scaler(forecast={"model": "minutes-of-95"}))
    cloud.await_desired(10)
    eventually(lambda: cloud.scene.status().get("model", {}).get("name"), "minutes-of-95".__eq__)


def test_a_floor_lets_others_scale_above_it(cloud: Cloud) -> None:
    cloud.group(minimum=1, desired=2)
    cloud.place.client("autoscaling").put_scaling_policy(AutoScalingGroupName=cloud.name, **TRACKING)
    cloud.sees(45)
    cloud.scene.apply(cloud.scaler(targetRef={"capacity": "Floor"}))
    eventually(cloud.floor, (5).__eq__)
    assert cloud.desired() == 5  # AWS raises it to the floor
    cloud.set_desired(9)
    cloud.sees(22)
    eventually(cloud.floor, (3).__eq__)
    assert cloud.desired() == 9


def test_a_capacity_that_somebody_changed_is_set_back(cloud: Cloud) -> None:
    cloud.group(desired=2)
    cloud.sees(45)
    cloud.scene.apply(cloud.scaler())
    cloud.await_desired(5)
    cloud.set_desired(9)
    cloud.await_desired(5)


def test_the_groups_own_bounds_hold_and_are_named(cloud: Cloud) -> None:
    cloud.group(minimum=3, maximum=6, desired=4)
    cloud.sees(95)
    cloud.scene.apply(cloud.scaler())
    cloud.await_desired(6)
    eventually(lambda: rules(cloud), lambda found: "TargetBounds" in found)
    cloud.sees(5)
    cloud.await_desired(3)
    cloud.place.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=cloud.name, MaxSize=20)
    cloud.sees(95)
    cloud.await_desired(10)


def test_a_group_that_is_deleted_is_told_and_scaled_when_it_comes_again(cloud: Cloud) -> None:
    cloud.group(desired=2)
    cloud.sees(45)
    cloud.scene.apply(cloud.scaler())
    cloud.await_desired(5)
    cloud.place.server.change(delete=600.0)
    cloud.place.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=cloud.name, ForceDelete=True)
    assert "being deleted" in reason(cloud, "AbleToScale", "TargetNotFound")
    cloud.place.server.change(delete=0.0)
    eventually(lambda: cloud.scene.condition("AbleToScale")[2], lambda message: "does not exist" in message)
    cloud.group(desired=1)
    cloud.await_desired(5)


def test_what_suspends_launching_is_named_and_nothing_is_asked_in_vain(cloud: Cloud) -> None:
    cloud.group(desired=2)
    launch = {"AutoScalingGroupName": cloud.name, "ScalingProcesses": ["Launch"]}
    cloud.place.client("autoscaling").suspend_processes(**launch)
    cloud.sees(45)
    cloud.scene.apply(cloud.scaler())
    assert "Launch" in reason(cloud, "AbleToScale", "TargetSuspended")
    holds(cloud, 2)
    assert cloud.writes() == []
    cloud.place.client("autoscaling").resume_processes(**launch)
    cloud.await_desired(5)


def test_a_policy_of_aws_that_scales_the_group_is_named_and_left_alone(cloud: Cloud, controller: Controller) -> None:
    cloud.group(desired=2)
    cloud.place.client("autoscaling").put_scaling_policy(AutoScalingGroupName=cloud.name, **TRACKING)
    cloud.sees(45)
    controller.stop()  # a new one lists the policies of the region at once, not a minute after the last time
    controller.start()
    cloud.scene.apply(cloud.scaler())
    assert 'target tracking policy "cpu"' in reason(cloud, "AbleToScale", "TargetOwned")
    cloud.sees(120)
    holds(cloud, 2)


def test_a_region_that_goes_away_holds_what_there_is_and_is_followed_when_it_is_back(cloud: Cloud) -> None:
    cloud.group(desired=2)
    cloud.sees(45)
    cloud.scene.apply(cloud.scaler())
    cloud.await_desired(5)
    cloud.place.server.fail(kind="close")
    reason(cloud, "MetricsAvailable", "MetricUnreachable")
    reason(cloud, "AbleToScale", "TargetUnavailable")
    cloud.place.server.heal()
    assert cloud.desired() == 5
    cloud.sees(82)
    cloud.await_desired(9)
    reason(cloud, "MetricsAvailable", "MetricsFound", "True")


def test_a_region_that_is_down_and_comes_back_empty_is_scaled_again(cloud: Cloud) -> None:
    cloud.group(desired=2)
    cloud.sees(45)
    cloud.scene.apply(cloud.scaler())
    cloud.await_desired(5)
    cloud.place.server.stop()
    reason(cloud, "MetricsAvailable", "MetricUnreachable")
    cloud.place.server.start()
    cloud.group(desired=2)
    cloud.sees(63)
    cloud.await_desired(7)


def test_a_region_that_hangs_holds_nobody_else_up(cloud: Cloud, controller: Controller) -> None:
    cloud.group(desired=2)
    cloud.sees(45)
    cloud.scene.sees(30)
    cloud.scene.apply(workload(), cloud.scaler("group"), cloud.scene.scaler("web"))
    cloud.scene.await_replicas(3)
    cloud.await_desired(5)
    cloud.place.server.fail(kind="hang", seconds=HUNG_SECONDS)
    began = time.monotonic()
    await_decisions(controller, cloud.scene, TICKS)
    assert time.monotonic() - began < HELD_UP_SECONDS
    cloud.scene.sees(60)
    cloud.scene.await_replicas(6)
    cloud.place.server.heal()
    cloud.sees(82)
    cloud.await_desired(9, seconds=60)


def test_throttling_is_told_and_waited_out(cloud: Cloud) -> None:
    cloud.group(desired=2)
    cloud.sees(45)
    cloud.scene.apply(cloud.scaler())
    cloud.await_desired(5)
    cloud.place.server.fail(operation="GetMetricData", code="Throttling")
    throttled = eventually(
        lambda: cloud.scene.condition("MetricsAvailable"),
        lambda found: any(f"left alone for {seconds} s" in found[2] for seconds in (8, 16)),  # after 1, 2 and 4
    )
    assert throttled[:2] == ("True", "MetricThrottled")  # the load is still known
    assert cloud.desired() == 5
    cloud.place.server.heal()
    cloud.sees(82)
    cloud.await_desired(9)
    assert longest_pause(cloud) > SDK_WAITS_SECONDS


def test_what_may_not_be_read_or_written_is_named(cloud: Cloud) -> None:
    cloud.group(desired=2)
    cloud.sees(45)
    who = "User: arn:aws:sts::123456789012:assumed-role/scaler/x is not authorized to perform:"
    denied = {"code": "AccessDenied", "message": f"{who} autoscaling:SetDesiredCapacity"}
    cloud.place.server.fail(operation="SetDesiredCapacity", **denied)
    cloud.scene.apply(cloud.scaler())
    assert "autoscaling:SetDesiredCapacity" in reason(cloud, "AbleToScale", "TargetForbidden")
    cloud.place.server.fail(operation="GetMetricData", code="AccessDenied", message=f"{who} cloudwatch:GetMetricData")
    assert "cloudwatch:GetMetricData" in reason(cloud, "MetricsAvailable", "MetricUnauthorized", "True")
    cloud.place.server.heal()
    cloud.await_desired(5)


def test_a_describe_that_lags_behind_is_not_scaled_on(cloud: Cloud) -> None:
    cloud.group(desired=2)
    cloud.place.server.change(describe_lag=6.0)
    cloud.sees(45)
    cloud.scene.apply(cloud.scaler())
    eventually(cloud.writes)
    cloud.await_desired(5)
    time.sleep(STILL_SECONDS)
    assert (cloud.desired(), len(cloud.writes())) == (5, 1)


def test_a_metric_that_takes_its_time_is_waited_for(cloud: Cloud) -> None:
    cloud.group(desired=2)
    cloud.sees(45)
    cloud.scene.apply(cloud.scaler())
    cloud.await_desired(5)
    cloud.place.server.change(visible_after=600.0)
    cloud.sees(120)
    holds(cloud, 5)
    cloud.place.server.change(visible_after=0.0)
    cloud.await_desired(12)


def test_a_search_adds_up_what_many_report(cloud: Cloud) -> None:
    cloud.group(desired=1)
    second = wall_clock() - SECOND
    for pod, load in (("a", 31.0), ("b", 22.0)):
        cloud.place.put({second: load}, dimensions={DIMENSION: cloud.name, "Pod": pod}, resolution=1)
    expression = f"""SUM(SEARCH('{{{NAMESPACE},{DIMENSION},Pod}} {DIMENSION}="{cloud.name}"', 'Sum', 1))"""
    metric = {"cloudwatch": None, "targetPerReplica": "10"}
    scaler = cloud.scaler(metric=metric)
    scaler["spec"]["metric"]["cloudwatch"] = {"region": REGION, "period": "1s", "expression": expression}
    cloud.scene.apply(scaler)
    cloud.await_desired(6)


def test_another_account_is_reached_by_its_role(cloud: Cloud) -> None:
    role = {"roleArn": "arn:aws:iam::222222222222:role/scaler", "externalId": "shop"}
    account = Place(cloud.place.server)
    sts = account.client("sts").assume_role(RoleArn=role["roleArn"], RoleSessionName="tests", ExternalId="shop")
    found = sts["Credentials"]
    account = Place(cloud.place.server, keys=(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]))
    other = Cloud(scene=cloud.scene, place=account)
    other.group(desired=2)
    cloud.group(desired=2)
    other.sees(45)
    cloud.sees(200)
    scaler = other.scaler(targetRef=role, metric={"cloudwatch": role})
    cloud.scene.apply(scaler)
    other.await_desired(5)
    assert cloud.desired() == 2
