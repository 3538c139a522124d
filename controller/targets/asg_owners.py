"""Who else sets the size of an Auto Scaling group? Its scaling policies, scheduled actions, and who its tags name.

Two autoscalers on one field fight without end, so the cycle asks here before it writes. Whatever sets the desired
capacity may live beside a floor (capacity: Floor); a scheduled action that sets MinSize may not. What AWS would not
run, a policy that is disabled or whose process is suspended, owns nothing.

The policies and actions of a whole region are listed at most once in MAX_AGE, a hundred a call: AWS lists them for one
group or for all.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from controller.aws import AwsError, ThrottledError, UnavailableError
from controller.aws_spec import AwsAccess, CapacityField, GroupRef
from controller.ports import Owner, TargetError
from controller.targets.asg_groups import PAGE, SERVICE, Group, Groups, Json, failed, words

MAX_AGE = timedelta(seconds=60)
STALE_AGE = timedelta(minutes=10)
"""So old a list still serves while AWS throttles or is away: policies change seldom."""

TAG = "k8s.io/cluster-autoscaler/enabled"
"""By this tag the cluster-autoscaler finds its groups; EKS sets it on every managed node group."""

_CLUSTER_AUTOSCALER = f"the cluster-autoscaler of the tag {TAG}"
_PREDICTIVE = "PredictiveScaling"
_KINDS = {
    "TargetTrackingScaling": "target tracking policy",
    "StepScaling": "step scaling policy",
    "SimpleScaling": "simple scaling policy",
    _PREDICTIVE: "predictive scaling policy",
}

_One = TypeVar("_One")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    """A scaling policy that is in force; `kind`: AWS's PolicyType."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Action:
    """A scheduled action that has still to run, and what it sets."""

    name: str
    sets_desired: bool
    sets_lowest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    """What scales the groups of a place, by group, as listed at `taken`; None: never.

    `asked`: when it was last tried to be listed, and `error` why that failed.
    """

    asked: datetime
    taken: datetime | None = None
    policies: Mapping[str, Sequence[_Policy]] = field(default_factory=dict)
    actions: Mapping[str, Sequence[_Action]] = field(default_factory=dict)
    error: TargetError | None = None

    def serves(self, now: datetime) -> bool:
        """Whether it need not be listed again; a failure holds for all who ask at the same moment."""
        return self.asked == now or (self.error is None and self.is_younger(now, MAX_AGE))

    def is_younger(self, now: datetime, age: timedelta) -> bool:
        return self.taken is not None and timedelta(0) <= now - self.taken < age


class GroupOwners:
    """`Owners` of Auto Scaling groups."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._snapshots: dict[AwsAccess, _Snapshot] = {}
        self._listing: defaultdict[AwsAccess, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def owner(
        self,
        namespace: str,  # noqa: ARG002  # it is in none
        ref: GroupRef,
        now: datetime,
        *,
        generation: int = 0,  # noqa: ARG002  # AWS tells who owns it, whoever asks
    ) -> Owner | None:
        """The other autoscaler, or None. Raises TargetError when it cannot be known."""
        async with self._listing[ref.access]:
            snapshot = self._snapshots.get(ref.access)
            if snapshot is None or not snapshot.serves(now):
                snapshot = self._snapshots[ref.access] = await self._asked(ref.access, now, snapshot)
        if snapshot.error:
            raise TargetError(snapshot.error.reason, f"{words(ref)}: {snapshot.error}")
        told = _told(ref, await self._groups.recent(ref, MAX_AGE.total_seconds()), snapshot)
        return None if told is None else Owner(words=told)

    async def _asked(self, access: AwsAccess, now: datetime, before: _Snapshot | None) -> _Snapshot:
        action = "DescribePolicies"
        try:
            policies = await self._listed(access, "describe_policies", "ScalingPolicies", _policy)
            action = "DescribeScheduledActions"
            actions = await self._listed(access, "describe_scheduled_actions", "ScheduledUpdateGroupActions", _action)
        except AwsError as error:
            is_passing = isinstance(error, ThrottledError | UnavailableError)
            if before is not None and is_passing and before.is_younger(now, STALE_AGE):
                return replace(before, asked=now, error=None)
            problem = failed("cannot see whether another autoscaler owns the target", action, error)
            return replace(before or _Snapshot(asked=now), asked=now, error=problem)
        return _Snapshot(asked=now, taken=now, policies=policies, actions=actions)

    async def _listed(
        self, access: AwsAccess, operation: str, key: str, read: Callable[[Json], _One | None]
    ) -> dict[str, list[_One]]:
        """By group."""
        found: defaultdict[str, list[_One]] = defaultdict(list)
        async for page in self._groups.aws.pages(access, SERVICE, operation, MaxRecords=PAGE):
            for raw in page[key]:
                one = read(raw)
                if one is not None:
                    found[raw["AutoScalingGroupName"]].append(one)
        return dict(found)


def _policy(raw: Json) -> _Policy | None:
    """None where it is not in force; a predictive one that only forecasts sets nothing."""
    mode = (raw.get("PredictiveScalingConfiguration") or {}).get("Mode", "ForecastOnly")
    if not raw.get("Enabled", True) or (raw["PolicyType"] == _PREDICTIVE and mode == "ForecastOnly"):
        return None
    return _Policy(name=raw["PolicyName"], kind=raw["PolicyType"])


def _action(raw: Json) -> _Action:
    return _Action(
        name=raw["ScheduledActionName"],
        sets_desired=raw.get("DesiredCapacity") is not None,
        sets_lowest=raw.get("MinSize") is not None,
    )


def _told(ref: GroupRef, group: Group, snapshot: _Snapshot) -> str | None:
    """All owners in words, the first by name."""
    is_floor = ref.capacity is CapacityField.FLOOR
    owners = list(_of_floor(group, snapshot) if is_floor else _of_desired(group, snapshot))
    if not owners:
        return None
    told = f"{owners[0]} and {len(owners) - 1} more" if len(owners) > 1 else owners[0]
    if is_floor or group.operator:
        return told
    cure = "remove the tag where none runs; " if owners[0] == _CLUSTER_AUTOSCALER else ""
    return f"{told} ({cure}capacity: Floor may live beside it)"


def _of_desired(group: Group, snapshot: _Snapshot) -> Iterator[str]:
    yield from _operator(group)
    for policy in snapshot.policies.get(group.name, ()):
        if policy.kind == _PREDICTIVE or "AlarmNotification" not in group.suspended:
            yield f'{_KINDS.get(policy.kind, policy.kind)} "{policy.name}"'
    for action in _running(group, snapshot):
        if action.sets_desired:
            yield f'scheduled action "{action.name}"'
    if group.tags.get(TAG, "false").lower() != "false":
        yield _CLUSTER_AUTOSCALER


def _of_floor(group: Group, snapshot: _Snapshot) -> Iterator[str]:
    yield from _operator(group)
    for action in _running(group, snapshot):
        if action.sets_lowest:
            yield f'scheduled action "{action.name}", by its MinSize,'


def _operator(group: Group) -> Iterator[str]:
    """AWS lets nobody else change a group that a service of its own operates."""
    if group.operator:
        yield f"{group.operator}, which alone may change this group,"


def _running(group: Group, snapshot: _Snapshot) -> Sequence[_Action]:
    return () if "ScheduledActions" in group.suspended else snapshot.actions.get(group.name, ())
