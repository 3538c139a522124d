"""Is a group's size read and written as AWS means it, never over somebody else's change, nor back by a late answer?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.aws_spec import CapacityField
from controller.ports import TargetError, TargetReason
from controller.targets.asg import BELIEVED_SECONDS, SETTLE_SECONDS, GroupTarget, _Believed, _notes
from controller.targets.asg_groups import Group, Groups, Instance
from tests.aws.fixtures import Place
from tests.targets.groups import DESIRED, FLOOR, Clock, LateAws, ref

SET, UPDATE = "SetDesiredCapacity", "UpdateAutoScalingGroup"


@pytest.fixture
def target(groups: Groups) -> GroupTarget:
    return GroupTarget(groups)


async def to(target: GroupTarget, replicas: int, capacity: CapacityField = DESIRED) -> None:
    """One tick's reading and writing."""
    state = await target.read("shop", ref(capacity=capacity))
    await target.write("shop", ref(capacity=capacity), state, replicas)


async def refused(target: GroupTarget, replicas: int, capacity: CapacityField = DESIRED) -> TargetError:
    with pytest.raises(TargetError) as caught:
        await to(target, replicas, capacity)
    return caught.value


def floor(aws: Place) -> int:
    found = aws.described()
    assert found is not None
    return int(found["MinSize"])


def change(aws: Place, **fields: Any) -> None:
    """What somebody else does."""
    aws.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName="web", **fields)


def suspend(aws: Place, *processes: str) -> None:
    aws.client("autoscaling").suspend_processes(AutoScalingGroupName="web", ScalingProcesses=list(processes))


@pytest.mark.parametrize(
    ("capacity", "replicas", "lowest", "highest"), [(DESIRED, 3, 1, 8), (FLOOR, 1, None, 8)], ids=["desired", "floor"]
)
async def test_what_is_read(
    target: GroupTarget, aws: Place, capacity: CapacityField, replicas: int, lowest: int | None, highest: int
) -> None:
    aws.group(minimum=1, maximum=8, desired=3)
    state = await target.read("shop", ref(capacity=capacity))
    assert (state.replicas, state.lowest, state.highest) == (replicas, lowest, highest)
    assert (state.ready, state.warm, state.note, state.selector) == (3, None, "", "")


async def test_the_desired_capacity_is_set_also_while_the_group_cools_down(target: GroupTarget, aws: Place) -> None:
    aws.group(minimum=1, desired=3)
    await to(target, 6)
    await to(target, 8)
    assert (aws.desired(), floor(aws)) == (8, 1)
    assert len(aws.server.calls(SET)) == 2


async def test_a_floor_raises_the_desired_capacity_and_never_lowers_it(target: GroupTarget, aws: Place) -> None:
    aws.group(minimum=1, desired=3)
    await to(target, 5, FLOOR)
    assert (floor(aws), aws.desired()) == (5, 5)
    await to(target, 2, FLOOR)
    assert (floor(aws), aws.desired()) == (2, 5)
    assert aws.server.calls(SET) == []


@pytest.mark.parametrize(("desired", "replicas"), [(3, 1), (1, 1), (0, 0)])
async def test_a_group_without_a_floor_has_one_of_one_unless_it_was_switched_off(
    target: GroupTarget, aws: Place, desired: int, replicas: int
) -> None:
    aws.group(minimum=0, desired=desired)
    assert (await target.read("shop", ref(capacity=FLOOR))).replicas == replicas


async def test_a_first_floor_is_set(target: GroupTarget, aws: Place) -> None:
    aws.group(minimum=0, desired=3)
    await to(target, 2, FLOOR)
    assert floor(aws) == 2


async def test_instances_that_start_are_not_ready(target: GroupTarget, aws: Place) -> None:
    aws.group(desired=2)
    aws.server.change(launch=3600)
    await to(target, 5)
    state = await target.read("shop", ref())
    assert (state.replicas, state.ready, state.note) == (5, 2, "3 instances starting")


async def test_instances_that_end_are_told(target: GroupTarget, aws: Place) -> None:
    aws.group(desired=2)
    aws.server.change(terminate=3600)
    await to(target, 1)
    state = await target.read("shop", ref())
    assert (state.replicas, state.ready, state.note) == (1, 1, "1 instance ending")


async def test_the_version_changes_when_an_instance_comes_into_service(target: GroupTarget, aws: Place) -> None:
    aws.group(desired=1)
    before = await target.read("shop", ref())
    assert (await target.read("shop", ref())).resource_version == before.resource_version
    suspend(aws, "AZRebalance")
    assert (await target.read("shop", ref())).resource_version == before.resource_version
    await target.write("shop", ref(), before, 2)
    assert (await target.read("shop", ref())).resource_version != before.resource_version


@pytest.mark.parametrize(("weight", "desired", "ready"), [(4, 8, 8), (4, 10, 12), (3, 1, 3)])
async def test_weights_count_units(target: GroupTarget, aws: Place, weight: int, desired: int, ready: int) -> None:
    aws.group(maximum=20, desired=desired, weight=weight)
    state = await target.read("shop", ref())
    assert (state.replicas, state.ready) == (desired, ready)


@pytest.mark.parametrize(("weight", "ready"), [(None, None), (2, 4)], ids=["without weights", "with weights"])
async def test_capacity_in_vcpus(target: GroupTarget, aws: Place, weight: int | None, ready: int | None) -> None:
    aws.group(desired=4, weight=weight, DesiredCapacityType="vcpu")
    state = await target.read("shop", ref())
    assert (state.ready, state.note) == (ready, "its capacity counts in vcpu")


async def test_a_warm_pool_is_seen_and_not_counted(target: GroupTarget, aws: Place) -> None:
    aws.group(maximum=10, desired=2)
    aws.client("autoscaling").put_warm_pool(AutoScalingGroupName="web", MaxGroupPreparedCapacity=5)
    state = await target.read("shop", ref())
    assert (state.replicas, state.ready, state.warm) == (2, 2, 3)


@pytest.mark.parametrize(
    ("process", "capacity", "replicas"),
    [("Launch", DESIRED, 5), ("Launch", FLOOR, 5), ("Terminate", DESIRED, 2)],
    ids=["growing", "raising the floor", "shrinking"],
)
async def test_what_a_suspended_process_blocks_is_not_asked_for(
    target: GroupTarget, aws: Place, process: str, capacity: CapacityField, replicas: int
) -> None:
    aws.group(minimum=1 if capacity is DESIRED else 3, desired=3)
    suspend(aws, process)
    error = await refused(target, replicas, capacity)
    assert error.reason == TargetReason.SUSPENDED
    assert f"process {process} is suspended" in str(error)
    assert f"aws autoscaling resume-processes --scaling-processes {process}" in str(error)
    assert aws.server.calls(SET) == aws.server.calls(UPDATE) == []


@pytest.mark.parametrize(
    ("process", "capacity", "replicas"),
    [
        ("Launch", DESIRED, 2),
        ("Launch", FLOOR, 2),
        ("Terminate", DESIRED, 5),
        ("Terminate", FLOOR, 2),
        ("AlarmNotification", DESIRED, 5),
    ],
)
async def test_what_a_suspended_process_does_not_block(
    target: GroupTarget, aws: Place, process: str, capacity: CapacityField, replicas: int
) -> None:
    aws.group(minimum=1 if capacity is DESIRED else 3, desired=3)
    suspend(aws, process)
    await to(target, replicas, capacity)
    assert (aws.desired() if capacity is DESIRED else floor(aws)) == replicas


async def test_suspended_processes_are_told(target: GroupTarget, aws: Place) -> None:
    aws.group(desired=1)
    suspend(aws, "Terminate", "HealthCheck")
    assert (await target.read("shop", ref())).note == "suspended: HealthCheck, Terminate"


@pytest.mark.parametrize(
    ("told", "note"),
    [
        ({"predicted": 8}, "AWS predicts 8"),
        ({"unit": "memory-mib"}, "its capacity counts in memory-mib"),
        ({"instances": (Instance(id="i-1", state="InService", is_healthy=False),)}, "1 instance unhealthy"),
        ({"instances": (Instance(id="i-1", state="Pending:Wait"),)}, "1 instance starting"),
        ({"instances": (Instance(id="i-1", state="Standby"),)}, ""),
    ],
)
def test_what_else_is_told(told: dict[str, Any], note: str) -> None:
    group = Group(name="web", at=0, desired=1, lowest=1, highest=9, **told)
    assert "; ".join(_notes(group, 1, 1)) == note


@pytest.mark.parametrize("capacity", [DESIRED, FLOOR])
@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        ("AccessDenied", TargetReason.FORBIDDEN, "grant autoscaling:{action} to the controller's role in IAM"),
        ("ExpiredToken", TargetReason.UNAUTHORIZED, "correct the controller's credentials or targetRef.roleArn"),
        ("Throttling", TargetReason.THROTTLED, "AWS takes fewer calls"),
        ("InternalFailure", TargetReason.UNAVAILABLE, "the next tick tries again"),
        ("ScalingActivityInProgress", TargetReason.CONFLICT, "busy with another activity"),
        ("ResourceContention", TargetReason.CONFLICT, "busy with another activity"),
        ("ValidationError", TargetReason.NOT_SCALABLE, "correct targetRef or the group"),
    ],
)
async def test_why_a_group_cannot_be_written(
    target: GroupTarget, aws: Place, capacity: CapacityField, code: str, reason: TargetReason, words: str
) -> None:
    aws.group(minimum=1, desired=3)
    action = SET if capacity is DESIRED else UPDATE
    aws.server.fail(operation=action, code=code)
    error = await refused(target, 5, capacity)
    assert error.reason == reason
    assert words.format(action=action) in str(error)
    assert str(error).startswith('AutoScalingGroup "web" in eu-central-1')


async def test_a_write_that_failed_is_not_remembered_as_one(target: GroupTarget, aws: Place) -> None:
    aws.group(desired=3)
    aws.server.fail(operation=SET, code="AccessDenied")
    await refused(target, 5)
    assert (await target.read("shop", ref())).replicas == 3


@pytest.mark.parametrize(
    ("replicas", "words"),
    [(9, "9 is above the group's MaxSize, 8; raise it"), (1, "1 is below the group's MinSize, 2; lower it")],
)
async def test_beyond_the_groups_own_bounds_nothing_is_asked(
    target: GroupTarget, aws: Place, replicas: int, words: str
) -> None:
    aws.group(minimum=2, maximum=8, desired=3)
    error = await refused(target, replicas)
    assert (error.reason, words in str(error)) == (TargetReason.NOT_SCALABLE, True)
    assert aws.server.calls(SET) == []


async def test_a_floor_stays_below_the_groups_maximum(target: GroupTarget, aws: Place) -> None:
    aws.group(minimum=2, maximum=8)
    assert "MaxSize, 8" in str(await refused(target, 9, FLOOR))
    assert aws.server.calls(UPDATE) == []


@pytest.mark.parametrize("capacity", [DESIRED, FLOOR])
async def test_bounds_that_were_moved_since_the_read_are_a_conflict(
    target: GroupTarget, aws: Place, capacity: CapacityField
) -> None:
    aws.group(minimum=1, maximum=10, desired=3)
    state = await target.read("shop", ref(capacity=capacity))
    change(aws, MaxSize=4)
    with pytest.raises(TargetError, match="MinSize and MaxSize were changed meanwhile, to 1 and 4") as caught:
        await target.write("shop", ref(capacity=capacity), state, 8)
    assert caught.value.reason == TargetReason.CONFLICT


@pytest.mark.parametrize("capacity", [DESIRED, FLOOR])
async def test_a_group_that_went_since_the_read_is_not_found(
    target: GroupTarget, aws: Place, capacity: CapacityField
) -> None:
    aws.group(desired=3)
    state = await target.read("shop", ref(capacity=capacity))
    aws.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="web", ForceDelete=True)
    with pytest.raises(TargetError, match="does not exist") as caught:
        await target.write("shop", ref(capacity=capacity), state, 8)
    assert caught.value.reason == TargetReason.NOT_FOUND


@pytest.mark.parametrize("capacity", [DESIRED, FLOOR])
async def test_somebody_elses_change_is_a_conflict_and_stands(
    target: GroupTarget, aws: Place, clock: Clock, capacity: CapacityField
) -> None:
    aws.group(minimum=1, desired=3)
    state = await target.read("shop", ref(capacity=capacity))
    change(aws, MinSize=4, DesiredCapacity=7)
    clock.seconds += BELIEVED_SECONDS + 0.1
    with pytest.raises(TargetError, match=r"was changed from [13] to [74] by somebody else meanwhile") as caught:
        await target.write("shop", ref(capacity=capacity), state, 2)
    assert caught.value.reason == TargetReason.CONFLICT
    assert (aws.desired(), floor(aws)) == (7, 4)


async def test_within_a_tick_nothing_is_read_twice(target: GroupTarget, aws: Place, clock: Clock) -> None:
    aws.group(desired=3)
    state = await target.read("shop", ref())
    clock.seconds += BELIEVED_SECONDS
    await target.write("shop", ref(), state, 5)
    assert [call["operation"] for call in aws.server.calls()][-2:] == ["DescribeAutoScalingGroups", SET]


async def test_groups_that_are_written_late_are_read_together(groups: Groups, aws: Place, clock: Clock) -> None:
    for name in ("a", "b", "c"):
        aws.group(name, desired=1)
    target = GroupTarget(groups)
    states = {name: await target.read("shop", ref(name)) for name in ("a", "b", "c")}
    clock.seconds += 60
    before = len(aws.server.calls("DescribeAutoScalingGroups"))
    await asyncio.gather(*(target.write("shop", ref(name), state, 2) for name, state in states.items()))
    assert len(aws.server.calls("DescribeAutoScalingGroups")) == before + 1


@pytest.mark.parametrize("capacity", [DESIRED, FLOOR])
async def test_a_describe_that_is_older_than_the_write_is_no_news(
    target: GroupTarget, aws: Place, late_aws: LateAws, clock: Clock, capacity: CapacityField
) -> None:
    """Without this a load that asks for 5 and then 6 would be answered by 3 -> 5, 3 -> 6 and, for 5 again, 3 -> 5."""
    aws.group(minimum=3, desired=3)
    state = await target.read("shop", ref(capacity=capacity))
    late_aws.frozen = True
    await target.write("shop", ref(capacity=capacity), state, 5)
    clock.seconds += SETTLE_SECONDS - 1
    state = await target.read("shop", ref(capacity=capacity))
    assert (state.replicas, state.note) == (5, "AWS still shows 3")
    clock.seconds += 1
    state = await target.read("shop", ref(capacity=capacity))
    assert (state.replicas, state.note) == (3, "")


async def test_somebody_elses_size_is_believed_at_once(target: GroupTarget, aws: Place) -> None:
    aws.group(desired=3)
    await to(target, 5)
    change(aws, DesiredCapacity=8)
    assert (await target.read("shop", ref())).replicas == 8
    change(aws, DesiredCapacity=3)
    assert (await target.read("shop", ref())).replicas == 3


async def test_the_size_from_before_is_believed_half_a_minute_later(
    target: GroupTarget, aws: Place, clock: Clock
) -> None:
    aws.group(desired=3)
    await to(target, 5)
    change(aws, DesiredCapacity=3)
    assert (await target.read("shop", ref())).replicas == 5
    clock.seconds += SETTLE_SECONDS
    assert (await target.read("shop", ref())).replicas == 3


@given(
    wishes=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5), st.floats(0, 1)), min_size=1, max_size=40),
)
def test_while_nobody_else_writes_the_last_write_is_what_is_read(wishes: list[tuple[int, int, float]]) -> None:
    """Each wish: the size, the seconds since the one before, and how late a describe is, of what AWS may be late."""
    believed, truth, now = _Believed(), [(0.0, 3)], 100.0
    for size, pause, late in wishes:
        now += pause * 5.0
        seen_at = now - late * (SETTLE_SECONDS - 0.001)
        shown = [value for since, value in truth if since <= seen_at][-1]
        assert believed.size(shown, now) == truth[-1][1]
        believed.wrote(truth[-1][1], size, now)
        truth.append((now, size))
