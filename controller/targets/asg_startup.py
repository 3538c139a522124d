"""How long do the instances of an Auto Scaling group take to be in service? Its scaling activities tell.

A launch takes from its activity's StartTime to its EndTime, when the instance is in service and its lifecycle hooks are
done; the group's default warm-up comes on top. A launch into a warm pool is none; one from there is, and counts like
any other. Launches that fail are told. When activities are looked at is told by `controller.targets.looks`.

AWS does not tell the launch template of an activity. It is that of its instance while that is in the group, or what was
learnt when it was; else that of the launch before, since a group launches from one template at a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from controller.aws import AwsError, CredentialsError, DeniedError
from controller.aws_spec import GroupRef
from controller.core.startup import KEPT, LeadTime, Pod, StartUps
from controller.outcome import Problem
from controller.ports import LeadTimeReason, TargetState
from controller.registry import Scaler
from controller.spec import ScalerSpec
from controller.targets.asg_groups import PAGE, SERVICE, Group, Groups, Json, words
from controller.targets.looks import Found, LookError, Looks, problem

GAP = timedelta(minutes=5)
"""A group that changes all the time is looked at so often: a look is a call of its own, which cannot be batched."""

LOOKS_AT_ONCE = 1
PAUSE_SECONDS = 0.1
"""At each place: 1,000 groups that are all due, as at a start, are ten calls a second at most."""

MOST_PAGES = 3
"""Of a hundred activities each, until there are enough launches among them."""

CURRENT = timedelta(hours=1)
"""A failure that is older, and that nothing followed, is no longer the group's state: AWS would have tried again."""

_LAUNCH = "Launching a new EC2 instance"
_INTO_POOL = f"{_LAUNCH} into warm pool"
_INSTANCE = re.compile(r"\bi-[0-9a-f]+\b")
_MIXED = "mixed"
_SUCCESSFUL, _FAILED, _CANCELLED = "Successful", "Failed", "Cancelled"


class GroupLeadTimes:
    """Implements `ports.LeadTimes`."""

    def __init__(self, groups: Groups, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._groups = groups
        self._looks = Looks(
            "the scaling activities",
            LeadTimeReason.LAUNCHES_UNAVAILABLE,
            gap=GAP,
            at_once=LOOKS_AT_ONCE,
            pause_seconds=pause_seconds,
        )

    def lead_time(
        self, scaler: Scaler, spec: ScalerSpec, state: TargetState, now: datetime
    ) -> tuple[LeadTime, Problem | None]:
        """What is known now; a look that is due begins, for the ticks to come."""
        ref = spec.target
        if not isinstance(ref, GroupRef):
            raise TypeError(f"{ref.kind} is no Auto Scaling group")
        group = self._groups.held(ref)  # read for `state`
        look = partial(self._look, ref, group, now)
        warmup = timedelta(0) if group is None else group.warmup
        return self._looks.told(scaler, spec, state.resource_version, now, look, place=ref.access, warmup=warmup)

    def forget(self, uid: str) -> None:
        """Drop what is held of a scaler that is gone."""
        self._looks.forget(uid)

    async def settled(self) -> None:
        """Wait until the looks under way have ended."""
        await self._looks.settled()

    async def aclose(self) -> None:
        """End the looks under way."""
        await self._looks.aclose()

    async def _look(self, ref: GroupRef, group: Group | None, now: datetime, before: StartUps) -> Found:
        try:
            launches = await self._launches(ref)
        except AwsError as error:
            raise LookError(_unknown(ref, error)) from error
        pods = _started(launches, group, before)
        earlier = [pod for pod in pods if not pod.template]
        return Found(pods=pods, earlier=earlier, gap=GAP, problem=_failing(ref, launches, now))

    async def _launches(self, ref: GroupRef) -> list[Json]:
        """The last ones, the oldest first."""
        wanted = {"AutoScalingGroupName": ref.name, "MaxRecords": PAGE}
        found: list[Json] = []
        token: Json = {}
        for _ in range(MOST_PAGES):
            answer = await self._groups.aws.call(ref.access, SERVICE, "describe_scaling_activities", **wanted, **token)
            found += [one for one in answer["Activities"] if _is_launch(one)]
            if len(found) >= KEPT or not answer.get("NextToken"):
                break
            token = {"NextToken": answer["NextToken"]}
        return sorted(found, key=lambda one: (one["StartTime"], one["ActivityId"]))


def _is_launch(activity: Json) -> bool:
    """Whether it brings an instance into service; one into a warm pool does not."""
    description: str = activity.get("Description", "")
    return description.startswith(_LAUNCH) and not description.startswith(_INTO_POOL)


def _started(launches: Sequence[Json], group: Group | None, before: StartUps) -> list[Pod]:
    """What succeeded or goes on; what failed or was called off took no time that tells anything."""
    remembered = {one.key: one.template for one in before.done} | {one.key: one.template for one in before.waiting}
    found, template = [], ""
    for one in launches:
        pod = _pod(one)
        template = _template(one, group) or remembered.get(pod.key) or template
        if one["StatusCode"] not in {_FAILED, _CANCELLED}:
            found.append(replace(pod, template=template))
    return found


def _pod(launch: Json) -> Pod:
    return Pod(
        uid=launch["ActivityId"],
        template="",
        created=_utc(launch["StartTime"]),
        ready=_utc(launch["EndTime"]) if launch["StatusCode"] == _SUCCESSFUL else None,
        is_first=True,
    )


def _template(launch: Json, group: Group | None) -> str:
    """That of its instance, while the group has it."""
    if group is None or group.mixes_templates:
        return "" if group is None else _MIXED
    named = _INSTANCE.findall(launch["Description"])
    return next((one.template for one in group.instances if one.id in named), "")


def _failing(ref: GroupRef, launches: Sequence[Json], now: datetime) -> Problem | None:
    """The failures since the last launch that succeeded, while they are current."""
    ended = [one for one in launches if one["StatusCode"] in {_FAILED, _SUCCESSFUL}]
    failed = 0
    for one in reversed(ended):
        if one["StatusCode"] == _SUCCESSFUL:
            break
        failed += 1
    last = ended[-1] if failed else None
    if last is None or now - _utc(last.get("EndTime") or last["StartTime"]) > CURRENT:
        return None
    what = "the last launch" if failed == 1 else f"the last {failed} launches"
    why = last.get("StatusMessage", "AWS tells no reason").rstrip(".")
    return problem(
        LeadTimeReason.LAUNCHES_FAILED,
        f"{what} of {words(ref)} failed: {why}; it cannot grow until that is solved, and AWS tries again by itself",
    )


def _unknown(ref: GroupRef, error: AwsError) -> Problem:
    what = f"cannot read the scaling activities of {words(ref)} to learn the lead time"
    if isinstance(error, DeniedError | CredentialsError):
        cure = f"grant {SERVICE}:DescribeScalingActivities to the controller's role in IAM, or set forecast.leadTime"
        return problem(LeadTimeReason.LAUNCHES_FORBIDDEN, f"{what}; {cure}: {error}")
    return problem(LeadTimeReason.LAUNCHES_UNAVAILABLE, f"{what}: {error}")


def _utc(time: datetime) -> datetime:
    """The SDK tells times in the zone of the machine."""
    return time.astimezone(UTC)
