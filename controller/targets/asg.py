"""How large is an Auto Scaling group, and how is it made larger? By its desired capacity, or by the floor under it.

`Desired` sets DesiredCapacity (HonorCooldown=False) within the group's own bounds. `Floor` sets MinSize and leaves the
rest to whatever else scales the group; AWS itself raises DesiredCapacity to a MinSize above it. It must not decide
anything.

AWS has no write on condition, and a describe may show a group as it was before a write ("eventual consistency"):

- A write is made on what was read at most BELIEVED_SECONDS ago; else the group is read again, and a size that is
  another than the decision was made on is a conflict, left to the next tick.
- For SETTLE_SECONDS after a write of our own, a describe that shows the size from before it is no news: the size that
  was written stands. Any other size is somebody's, and is believed at once. So who sets a group back to exactly the
  size from before is heard half a minute late; without this rule every late answer would be scaled on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from controller.aws import AwsError, RefusedError
from controller.aws_spec import CapacityField, GroupRef
from controller.ports import TargetError, TargetReason, TargetState
from controller.targets.asg_groups import SERVICE, UNITS, Group, Groups, Json, failed, words

BELIEVED_SECONDS = 5.0
"""A tick reads and writes within less, unless AWS is slow."""

SETTLE_SECONDS = 30.0
"""So long after a write a describe may be older than it."""

_DESIRED = ("set_desired_capacity", "SetDesiredCapacity", "DesiredCapacity")
_FLOOR = ("update_auto_scaling_group", "UpdateAutoScalingGroup", "MinSize")
"""The SDK's operation, IAM's action, the field."""

_BUSY = frozenset({"ScalingActivityInProgress", "ResourceContention"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Write:
    """One of our own, `at` seconds of the monotonic clock."""

    before: int
    after: int
    at: float


class _Believed:
    """The size of one group, by what AWS shows of it and what was written."""

    def __init__(self) -> None:
        self._writes: list[_Write] = []

    def wrote(self, before: int, after: int, now: float) -> None:
        """Take in a write that AWS took."""
        self._writes.append(_Write(before=before, after=after, at=now))

    def size(self, shown: int, now: float) -> int:
        """The size that was written last where AWS may still show an older one; else what it shows."""
        self._writes = [write for write in self._writes if now - write.at < SETTLE_SECONDS]
        if not self._writes:
            return shown
        last = self._writes[-1].after
        if shown == last or shown in {write.before for write in self._writes}:
            return last
        self._writes = []  # somebody else has set it since
        return shown


class GroupTarget:
    """A `Target` for Auto Scaling groups; replicas are units of capacity."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._believed: defaultdict[GroupRef, _Believed] = defaultdict(_Believed)

    async def read(self, namespace: str, ref: GroupRef) -> TargetState:  # noqa: ARG002  # a group is in no namespace
        """The size that is set at present. Raises TargetError."""
        return self._state(ref, await self._groups.read(ref))

    async def write(
        self,
        namespace: str,  # noqa: ARG002  # a group is in no namespace
        ref: GroupRef,
        state: TargetState,
        replicas: int,
    ) -> None:
        """Set the size to `replicas`, if it is still that of `state`. Raises TargetError."""
        group = await self._groups.recent(ref, BELIEVED_SECONDS)
        found = self._state(ref, group)
        if found.replicas != state.replicas:
            changed = f"was changed from {state.replicas} to {found.replicas} by somebody else meanwhile"
            raise TargetError(TargetReason.CONFLICT, f"{words(ref)} {changed}")
        _refuse_beyond(ref, found, replicas)
        _refuse_suspended(ref, group, found.replicas, replicas)
        await self._ask(ref, found, replicas)
        self._believed[ref].wrote(found.replicas, replicas, self._groups.clock())

    def _state(self, ref: GroupRef, group: Group) -> TargetState:
        shown = _shown(ref, group)
        replicas = self._believed[ref].size(shown, self._groups.clock())
        return TargetState(
            replicas=replicas,
            resource_version=group.version,
            lowest=group.lowest if ref.capacity is CapacityField.DESIRED else None,
            highest=group.highest,
            ready=group.ready,
            warm=group.warm,
            note="; ".join(_notes(group, shown, replicas)),
        )

    async def _ask(self, ref: GroupRef, found: TargetState, replicas: int) -> None:
        is_floor = ref.capacity is CapacityField.FLOOR
        operation, action, size = _FLOOR if is_floor else _DESIRED
        wanted: Json = {size: replicas} if is_floor else {size: replicas, "HonorCooldown": False}
        try:
            await self._groups.aws.change(ref.access, SERVICE, operation, AutoScalingGroupName=ref.name, **wanted)
        except AwsError as error:
            if error.code in _BUSY:
                busy = f"{words(ref)} is busy with another activity; the next tick tries again ({error})"
                raise TargetError(TargetReason.CONFLICT, busy) from error
            if isinstance(error, RefusedError):
                await self._refuse_moved(ref, found, replicas)
            raise failed(words(ref), action, error) from error

    async def _refuse_moved(self, ref: GroupRef, found: TargetState, replicas: int) -> None:
        """AWS has one code for all that it refuses; so the group says whether it is gone or its bounds were moved."""
        group = await self._groups.read(ref)
        now = self._state(ref, group)
        if (now.lowest, now.highest) != (found.lowest, found.highest):
            moved = f"MinSize and MaxSize were changed meanwhile, to {group.lowest} and {group.highest}"
            raise TargetError(TargetReason.CONFLICT, f"{words(ref)}: {replicas} is refused; {moved}")


def _shown(ref: GroupRef, group: Group) -> int:
    """0 is a group that somebody switched off; one that runs without a floor has the lowest there is."""
    if ref.capacity is CapacityField.DESIRED:
        return group.desired
    return group.lowest or min(group.desired, 1)


def _refuse_beyond(ref: GroupRef, found: TargetState, replicas: int) -> None:
    if found.highest is not None and replicas > found.highest:
        cure = "raise it, or lower spec.maxReplicas"
        raise TargetError(
            TargetReason.NOT_SCALABLE, f"{words(ref)}: {replicas} is above the group's MaxSize, {found.highest}; {cure}"
        )
    if found.lowest is not None and replicas < found.lowest:
        cure = "lower it, or raise spec.minReplicas"
        raise TargetError(
            TargetReason.NOT_SCALABLE, f"{words(ref)}: {replicas} is below the group's MinSize, {found.lowest}; {cure}"
        )


def _refuse_suspended(ref: GroupRef, group: Group, before: int, after: int) -> None:
    """A size that AWS would take and not follow. A lower floor ends nothing, so Terminate does not matter to it."""
    process = "Launch" if after > before else "Terminate"
    is_blocked = after > before or ref.capacity is CapacityField.DESIRED
    if is_blocked and process in group.suspended:
        why = group.suspended[process]
        told = f"its process {process} is suspended{f' ({why})' if why else ''}"
        raise TargetError(
            TargetReason.SUSPENDED,
            f"{words(ref)} cannot go from {before} to {after}: {told}; resume it "
            f"(aws autoscaling resume-processes --scaling-processes {process})",
        )


def _notes(group: Group, shown: int, replicas: int) -> Iterator[str]:
    """What a user should know of the group's state, in words."""
    for count, doing in (
        (sum(one.starts for one in group.instances), "starting"),
        (sum(one.ends for one in group.instances), "ending"),
        (sum(not one.is_healthy for one in group.instances), "unhealthy"),
    ):
        if count:
            yield f"{count} {'instance' if count == 1 else 'instances'} {doing}"
    if group.suspended:
        yield f"suspended: {', '.join(sorted(group.suspended))}"
    if group.predicted is not None:
        yield f"AWS predicts {group.predicted}"
    if group.unit != UNITS:
        yield f"its capacity counts in {group.unit}"
    if shown != replicas:
        yield f"AWS still shows {shown}"
