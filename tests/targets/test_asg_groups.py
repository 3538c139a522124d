"""Are groups read many at a time, and told as AWS means it?"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.aws import Aws
from controller.ports import TargetError, TargetReason
from controller.targets.asg_groups import KEEP_SECONDS, Group, Groups, Instance, _group
from tests.aws.fixtures import Place
from tests.targets.groups import NOW, Clock, ref

DESCRIBE = "DescribeAutoScalingGroups"


def raw(*instances: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A group as AWS tells it."""
    size = {"MinSize": 1, "MaxSize": 10, "DesiredCapacity": 3}
    return {"AutoScalingGroupName": "web", **size, "Instances": list(instances), **changes}


def raw_instance(state: str = "InService", **changes: Any) -> dict[str, Any]:
    return {"InstanceId": "i-1", "LifecycleState": state, "HealthStatus": "Healthy", **changes}


async def test_reads_of_a_tick_are_one_question_a_hundred_names_a_call(groups: Groups, aws: Place) -> None:
    aws.group("g42", desired=4)
    answers = await asyncio.gather(*(groups.read(ref(f"g{one}")) for one in range(250)), return_exceptions=True)
    found = [one for one in answers if isinstance(one, Group)]
    assert [(one.name, one.desired) for one in found] == [("g42", 4)]
    assert {one.reason for one in answers if isinstance(one, TargetError)} == {TargetReason.NOT_FOUND}
    assert len(aws.server.calls(DESCRIBE)) == 3


async def test_a_place_is_a_region_and_a_role(groups: Groups, aws: Place) -> None:
    places = [ref(), ref(region="us-east-1"), ref("api"), ref("api", region="us-east-1")]
    await asyncio.gather(*(groups.read(one) for one in places), return_exceptions=True)
    assert sorted(call["region"] for call in aws.server.calls(DESCRIBE)) == ["eu-central-1", "us-east-1"]


async def test_the_same_group_is_asked_for_once(groups: Groups, aws: Place) -> None:
    aws.group()
    first, second = await asyncio.gather(groups.read(ref()), groups.read(ref()))
    assert first is second
    assert len(aws.server.calls(DESCRIBE)) == 1


async def test_a_group_that_is_gone_is_no_longer_held(groups: Groups, aws: Place) -> None:
    aws.group(desired=0)
    await groups.read(ref())
    aws.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="web")
    with pytest.raises(TargetError, match='"web" in eu-central-1 does not exist; create it or correct targetRef'):
        await groups.read(ref())
    assert groups.held(ref()) is None


async def test_a_group_that_is_being_deleted_is_gone(groups: Groups, aws: Place) -> None:
    aws.server.change(delete=600)
    aws.group(desired=1)
    aws.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
    with pytest.raises(TargetError, match="is being deleted") as caught:
        await groups.read(ref())
    assert caught.value.reason == TargetReason.NOT_FOUND


@pytest.mark.parametrize(("age", "calls"), [(0, 1), (5, 1), (5.1, 2)])
async def test_what_is_young_enough_is_not_asked_for_again(
    groups: Groups, clock: Clock, aws: Place, age: float, calls: int
) -> None:
    aws.group()
    await groups.read(ref())
    clock.seconds += age
    await groups.recent(ref(), 5)
    assert len(aws.server.calls(DESCRIBE)) == calls


async def test_what_nobody_asks_for_is_let_go(groups: Groups, clock: Clock, aws: Place) -> None:
    aws.group()
    aws.group("api")
    await asyncio.gather(groups.read(ref()), groups.read(ref("api")))
    clock.seconds += KEEP_SECONDS + 1
    await groups.read(ref())
    assert (groups.held(ref("api")), groups.held(ref()) is not None) == (None, True)


async def test_a_failure_leaves_what_is_held(groups: Groups, aws: Place) -> None:
    aws.group()
    before = await groups.read(ref())
    aws.server.fail(operation=DESCRIBE, code="AccessDenied")
    with pytest.raises(TargetError):
        await groups.read(ref())
    assert groups.held(ref()) is before


async def test_one_who_gives_up_does_not_take_the_others_answer(groups: Groups, aws: Place) -> None:
    aws.group()
    impatient, patient = asyncio.create_task(groups.read(ref())), asyncio.create_task(groups.read(ref()))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).name == "web"


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ({"code": "AccessDenied"}, TargetReason.FORBIDDEN, f"grant autoscaling:{DESCRIBE} to the controller's role"),
        ({"code": "InvalidClientTokenId"}, TargetReason.UNAUTHORIZED, "correct the controller's credentials"),
        ({"code": "ExpiredToken"}, TargetReason.UNAUTHORIZED, "correct the controller's credentials"),
        ({"code": "Throttling"}, TargetReason.THROTTLED, "AWS takes fewer calls"),
        ({"code": "InternalFailure"}, TargetReason.UNAVAILABLE, "is targetRef.region right"),
        ({"code": "ValidationError"}, TargetReason.NOT_SCALABLE, "correct targetRef"),
        ({"kind": "close"}, TargetReason.UNAVAILABLE, "is targetRef.region right"),
    ],
    ids=["denied", "unknown key", "expired", "throttled", "failing", "refused", "down"],
)
async def test_why_a_group_cannot_be_read(
    groups: Groups, aws: Place, fault: dict[str, Any], reason: TargetReason, words: str
) -> None:
    aws.group()
    aws.server.fail(operation=DESCRIBE, **fault)
    with pytest.raises(TargetError, match=words) as caught:
        await groups.read(ref())
    assert caught.value.reason == reason


async def test_a_region_that_hangs_is_not_waited_for(aws: Place) -> None:
    aws.server.fail(operation=DESCRIBE, kind="hang", seconds=100)
    hurried = Aws(timeout_seconds=0.2, clock=lambda: NOW)
    with pytest.raises(TargetError, match="no answer in time") as caught:
        await Groups(hurried).read(ref())
    hurried.close()
    assert caught.value.reason == TargetReason.UNAVAILABLE


async def test_a_region_that_nobody_answers_in(aws: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    lost = Aws(timeout_seconds=1, clock=lambda: NOW)
    with pytest.raises(TargetError, match=r"is targetRef\.region right") as caught:
        await Groups(lost).read(ref())
    lost.close()
    assert caught.value.reason == TargetReason.UNAVAILABLE


async def test_a_region_that_fails_leaves_the_others(groups: Groups, aws: Place) -> None:
    aws.group(region="us-east-1")
    aws.server.fail(operation=DESCRIBE, region="eu-central-1", code="AccessDenied")
    refused, found = await asyncio.gather(
        groups.read(ref()), groups.read(ref(region="us-east-1")), return_exceptions=True
    )
    assert isinstance(refused, TargetError)
    assert isinstance(found, Group)


STATES = ["InService", "Pending", "Pending:Wait", "Pending:Proceed", "Terminating", "Terminating:Wait", "Standby"]
INSTANCES = st.lists(
    st.builds(
        Instance,
        id=st.uuids().map(str),
        state=st.sampled_from(STATES),
        is_healthy=st.booleans(),
        weight=st.none() | st.integers(1, 999),
    ),
    max_size=30,
).map(tuple)


def group(instances: tuple[Instance, ...], unit: str = "units") -> Group:
    return Group(name="web", at=0, desired=1, lowest=1, highest=10, unit=unit, instances=instances)


@given(instances=INSTANCES)
def test_ready_are_the_units_of_the_healthy_in_service(instances: tuple[Instance, ...]) -> None:
    units = 0
    for one in instances:
        if one.state == "InService" and one.is_healthy:
            units += one.weight or 1
    assert group(instances).ready == units


@given(instances=INSTANCES, unit=st.sampled_from(["vcpu", "memory-mib"]))
def test_another_unit_is_known_by_weights_only(instances: tuple[Instance, ...], unit: str) -> None:
    is_known = all(one.weight for one in instances if one.serves)
    assert group(instances, unit).ready == (group(instances).ready if is_known else None)


@given(instances=INSTANCES)
def test_no_instance_is_counted_twice(instances: tuple[Instance, ...]) -> None:
    assert all(one.serves + one.starts + one.ends <= 1 for one in instances)


@given(instances=INSTANCES)
def test_the_version_changes_with_an_instance_and_not_with_their_order(instances: tuple[Instance, ...]) -> None:
    assert group(instances).version == group(instances[::-1]).version
    assert group(instances).version != group((*instances, Instance(id="new", state="Pending"))).version


def test_what_a_group_does_not_tell_is_not_made_up() -> None:
    found = _group(raw(raw_instance()), 0)
    assert (found.predicted, found.warm, found.warmup, found.operator) == (None, None, timedelta(0), "")
    assert (found.suspended, found.unit, found.ready, found.instances[0].template) == ({}, "units", 1, "")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"LaunchTemplate": {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "n", "Version": "3"}}, "lt-1:3"),
        ({"LaunchTemplate": {"LaunchTemplateName": "n", "Version": "3"}}, "n:3"),
        ({"LaunchConfigurationName": "old"}, "old"),
    ],
)
def test_the_template_of_an_instance(told: dict[str, Any], expected: str) -> None:
    assert _group(raw(raw_instance(**told)), 0).instances[0].template == expected


@pytest.mark.parametrize(
    ("own", "mixes"), [({}, False), ({"LaunchTemplateSpecification": {"LaunchTemplateId": "lt-2"}}, True)]
)
def test_overrides_with_a_template_of_their_own_mix_templates(own: dict[str, Any], mixes: bool) -> None:
    overrides = [{"InstanceType": "m5.large"}, {"InstanceType": "m7g.large", **own}]
    policy = {"LaunchTemplate": {"Overrides": overrides}}
    assert _group(raw(MixedInstancesPolicy=policy), 0).mixes_templates is mixes


@pytest.mark.parametrize(("told", "seconds"), [(300, 300), (-1, 0), (0, 0)])
def test_a_warm_up_that_was_taken_away_is_none(told: int, seconds: int) -> None:
    assert _group(raw(DefaultInstanceWarmup=told), 0).warmup == timedelta(seconds=seconds)


def test_who_operates_a_group() -> None:
    assert _group(raw(Operator={"Principal": "eks.amazonaws.com"}), 0).operator == "eks.amazonaws.com"
