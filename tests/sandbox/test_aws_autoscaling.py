"""Auto Scaling as the SDK meets it on loopback: bounds, time, activities, suspended processes, weights, warm pools."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.fixtures import Place

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LAUNCH_SECONDS = 90.0
SECOND = timedelta(seconds=1)


@pytest.fixture
def groups(aws: Place) -> Place:
    aws.at(NOW)
    return aws


@pytest.fixture
def slow(groups: Place) -> Place:
    """A group of two in service, whose next instances take a minute and a half."""
    groups.group(minimum=1, maximum=10, desired=2)
    groups.server.change(launch=LAUNCH_SECONDS)
    return groups


def later(groups: Place, seconds: float) -> None:
    groups.at(NOW + seconds * SECOND)


def set_desired(groups: Place, desired: int, name: str = "web", **given: Any) -> None:
    groups.client("autoscaling").set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=desired, **given)


def update(groups: Place, name: str = "web", **given: Any) -> None:
    groups.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=name, **given)


def activities(groups: Place, **given: Any) -> list[dict[str, Any]]:
    found = groups.client("autoscaling").describe_scaling_activities(AutoScalingGroupName="web", **given)
    return list(found["Activities"])


def _warm(groups: Place) -> list[str]:
    found = groups.client("autoscaling").describe_warm_pool(AutoScalingGroupName="web")
    return sorted(one["LifecycleState"] for one in found["Instances"])


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@pytest.mark.parametrize(("desired", "words"), [(11, "above max value 10"), (0, "below min value 1")])
def test_a_capacity_beyond_the_groups_bounds_is_refused(groups: Place, desired: int, words: str) -> None:
    groups.group(minimum=1, maximum=10, desired=2)
    with pytest.raises(ClientError, match=words) as error:
        set_desired(groups, desired)
    assert (code(error), groups.desired()) == ("ValidationError", 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda groups: set_desired(groups, 3, "none"),
        lambda groups: update(groups, "none", MinSize=1),
        lambda groups: groups.client("autoscaling").describe_scaling_activities(AutoScalingGroupName="none"),
        lambda groups: groups.client("autoscaling").describe_warm_pool(AutoScalingGroupName="none"),
        lambda groups: groups.client("autoscaling").suspend_processes(AutoScalingGroupName="none"),
    ],
    ids=["set", "update", "activities", "warm pool", "suspend"],
)
def test_an_unknown_group_is_named(groups: Place, call: Any) -> None:
    with pytest.raises(ClientError, match="'none' not found") as error:
        call(groups)
    assert code(error) == "ValidationError"


def test_instances_are_pending_until_their_time_and_are_launched_once(slow: Place) -> None:
    set_desired(slow, 5)
    set_desired(slow, 5)
    assert slow.states() == ["InService"] * 2 + ["Pending"] * 3
    later(slow, LAUNCH_SECONDS - 1)
    assert slow.states().count("Pending") == 3
    later(slow, LAUNCH_SECONDS)
    assert slow.states() == ["InService"] * 5


def test_a_launch_is_an_activity_with_a_beginning_and_an_end(slow: Place) -> None:
    set_desired(slow, 3)
    later(slow, 10)
    (newest, *older) = activities(slow)
    assert (newest["StatusCode"], newest["Progress"], newest["StartTime"]) == ("PreInService", 30, NOW)
    assert "EndTime" not in newest
    assert [one["StatusCode"] for one in older] == ["Successful"] * 2
    later(slow, LAUNCH_SECONDS)
    (newest, *_) = activities(slow)
    assert newest["StatusCode"] == "Successful"
    assert newest["EndTime"] - newest["StartTime"] == LAUNCH_SECONDS * SECOND
    (instance,) = {one["InstanceId"] for one in slow.described()["Instances"]} & set(newest["Description"].split())  # type: ignore[index]
    assert newest["Description"] == f"Launching a new EC2 instance: {instance}"


def test_activities_can_be_asked_for_since_a_time(slow: Place) -> None:
    later(slow, 60)
    set_desired(slow, 3)
    since = {"Name": "StartTimeLowerBound", "Values": [(NOW + SECOND).isoformat()]}
    assert [one["StartTime"] for one in activities(slow, Filters=[since])] == [NOW + 60 * SECOND]


def test_those_under_way_come_first(slow: Place) -> None:
    set_desired(slow, 3)
    later(slow, 30)
    slow.server.change(launch=0.0)
    set_desired(slow, 4)
    assert [one["StatusCode"] for one in activities(slow)[:2]] == ["PreInService", "Successful"]


def test_activities_come_in_pages(groups: Place) -> None:
    groups.group(maximum=7, desired=7)
    pages = groups.client("autoscaling").get_paginator("describe_scaling_activities")
    found = [len(page["Activities"]) for page in pages.paginate(AutoScalingGroupName="web", MaxRecords=3)]
    assert found == [3, 3, 1]


def test_what_does_not_serve_yet_ends_first(slow: Place) -> None:
    set_desired(slow, 4)
    set_desired(slow, 2)
    assert slow.states() == ["InService"] * 2
    words = [(one["Description"].partition(":")[0], one["StatusCode"]) for one in activities(slow)[:4]]
    assert (
        words == [("Terminating EC2 instance", "Successful")] * 2 + [("Launching a new EC2 instance", "Cancelled")] * 2
    )


def test_terminating_takes_as_long_as_is_set(groups: Place) -> None:
    groups.group(desired=3)
    groups.server.change(terminate=30.0)
    set_desired(groups, 1)
    assert groups.states() == ["InService", "Terminating", "Terminating"]
    later(groups, 30)
    assert groups.states() == ["InService"]


@pytest.mark.parametrize(("process", "wanted", "held"), [("Launch", 5, 2), ("Terminate", 1, 2)])
def test_a_suspended_process_does_nothing_until_it_is_resumed(
    groups: Place, process: str, wanted: int, held: int
) -> None:
    groups.group(desired=2)
    only = {"AutoScalingGroupName": "web", "ScalingProcesses": [process]}
    groups.client("autoscaling").suspend_processes(**only)
    set_desired(groups, wanted)
    assert (groups.desired(), len(groups.states())) == (wanted, held)
    groups.client("autoscaling").resume_processes(**only)
    assert len(groups.states()) == wanted


def test_a_launch_can_fail_and_says_why(groups: Place) -> None:
    groups.group(desired=1)
    groups.server.change(launch_failure="We currently do not have sufficient m5.large capacity.")
    set_desired(groups, 3)
    (newest, *_) = activities(groups)
    assert (newest["StatusCode"], groups.states()) == ("Failed", ["InService"])
    assert newest["StatusMessage"] == "We currently do not have sufficient m5.large capacity."


def test_weights_are_told_and_count(groups: Place) -> None:
    groups.group(maximum=20, desired=7, weight=2)
    found = groups.described()
    assert found is not None
    assert [one["WeightedCapacity"] for one in found["Instances"]] == ["2"] * 4
    update(groups, MinSize=9)
    assert (groups.desired(), len(groups.states())) == (9, 5)


def test_raising_the_minimum_raises_what_is_desired_and_lowering_it_does_not(groups: Place) -> None:
    groups.group(minimum=1, maximum=10, desired=2)
    update(groups, MinSize=6)
    assert groups.desired() == 6
    update(groups, MinSize=1)
    assert groups.desired() == 6
    update(groups, MaxSize=4)
    assert groups.desired() == 4


@pytest.mark.parametrize("given", [{"MinSize": 11}, {"MaxSize": 0}, {"DesiredCapacity": 12}])
def test_an_update_beyond_the_bounds_is_refused(groups: Place, given: dict[str, Any]) -> None:
    groups.group(minimum=1, maximum=10, desired=2)
    with pytest.raises(ClientError) as error:
        update(groups, **given)
    assert (code(error), groups.desired()) == ("ValidationError", 2)


def test_a_cooldown_blocks_only_who_honours_it(groups: Place) -> None:
    groups.group(minimum=1, maximum=10, desired=2)
    set_desired(groups, 3)
    with pytest.raises(ClientError) as error:
        set_desired(groups, 4, HonorCooldown=True)
    assert code(error) == "ScalingActivityInProgress"
    set_desired(groups, 4, HonorCooldown=False)
    later(groups, 301)
    set_desired(groups, 5, HonorCooldown=True)


def test_a_warm_pool_fills_up_and_serves_sooner(groups: Place) -> None:
    groups.group(minimum=1, maximum=4, desired=1)
    groups.server.change(launch=90.0, warm_launch=10.0)
    client = groups.client("autoscaling")
    client.put_warm_pool(AutoScalingGroupName="web", MinSize=1)
    assert _warm(groups) == ["Warmed:Pending"] * 3  # up to the group's maximum
    later(groups, 90)
    assert _warm(groups) == ["Warmed:Stopped"] * 3
    found = groups.described()
    assert found is not None
    assert (found["WarmPoolSize"], len(found["Instances"])) == (3, 1)
    set_desired(groups, 3)
    assert (groups.states(), _warm(groups)) == (["InService", "Pending", "Pending"], ["Warmed:Stopped"])
    later(groups, 100)
    assert groups.states() == ["InService"] * 3
    client.delete_warm_pool(AutoScalingGroupName="web", ForceDelete=True)
    found = groups.described()
    assert found is not None
    assert "WarmPoolConfiguration" not in found


def test_a_deleted_group_says_so_for_a_while_and_is_gone(groups: Place) -> None:
    groups.group(desired=1)
    groups.server.change(delete=20.0)
    with pytest.raises(ClientError) as error:
        groups.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="web")
    assert code(error) == "ResourceInUse"
    groups.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
    found = groups.described()
    assert found is not None
    assert found["Status"] == "Delete in progress"
    later(groups, 20)
    assert groups.described() is None


def test_a_describe_may_be_older_than_the_last_write(groups: Place) -> None:
    groups.group(minimum=1, maximum=10, desired=2)
    groups.server.change(describe_lag=5.0)
    later(groups, 10)
    set_desired(groups, 6)
    update(groups, MinSize=3)
    shown = []
    for seconds in (10, 14.9, 15):
        later(groups, seconds)
        found = groups.described() or {}
        shown.append((found["MinSize"], found["DesiredCapacity"], len(found["Instances"])))
    assert shown == [(1, 2, 6), (1, 2, 6), (3, 6, 6)]


def test_more_names_than_records_are_refused(groups: Place) -> None:
    groups.group("web")
    client = groups.client("autoscaling")
    names = ["web", *(f"none-{number}" for number in range(50))]
    with pytest.raises(ClientError, match="MaxRecords"):
        client.describe_auto_scaling_groups(AutoScalingGroupNames=names)
    assert (
        len(client.describe_auto_scaling_groups(AutoScalingGroupNames=names, MaxRecords=100)["AutoScalingGroups"]) == 1
    )


def test_groups_come_in_pages(groups: Place) -> None:
    for number in range(5):
        groups.group(f"g{number}")
    pages = groups.client("autoscaling").get_paginator("describe_auto_scaling_groups")
    assert [len(page["AutoScalingGroups"]) for page in pages.paginate(MaxRecords=2)] == [2, 2, 1]


@pytest.mark.parametrize("enabled", [True, False])
def test_a_policy_says_whether_it_is_enabled(groups: Place, enabled: bool) -> None:
    groups.group()
    tracking = {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
        "TargetValue": 50.0,
    }
    client = groups.client("autoscaling")
    client.put_scaling_policy(
        AutoScalingGroupName="web",
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration=tracking,
        Enabled=enabled,
    )
    (policy,) = client.describe_policies()["ScalingPolicies"]
    assert (policy["PolicyName"], policy["AutoScalingGroupName"], policy["Enabled"]) == ("cpu", "web", enabled)


def test_what_moto_forgets_is_kept(groups: Place) -> None:
    groups.group(weight=2, DefaultInstanceWarmup=120, DesiredCapacityType="units")
    update(groups, MaxSize=12)
    found = groups.described()
    assert found is not None
    assert (found["DefaultInstanceWarmup"], found["DesiredCapacityType"]) == (120, "units")
    assert found["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"][0]["WeightedCapacity"] == "2"
