"""Is whoever else sets a group's size found, named with the cure, and asked for seldom?"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.aws_spec import GroupRef
from controller.ports import TargetError, TargetReason
from controller.targets.asg_groups import Group, Groups
from controller.targets.asg_owners import MAX_AGE, STALE_AGE, TAG, GroupOwners, _of_desired, _of_floor, _Snapshot
from tests.aws.fixtures import Place
from tests.targets.groups import DESIRED, FLOOR, NOW, ref

POLICIES, ACTIONS = "DescribePolicies", "DescribeScheduledActions"
BESIDE = " (capacity: Floor may live beside it)"
CPU = {"PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"}, "TargetValue": 40.0}
PAIR = {"TargetValue": 40.0, "PredefinedMetricPairSpecification": {"PredefinedMetricType": "ASGCPUUtilization"}}
TRACKING: dict[str, Any] = {"PolicyType": "TargetTrackingScaling", "TargetTrackingConfiguration": CPU}
STEP: dict[str, Any] = {
    "PolicyType": "StepScaling",
    "AdjustmentType": "ChangeInCapacity",
    "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
}
SIMPLE: dict[str, Any] = {"PolicyType": "SimpleScaling", "AdjustmentType": "ChangeInCapacity", "ScalingAdjustment": 1}


def predictive(mode: str | None) -> dict[str, Any]:
    given = {"MetricSpecifications": [PAIR]} | ({} if mode is None else {"Mode": mode})
    return {"PolicyType": "PredictiveScaling", "PredictiveScalingConfiguration": given}


def put(aws: Place, name: str = "cpu", group: str = "web", **policy: Any) -> None:
    aws.client("autoscaling").put_scaling_policy(AutoScalingGroupName=group, PolicyName=name, **policy)


def schedule(aws: Place, **sizes: int) -> None:
    aws.client("autoscaling").put_scheduled_update_group_action(
        AutoScalingGroupName="web", ScheduledActionName="morning", Recurrence="0 8 * * 1-5", **sizes
    )


def suspend(aws: Place, process: str) -> None:
    aws.client("autoscaling").suspend_processes(AutoScalingGroupName="web", ScalingProcesses=[process])


@pytest.fixture
def owners(groups: Groups, aws: Place) -> GroupOwners:
    aws.group(minimum=1, desired=1)
    return GroupOwners(groups)


async def told(owners: GroupOwners, group: GroupRef, now: datetime = NOW) -> str | None:
    """The owner in words."""
    owner = await owners.owner("shop", group, now)
    return None if owner is None else owner.words


async def test_a_group_of_ones_own(owners: GroupOwners) -> None:
    assert await told(owners, ref()) is None


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        pytest.param(TRACKING, 'target tracking policy "cpu"', id="target tracking"),
        pytest.param(STEP, 'step scaling policy "cpu"', id="step"),
        pytest.param(SIMPLE, 'simple scaling policy "cpu"', id="simple"),
        pytest.param(predictive("ForecastAndScale"), 'predictive scaling policy "cpu"', id="predictive"),
        pytest.param(predictive("ForecastOnly"), None, id="predictive, only forecasting"),
        pytest.param(predictive(None), None, id="predictive, only forecasting by default"),
        pytest.param({**TRACKING, "Enabled": False}, None, id="disabled"),
    ],
)
async def test_a_policy_owns_the_desired_capacity_and_no_floor(
    owners: GroupOwners, aws: Place, policy: dict[str, Any], words: str | None
) -> None:
    put(aws, **policy)
    assert await told(owners, ref()) == (None if words is None else words + BESIDE)
    assert await told(owners, ref(capacity=FLOOR)) is None


@pytest.mark.parametrize(
    ("sizes", "desired", "floor"),
    [
        ({"DesiredCapacity": 5}, 'scheduled action "morning"' + BESIDE, None),
        ({"MinSize": 5}, None, 'scheduled action "morning", by its MinSize,'),
        ({"MaxSize": 9}, None, None),
    ],
)
async def test_a_scheduled_action_owns_what_it_sets(
    owners: GroupOwners, aws: Place, sizes: dict[str, int], desired: str | None, floor: str | None
) -> None:
    schedule(aws, **sizes)
    assert await told(owners, ref()) == desired
    assert await told(owners, ref(capacity=FLOOR)) == floor


@pytest.mark.parametrize(
    ("process", "owner"),
    [("AlarmNotification", 'scheduled action "morning"'), ("ScheduledActions", 'target tracking policy "cpu"')],
)
async def test_what_is_suspended_owns_nothing(owners: GroupOwners, aws: Place, process: str, owner: str) -> None:
    put(aws, **TRACKING)
    schedule(aws, DesiredCapacity=5)
    suspend(aws, process)
    assert await told(owners, ref()) == owner + BESIDE


async def test_a_predictive_policy_needs_no_alarm(owners: GroupOwners, aws: Place) -> None:
    put(aws, **predictive("ForecastAndScale"))
    suspend(aws, "AlarmNotification")
    assert await told(owners, ref()) == 'predictive scaling policy "cpu"' + BESIDE


async def test_several_owners_are_counted(owners: GroupOwners, aws: Place) -> None:
    put(aws, **TRACKING)
    put(aws, "more", **STEP)
    schedule(aws, DesiredCapacity=5)
    assert await told(owners, ref()) == 'target tracking policy "cpu" and 2 more' + BESIDE


@pytest.mark.parametrize(("value", "is_owned"), [("true", True), ("", True), ("false", False), ("False", False)])
async def test_the_tag_of_the_cluster_autoscaler(owners: GroupOwners, aws: Place, value: str, is_owned: bool) -> None:
    tag = {"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": TAG, "Value": value}
    aws.client("autoscaling").create_or_update_tags(Tags=[{**tag, "PropagateAtLaunch": False}])
    words = f"the cluster-autoscaler of the tag {TAG} (remove the tag where none runs; {BESIDE[2:]}"
    assert await told(owners, ref()) == (words if is_owned else None)
    assert await told(owners, ref(capacity=FLOOR)) is None


@pytest.mark.parametrize("capacity", [DESIRED, FLOOR])
def test_a_group_that_a_service_of_aws_operates_is_nobody_elses(capacity: str) -> None:
    group = Group(name="web", at=0, desired=1, lowest=1, highest=2, operator="eks.amazonaws.com")
    told = _of_floor if capacity is FLOOR else _of_desired
    assert list(told(group, _Snapshot(asked=NOW))) == ["eks.amazonaws.com, which alone may change this group,"]


async def test_another_groups_policy_is_no_owner(owners: GroupOwners, aws: Place) -> None:
    aws.group("api")
    put(aws, group="api", **TRACKING)
    assert await told(owners, ref()) is None
    assert await told(owners, ref("api")) is not None


async def test_another_regions_policy_is_no_owner(owners: GroupOwners, aws: Place) -> None:
    aws.group(region="us-east-1")
    aws.client("autoscaling", "us-east-1").put_scaling_policy(AutoScalingGroupName="web", PolicyName="cpu", **TRACKING)
    assert await told(owners, ref()) is None
    assert await told(owners, ref(region="us-east-1")) is not None


@pytest.mark.slow
async def test_all_pages_are_read(owners: GroupOwners, aws: Place) -> None:
    aws.group("api")
    for number in range(101):
        put(aws, f"p{number}", "api", **SIMPLE)
    put(aws, "zz", **SIMPLE)
    assert await told(owners, ref()) == 'simple scaling policy "zz"' + BESIDE
    assert len(aws.server.calls(POLICIES)) == 2


@pytest.mark.parametrize(
    ("after", "lists"),
    [(timedelta(0), 1), (MAX_AGE - timedelta(seconds=1), 1), (MAX_AGE, 2), (timedelta(seconds=-1), 2)],
)
async def test_a_region_is_listed_once_a_minute(owners: GroupOwners, aws: Place, after: timedelta, lists: int) -> None:
    await asyncio.gather(*(owners.owner("shop", ref(), NOW) for _ in range(10)))
    await owners.owner("shop", ref(), NOW + after)
    assert len(aws.server.calls(POLICIES)) == len(aws.server.calls(ACTIONS)) == lists


async def test_the_tags_of_this_tick_are_not_asked_for_again(owners: GroupOwners, groups: Groups, aws: Place) -> None:
    await groups.read(ref())
    await owners.owner("shop", ref(), NOW)
    assert len(aws.server.calls("DescribeAutoScalingGroups")) == 1


@pytest.mark.parametrize("operation", [POLICIES, ACTIONS])
@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        ("AccessDenied", TargetReason.FORBIDDEN, "grant autoscaling:{operation} to the controller's role in IAM"),
        ("ExpiredToken", TargetReason.UNAUTHORIZED, "correct the controller's credentials"),
        ("InternalFailure", TargetReason.UNAVAILABLE, "the next tick tries again"),
    ],
)
async def test_not_knowing_is_an_error(
    owners: GroupOwners, aws: Place, operation: str, code: str, reason: TargetReason, words: str
) -> None:
    aws.server.fail(operation=operation, code=code)
    with pytest.raises(TargetError, match="whether another autoscaler owns the target") as caught:
        await owners.owner("shop", ref(), NOW)
    assert caught.value.reason == reason
    assert words.format(operation=operation) in str(caught.value)


@pytest.mark.parametrize(("seconds", "lists"), [(0, 1), (1, 2)])
async def test_a_failed_list_is_not_tried_again_for_the_same_moment(
    owners: GroupOwners, aws: Place, seconds: int, lists: int
) -> None:
    aws.server.fail(operation=POLICIES, code="AccessDenied")
    for now in (NOW, NOW + timedelta(seconds=seconds)):
        with pytest.raises(TargetError):
            await owners.owner("shop", ref(), now)
    assert len(aws.server.calls(POLICIES)) == lists


@pytest.mark.parametrize(
    ("code", "after", "is_known"),
    [
        ("InternalFailure", STALE_AGE - timedelta(seconds=1), True),
        ("InternalFailure", STALE_AGE, False),
        ("AccessDenied", MAX_AGE, False),
    ],
    ids=["away for a while", "away for long", "no longer allowed"],
)
async def test_an_older_list_serves_while_aws_is_away(
    owners: GroupOwners, aws: Place, code: str, after: timedelta, is_known: bool
) -> None:
    put(aws, **TRACKING)
    await owners.owner("shop", ref(), NOW)
    aws.server.fail(operation=POLICIES, code=code)
    if is_known:
        assert await told(owners, ref(), NOW + after) == 'target tracking policy "cpu"' + BESIDE
    else:
        with pytest.raises(TargetError):
            await owners.owner("shop", ref(), NOW + after)
