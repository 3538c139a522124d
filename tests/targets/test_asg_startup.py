"""Are launches of a group read for what they tell, looked at seldom, and failures told?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from threading import Event
from typing import Any

import pytest

from controller.aws_spec import AwsAccess
from controller.core.startup import ENOUGH, LONGEST, LeadTime, LeadTimeSource, StartUps, seen
from controller.outcome import Problem, Stage
from controller.ports import LeadTimeReason, TargetState
from controller.registry import Scaler
from controller.spec import ScalerSpec
from controller.targets.asg import GroupTarget
from controller.targets.asg_groups import Group, Groups, Instance
from controller.targets.asg_startup import CURRENT, GAP, MOST_PAGES, GroupLeadTimes, _failing, _is_launch, _started
from controller.targets.looks import REFRESH
from tests.aws.fixtures import REGION, Place
from tests.builders import scaler, seconds
from tests.targets.groups import NOW, LateAws, ref
from tests.waiting import PATIENCE, until

ACTIVITIES = "DescribeScalingActivities"
SPEC: dict[str, Any] = {
    "targetRef": {"kind": "AutoScalingGroup", "name": "web", "region": REGION},
    "forecast": {"leadTime": "auto"},
}
NOTHING = StartUps()
TWO_MINUTES = timedelta(minutes=2)


def own(name: str = "web", **changes: Any) -> Scaler:
    return scaler(
        name, spec=SPEC | {"targetRef": SPEC["targetRef"] | {"name": name}} | changes.pop("spec", {}), **changes
    )


@dataclass(kw_only=True)
class Ticks:
    """Ticks of a scaler at the endpoint's time, which stands still until it is told to go on."""

    groups: Groups
    lead_times: GroupLeadTimes
    aws: Place
    now: datetime = NOW

    def passes(self, span: float) -> None:
        self.now += seconds(span)
        self.aws.at(self.now)

    async def tick(self, of: Scaler | None = None) -> tuple[LeadTime, Problem | None]:
        """What is told, without what is looked at then."""
        one = of or own()
        assert isinstance(one.spec, ScalerSpec)
        state = await GroupTarget(self.groups).read("shop", one.spec.target)  # type: ignore[arg-type]
        told = self.lead_times.lead_time(one, one.spec, state, self.now)
        await self.lead_times.settled()
        return told

    async def known(self, of: Scaler | None = None) -> LeadTime:
        """What is told once a look has ended."""
        await self.tick(of)
        return (await self.tick(of))[0]

    def launched(self, desired: int, took: float) -> None:
        """Have the group grow, and wait until its instances are in service."""
        self.aws.server.change(launch=took)
        self.aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=desired)
        self.passes(took + 60)

    def looks(self) -> int:
        return len(self.aws.server.calls(ACTIVITIES))


@pytest.fixture
def ticks(groups: Groups, aws: Place) -> Ticks:
    aws.at(NOW)
    aws.group(maximum=50, desired=0)
    return Ticks(groups=groups, lead_times=GroupLeadTimes(groups, pause_seconds=0), aws=aws)


@pytest.mark.slow
async def test_the_launches_tell(ticks: Ticks) -> None:
    ticks.launched(5, took=90)
    lead_time = await ticks.known()
    assert (lead_time.duration, lead_time.source) == (seconds(91), LeadTimeSource.LEARNT)
    assert (lead_time.samples, lead_time.waiting, lead_time.template) == (5, 0, "web")


async def test_no_tick_waits_for_them(ticks: Ticks) -> None:
    ticks.launched(5, took=90)
    lead_time, problem = await ticks.tick()
    assert (lead_time.duration, lead_time.source, problem) == (TWO_MINUTES, LeadTimeSource.DEFAULT, None)


async def test_a_launch_with_hooks_of_half_an_hour_is_believed(ticks: Ticks) -> None:
    ticks.launched(5, took=1800)
    assert (await ticks.known()).duration == seconds(1801)


async def test_a_launch_that_goes_on_has_taken_so_long_already(ticks: Ticks) -> None:
    ticks.aws.server.change(launch=3600)
    ticks.aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=2)
    ticks.passes(300)
    lead_time = await ticks.known()
    assert (lead_time.duration, lead_time.waiting) == (seconds(300), 2)


async def test_what_the_group_needs_to_warm_up_comes_on_top(ticks: Ticks) -> None:
    ticks.aws.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName="web", DefaultInstanceWarmup=200)
    assert (await ticks.tick())[0].duration == seconds(200)
    ticks.launched(5, took=90)
    ticks.passes(GAP.total_seconds())
    assert (await ticks.known()).duration == seconds(291)


@pytest.mark.parametrize(("warmup", "expected"), [(60, 120), (120, 120), (300, 300)])
async def test_nothing_learnt_is_the_default_or_the_warm_up(ticks: Ticks, warmup: int, expected: int) -> None:
    ticks.aws.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName="web", DefaultInstanceWarmup=warmup)
    lead_time = await ticks.known()
    assert (lead_time.duration, lead_time.source) == (seconds(expected), LeadTimeSource.DEFAULT)


async def test_a_lead_time_stays_below_the_longest_one_of_a_spec(ticks: Ticks) -> None:
    ticks.aws.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName="web", DefaultInstanceWarmup=18_000)
    ticks.launched(5, took=10_000)
    assert (await ticks.known()).duration == LONGEST


async def test_a_launch_into_a_warm_pool_is_none_and_one_from_there_is(ticks: Ticks) -> None:
    ticks.aws.server.change(launch=400, warm_launch=30)
    ticks.aws.client("autoscaling").put_warm_pool(AutoScalingGroupName="web", MaxGroupPreparedCapacity=5)
    ticks.passes(500)
    assert (await ticks.known()).samples == 0
    ticks.aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=5)
    ticks.passes(500)
    lead_time = await ticks.known()
    assert (lead_time.duration, lead_time.samples) == (seconds(31), 5)


async def test_another_launch_template_is_learnt_anew(ticks: Ticks) -> None:
    ticks.launched(5, took=90)
    await ticks.known()
    client = ticks.aws.client("autoscaling")
    client.create_launch_configuration(LaunchConfigurationName="web-2", ImageId="ami-12c6146b", InstanceType="m5.large")
    client.update_auto_scaling_group(AutoScalingGroupName="web", LaunchConfigurationName="web-2")
    ticks.launched(10, took=30)
    ticks.passes(GAP.total_seconds())
    lead_time = await ticks.known()
    assert (lead_time.duration, lead_time.samples, lead_time.template) == (seconds(31), 5, "web-2")


async def test_the_version_of_a_launch_template_is_part_of_its_name(ticks: Ticks, aws: Place) -> None:
    aws.group("weighted", maximum=20, desired=10, weight=2)
    lead_time = await ticks.known(own("weighted"))
    assert lead_time.samples == 5
    assert lead_time.template.startswith("lt-")
    assert lead_time.template.endswith(":1")


@pytest.mark.parametrize(
    ("has_changed", "after", "looks"),
    [
        (False, GAP, 1),
        (False, REFRESH - seconds(1), 1),
        (False, REFRESH, 2),
        (True, GAP - seconds(1), 1),
        (True, GAP, 2),
    ],
    ids=["calm", "calm for long", "calm for very long", "changed just now", "changed"],
)
async def test_when_one_looks_again(ticks: Ticks, has_changed: bool, after: timedelta, looks: int) -> None:
    await ticks.tick()
    ticks.passes(after.total_seconds())
    if has_changed:
        ticks.aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=1)
    await ticks.tick()
    assert ticks.looks() == looks


async def test_an_instance_that_comes_into_service_is_a_change(ticks: Ticks) -> None:
    ticks.aws.server.change(launch=240)
    ticks.aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=5)
    await ticks.tick()
    ticks.passes(GAP.total_seconds())
    assert (await ticks.known()).samples == 5


async def test_more_pages_are_read_until_there_are_enough_launches(ticks: Ticks) -> None:
    """80 launches, then 80 terminations: on the first page of a hundred are 20 launches."""
    ticks.aws.group("big", maximum=80, desired=80)
    ticks.passes(60)
    ticks.aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="big", DesiredCapacity=0)
    ticks.passes(60)
    assert (await ticks.known(own("big"))).samples == 40
    assert ticks.looks() == 2


async def test_no_more_pages_are_read_than_it_takes(ticks: Ticks) -> None:
    ticks.aws.group("big", maximum=101, desired=101)
    ticks.passes(60)
    assert (await ticks.known(own("big"))).samples == 40
    assert ticks.looks() == 1


async def test_launches_from_before_anything_tells_their_template_hold_until_there_are_enough(ticks: Ticks) -> None:
    ticks.launched(5, took=300)
    ticks.aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=0)
    ticks.passes(60)
    ticks.launched(1, took=30)
    lead_time = await ticks.known()
    assert (lead_time.duration, lead_time.samples, lead_time.template) == (seconds(301), 1, "web")
    ticks.launched(ENOUGH, took=30)
    ticks.passes(GAP.total_seconds())
    lead_time = await ticks.known()
    assert (lead_time.duration, lead_time.samples) == (seconds(31), ENOUGH)


async def test_launches_that_fail_are_told_in_awss_words(ticks: Ticks) -> None:
    short = "We currently do not have sufficient m5.large capacity in the Availability Zone you requested."
    ticks.aws.server.change(launch_failure=short)
    client = ticks.aws.client("autoscaling")
    for size in (1, 2):
        client.set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=size)
    ticks.passes(60)
    await ticks.tick()
    lead_time, problem = await ticks.tick()
    assert problem is not None
    assert (problem.stage, problem.reason) == (Stage.LEAD_TIME, LeadTimeReason.LAUNCHES_FAILED)
    assert problem.message == (
        f'the last 2 launches of AutoScalingGroup "web" in eu-central-1 failed: {short[:-1]}; '
        "it cannot grow until that is solved, and AWS tries again by itself"
    )
    assert (lead_time.source, lead_time.samples) == (LeadTimeSource.DEFAULT, 0)
    ticks.aws.server.change(launch_failure="")
    ticks.launched(5, took=90)
    ticks.passes(GAP.total_seconds())
    await ticks.tick()
    assert (await ticks.tick())[1] is None


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ({"code": "AccessDenied"}, LeadTimeReason.LAUNCHES_FORBIDDEN, "grant autoscaling:DescribeScalingActivities"),
        ({"code": "ExpiredToken"}, LeadTimeReason.LAUNCHES_FORBIDDEN, "or set forecast.leadTime"),
        ({"code": "InternalFailure"}, LeadTimeReason.LAUNCHES_UNAVAILABLE, "cannot read the scaling activities of"),
        ({"kind": "close"}, LeadTimeReason.LAUNCHES_UNAVAILABLE, "cannot read the scaling activities of"),
    ],
)
async def test_what_fails_is_told_and_leaves_what_is_known(
    ticks: Ticks, fault: dict[str, Any], reason: str, words: str
) -> None:
    ticks.launched(5, took=90)
    before = await ticks.known()
    ticks.aws.server.fail(operation=ACTIVITIES, **fault)
    ticks.passes(REFRESH.total_seconds())
    await ticks.tick()
    lead_time, problem = await ticks.tick()
    assert problem is not None
    assert (problem.reason, words in problem.message) == (reason, True)
    assert lead_time.duration == before.duration
    ticks.aws.server.heal()
    ticks.passes(GAP.total_seconds())
    await ticks.tick()
    assert (await ticks.tick())[1] is None


async def test_a_first_look_that_failed_is_repeated_no_sooner_than_others(ticks: Ticks) -> None:
    ticks.aws.server.fail(operation=ACTIVITIES, code="AccessDenied")
    await ticks.tick()
    ticks.passes(GAP.total_seconds() - 1)
    await ticks.tick()
    assert ticks.looks() == 1
    ticks.passes(1)
    await ticks.tick()
    assert ticks.looks() == 2


async def test_a_restart_goes_on_from_the_status(ticks: Ticks, groups: Groups) -> None:
    ticks.launched(5, took=90)
    lead_time = await ticks.known()
    assert lead_time.start_ups is not None
    ticks.lead_times = GroupLeadTimes(groups, pause_seconds=0)
    stored = {"leadTime": {"memory": lead_time.start_ups.to_json()}}
    assert await ticks.tick(own(status=stored)) == (lead_time, None)


async def test_what_was_learnt_outlives_the_instances(ticks: Ticks) -> None:
    ticks.launched(5, took=90)
    await ticks.known()
    ticks.aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName="web", DesiredCapacity=0)
    ticks.passes(REFRESH.total_seconds())
    lead_time = await ticks.known()
    assert (lead_time.duration, lead_time.samples) == (seconds(91), 5)


async def test_what_is_forgotten_is_learnt_anew(ticks: Ticks) -> None:
    ticks.launched(5, took=90)
    await ticks.known()
    ticks.lead_times.forget("uid-web")
    assert (await ticks.tick())[0].source is LeadTimeSource.DEFAULT


async def test_many_groups_are_looked_at_one_after_the_other(groups: Groups, aws: Place) -> None:
    """So that a start of the controller does not take the account's share of calls."""
    lead_times = GroupLeadTimes(groups, pause_seconds=0.02)
    state = TargetState(replicas=1, resource_version="1")
    began = asyncio.get_running_loop().time()
    for number in range(10):
        one = own(f"g{number}")
        assert isinstance(one.spec, ScalerSpec)
        lead_times.lead_time(one, one.spec, state, NOW)
    await lead_times.settled()
    assert asyncio.get_running_loop().time() - began >= 10 * 0.02
    assert len(aws.server.calls(ACTIVITIES)) == 10


async def test_a_region_that_hangs_holds_up_no_other(
    groups: Groups, late_aws: LateAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of its own groups one at a time is asked for. No real hang: the SDK would ask again by a clock of its own."""
    asked: list[str] = []
    answers = Event()

    def hanging(access: AwsAccess, _service: str, _operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        asked.append(arguments["AutoScalingGroupName"])
        if access.region == REGION:
            answers.wait(PATIENCE)
        return {"Activities": []}

    monkeypatch.setattr(late_aws, "ask", hanging)
    lead_times = GroupLeadTimes(groups, pause_seconds=0)
    elsewhere = own(spec={"targetRef": SPEC["targetRef"] | {"region": "us-east-1"}})
    for one in (own("slow"), own("slower"), elsewhere):
        assert isinstance(one.spec, ScalerSpec)
        lead_times.lead_time(one, one.spec, TargetState(replicas=1, resource_version="1"), NOW)
    await until(lambda: len(asked) >= 2)
    await asyncio.sleep(0.05)
    assert sorted(asked) == ["slow", "web"]
    answers.set()
    await lead_times.settled()
    assert sorted(asked) == ["slow", "slower", "web"]


async def test_only_a_group_is_looked_at(groups: Groups) -> None:
    workload = scaler(spec={"forecast": {"leadTime": "auto"}})
    assert isinstance(workload.spec, ScalerSpec)
    with pytest.raises(TypeError, match="Deployment is no Auto Scaling group"):
        GroupLeadTimes(groups).lead_time(workload, workload.spec, TargetState(replicas=1, resource_version="1"), NOW)


@pytest.mark.parametrize(
    ("description", "is_launch"),
    [
        ("Launching a new EC2 instance: i-0abc", True),
        ("Launching a new EC2 instance from warm pool: i-0abc", True),
        ("Launching a new EC2 instance.  Status Reason: too little capacity. Launching EC2 instance failed.", True),
        ("Launching a new EC2 instance into warm pool: i-0abc", False),
        ("Terminating EC2 instance: i-0abc", False),
        ("Moving EC2 instance to Standby: i-0abc", False),
    ],
)
def test_what_is_a_launch(description: str, is_launch: bool) -> None:
    assert _is_launch({"Description": description}) is is_launch


def launch(number: int, status: str = "Successful", *, took: float = 60, **more: Any) -> dict[str, Any]:
    """A launch that began `number` minutes before NOW, as AWS tells it."""
    start = NOW - timedelta(minutes=number)
    told = {"ActivityId": f"{number:08x}", "Description": f"Launching a new EC2 instance: i-{number:x}"}
    return {**told, "StartTime": start, "EndTime": start + seconds(took), "StatusCode": status, **more}


def group(*templates: tuple[int, str], mixes: bool = False) -> Group:
    instances = tuple(Instance(id=f"i-{number:x}", state="InService", template=name) for number, name in templates)
    return Group(name="web", at=0, desired=1, lowest=0, highest=9, instances=instances, mixes_templates=mixes)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (None, ["", "", ""]),
        (group(), ["", "", ""]),
        (group((9, "lt:1")), ["lt:1", "lt:1", "lt:1"]),
        (group((8, "lt:1")), ["", "lt:1", "lt:1"]),
        (group((9, "lt:1"), (7, "lt:2")), ["lt:1", "lt:1", "lt:2"]),
        (group((9, "lt:1"), (8, "lt:2"), mixes=True), ["mixed", "mixed", "mixed"]),
    ],
    ids=["unread", "none left", "the first left", "the second left", "a new template", "several by intention"],
)
def test_a_launch_is_of_the_template_of_the_one_before(of: Group | None, expected: list[str]) -> None:
    assert [pod.template for pod in _started([launch(9), launch(8), launch(7)], of, NOTHING)] == expected


def test_what_was_learnt_while_the_instance_was_there_stands() -> None:
    launches = [launch(9), launch(8), launch(7)]
    before = seen(NOW, _started(launches[:2], group((8, "lt:1")), NOTHING), NOTHING)
    assert [pod.template for pod in _started(launches, group((7, "lt:2")), before)] == ["", "lt:1", "lt:2"]
    assert [pod.template for pod in _started(launches, group(), before)] == ["", "lt:1", "lt:1"]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("Successful", [(True,)]),
        ("PreInService", [(False,)]),
        ("MidLifecycleAction", [(False,)]),
        ("Failed", []),
        ("Cancelled", []),
    ],
)
def test_what_a_status_tells(status: str, told: list[tuple[bool]]) -> None:
    assert [(pod.ready is not None,) for pod in _started([launch(9, status)], None, NOTHING)] == told


def test_times_are_told_in_utc() -> None:
    abroad = NOW.astimezone(timezone(timedelta(hours=5)))
    (pod,) = _started([launch(0) | {"StartTime": abroad, "EndTime": abroad}], None, NOTHING)
    assert (pod.created.tzinfo, pod.created) == (UTC, NOW)


@pytest.mark.parametrize(
    ("launches", "failed"),
    [
        ([launch(9, "Failed")], "the last launch of"),
        ([launch(9, "Failed"), launch(8, "Failed"), launch(7, "PreInService")], "the last 2 launches of"),
        ([launch(9, "Failed"), launch(8, "Cancelled")], "the last launch of"),
        ([launch(9, "Failed"), launch(8)], None),
        ([launch(62, "Failed")], None),
        ([launch(9)], None),
        ([], None),
    ],
    ids=["one", "two, and one under way", "one called off", "better since", "long ago", "none", "no launch"],
)
def test_which_failures_are_told(launches: list[dict[str, Any]], failed: str | None) -> None:
    problem = _failing(ref(), launches, NOW)
    assert (None if problem is None else problem.message[: len(failed or "")]) == failed


def test_the_last_failure_is_told_as_long_as_it_is_current() -> None:
    late = [launch(61, "Failed", took=60)]
    assert _failing(ref(), late, NOW) is not None
    assert _failing(ref(), late, NOW + seconds(1)) is None
    assert timedelta(hours=1) == CURRENT
    assert MOST_PAGES == 3
