"""What does AWS tell of an Auto Scaling group? Asked for many groups at once, a hundred a call.

Reads that come within a moment of one another are one question for each region and role. The last answer is held for
whoever needs no newer one: the owners, the lead times. It must not decide anything.

Facts, from the service model of the SDK (2026-11): a describe takes 100 names only with MaxRecords=100; a group that
does not exist is left out of the answer; a group whose deletion has begun has a Status; WeightedCapacity is text.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any, TypeAlias

from controller.aws import (
    Aws,
    AwsError,
    CredentialsError,
    DeniedError,
    MissingError,
    RefusedError,
    ThrottledError,
)
from controller.aws_spec import AwsAccess, GroupRef
from controller.ports import TargetError, TargetReason

Json = Mapping[str, Any]
Monotonic = Callable[[], float]

SERVICE = "autoscaling"
PAGE = 100
"""Records a call, of every describe here: the most that AWS allows."""

LINGER_SECONDS = 0.005
"""So long a read waits for others: those of one tick come at once."""

KEEP_SECONDS = 600.0
"""A group that nobody asked for in so long is no longer held."""

DELETING = "Delete in progress"
UNITS = "units"

_Place = tuple[AwsAccess, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One of a group. `weight`: its units of capacity, None where AWS tells none. `template`: what it was made from."""

    id: str
    state: str
    is_healthy: bool = True
    weight: int | None = None
    template: str = ""

    @property
    def serves(self) -> bool:
        """Whether it is in service and not about to be replaced."""
        return self.state == "InService" and self.is_healthy

    @property
    def starts(self) -> bool:
        """Whether it is on its way into service."""
        return self.state.startswith("Pending")

    @property
    def ends(self) -> bool:
        """Whether it is on its way out."""
        return self.state.startswith(("Terminating", "Detaching", "EnteringStandby"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What was told at `at`, seconds of a monotonic clock.

    `desired`, `lowest`, `highest`: DesiredCapacity, MinSize and MaxSize, in `unit`. `predicted`: by AWS's predictive
    scaling, None without. `warm`: instances in its warm pool, None without a pool. `warmup`: DefaultInstanceWarmup.
    `suspended`: process -> why. `operator`: the AWS service that manages it, or empty. `mixes_templates`: whether its
    instances are made from several launch templates by intention.
    """

    name: str
    at: float
    desired: int
    lowest: int
    highest: int
    predicted: int | None = None
    warm: int | None = None
    warmup: timedelta = timedelta(0)
    status: str = ""
    unit: str = UNITS
    operator: str = ""
    mixes_templates: bool = False
    suspended: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    instances: tuple[Instance, ...] = ()

    @property
    def ready(self) -> int | None:
        """Units of capacity in service; None where the unit is another than AWS tells of its instances.

        An instance without a weight is one unit: AWS gives weights where the group's policy has some.
        """
        serving = [one for one in self.instances if one.serves]
        if self.unit != UNITS and any(one.weight is None for one in serving):
            return None
        return sum(1 if one.weight is None else one.weight for one in serving)

    @property
    def version(self) -> str:
        """Changes with its sizes and with its instances."""
        told = (self.desired, self.lowest, self.highest, sorted((one.id, one.state) for one in self.instances))
        return sha256(repr(told).encode()).hexdigest()[:16]


_Answers: TypeAlias = dict[str, Group | AwsError]
"""By name; a group that does not exist has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Names that are asked for together, until it is asked."""

    names: set[str]
    answers: asyncio.Task[_Answers]


class Groups:
    """Reads groups. `clock`: monotonic, seconds."""

    def __init__(self, aws: Aws, *, clock: Monotonic = time.monotonic) -> None:
        self.aws = aws
        self.clock = clock
        self._batches: dict[AwsAccess, _Batch] = {}
        self._held: dict[_Place, Group] = {}

    async def read(self, ref: GroupRef) -> Group:
        """The group now. Raises TargetError; NOT_FOUND also for one that is being deleted."""
        batch = self._batches.get(ref.access) or self._begin(ref.access)
        batch.names.add(ref.name)
        found = (await asyncio.shield(batch.answers)).get(ref.name)
        if found is None:
            raise TargetError(TargetReason.NOT_FOUND, f"{words(ref)} does not exist; create it or correct targetRef")
        if isinstance(found, AwsError):
            raise failed(words(ref), "DescribeAutoScalingGroups", found) from found
        if found.status == DELETING:
            raise TargetError(TargetReason.NOT_FOUND, f"{words(ref)} is being deleted; correct targetRef")
        return found

    async def recent(self, ref: GroupRef, max_age: float) -> Group:
        """As it was at most `max_age` seconds ago. Raises TargetError."""
        held = self.held(ref)
        if held is not None and self.clock() - held.at <= max_age:
            return held
        return await self.read(ref)

    def held(self, ref: GroupRef) -> Group | None:
        """As it was read last, if it was and is still there."""
        return self._held.get((ref.access, ref.name))

    def _begin(self, access: AwsAccess) -> _Batch:
        names: set[str] = set()
        answers = asyncio.create_task(self._answered(access, names))
        batch = self._batches[access] = _Batch(names=names, answers=answers)
        return batch

    async def _answered(self, access: AwsAccess, wanted: set[str]) -> _Answers:
        await asyncio.sleep(LINGER_SECONDS)
        del self._batches[access]
        names = sorted(wanted)
        parts = [names[start : start + PAGE] for start in range(0, len(names), PAGE)]
        found = await asyncio.gather(*(self._described(access, part) for part in parts))
        answers = {name: one for part in found for name, one in part.items()}
        self._hold(access, names, answers)
        return answers

    async def _described(self, access: AwsAccess, names: Sequence[str]) -> _Answers:
        asked = self.clock()
        pages = self.aws.pages(
            access, SERVICE, "describe_auto_scaling_groups", AutoScalingGroupNames=names, MaxRecords=PAGE
        )
        try:
            return {raw["AutoScalingGroupName"]: _group(raw, asked) async for page in pages for raw in _groups(page)}
        except AwsError as error:
            return dict.fromkeys(names, error)

    def _hold(self, access: AwsAccess, names: Iterable[str], answers: _Answers) -> None:
        """A failed read leaves what is held as it is; a group that is gone is no longer held."""
        for name in names:
            found = answers.get(name)
            if isinstance(found, Group):
                self._held[access, name] = found
            elif found is None:
                self._held.pop((access, name), None)
        oldest = self.clock() - KEEP_SECONDS
        self._held = {place: group for place, group in self._held.items() if group.at >= oldest}


def words(ref: GroupRef) -> str:
    """The group, as a user knows it."""
    return f'{ref.kind} "{ref.name}" in {ref.access.region}'


def failed(what: str, action: str, error: AwsError) -> TargetError:
    """What a call of `action` about `what` came to, with its cure."""
    match error:
        case DeniedError():
            reason, cure = TargetReason.FORBIDDEN, f"grant {SERVICE}:{action} to the controller's role in IAM"
        case CredentialsError():
            reason, cure = TargetReason.UNAUTHORIZED, "correct the controller's credentials or targetRef.roleArn"
        case ThrottledError():
            reason, cure = TargetReason.THROTTLED, "AWS takes fewer calls than are made; the next tick tries again"
        case MissingError():
            reason, cure = TargetReason.NOT_FOUND, "correct targetRef"
        case RefusedError():
            reason, cure = TargetReason.NOT_SCALABLE, "correct targetRef or the group"
        case _:
            reason, cure = TargetReason.UNAVAILABLE, "the next tick tries again; is targetRef.region right?"
    return TargetError(reason, f"{what}: {cure} ({error})")


def _groups(page: Json) -> Sequence[Json]:
    found: Sequence[Json] = page["AutoScalingGroups"]
    return found


def _group(raw: Json, at: float) -> Group:
    return Group(
        name=raw["AutoScalingGroupName"],
        at=at,
        desired=raw["DesiredCapacity"],
        lowest=raw["MinSize"],
        highest=raw["MaxSize"],
        predicted=raw.get("PredictedCapacity"),
        warm=raw.get("WarmPoolSize", 0) if raw.get("WarmPoolConfiguration") else None,
        warmup=timedelta(seconds=max(0, raw.get("DefaultInstanceWarmup") or 0)),  # -1 takes it away
        status=raw.get("Status", ""),
        unit=raw.get("DesiredCapacityType") or UNITS,
        operator=(raw.get("Operator") or {}).get("Principal", ""),
        mixes_templates=_mixes_templates(raw),
        suspended={one["ProcessName"]: one.get("SuspensionReason", "") for one in raw.get("SuspendedProcesses", ())},
        tags={one["Key"]: one.get("Value", "") for one in raw.get("Tags", ())},
        instances=tuple(_instance(one) for one in raw.get("Instances", ())),
    )


def _instance(raw: Json) -> Instance:
    weight = raw.get("WeightedCapacity")
    return Instance(
        id=raw["InstanceId"],
        state=raw["LifecycleState"],
        is_healthy=raw.get("HealthStatus", "Healthy") != "Unhealthy",
        weight=None if weight is None else int(weight),
        template=_template(raw),
    )


def _template(raw: Json) -> str:
    """The launch template and its version, as AWS resolved it; or the launch configuration, which never changes."""
    template = raw.get("LaunchTemplate") or {}
    name = template.get("LaunchTemplateId") or template.get("LaunchTemplateName")
    return f"{name}:{template.get('Version', '')}" if name else str(raw.get("LaunchConfigurationName", ""))


def _mixes_templates(raw: Json) -> bool:
    overrides = (raw.get("MixedInstancesPolicy") or {}).get("LaunchTemplate", {}).get("Overrides", ())
    return any(one.get("LaunchTemplateSpecification") for one in overrides)
