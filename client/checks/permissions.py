"""Which permissions at AWS are missing for an Auto Scaling group? Each read is tried; a write only when asked to.

Neither CloudWatch nor Auto Scaling has a dry run, so the calls are real ones: reads that cost nothing, and as a write
the size that the group has already. CloudWatch's one action is tried by reading the metric.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from client.checks.finding import Findings, failed, ok, skipped
from client.checks.tools import Tools
from controller.aws import AwsError, CredentialsError, DeniedError, ThrottledError, UnavailableError
from controller.aws_spec import CapacityField, GroupRef
from controller.ports import TargetError, TargetReason
from controller.targets.asg import GroupTarget
from controller.targets.asg_groups import SERVICE

CHECK = "permissions"
WRITE = "write"
READS = {
    "DescribeAutoScalingGroups": "describe_auto_scaling_groups",
    "DescribePolicies": "describe_policies",
    "DescribeScheduledActions": "describe_scheduled_actions",
    "DescribeScalingActivities": "describe_scaling_activities",
}
"""IAM's action and the SDK's operation, of all that the controller reads of groups."""

WRITES = {CapacityField.DESIRED: "SetDesiredCapacity", CapacityField.FLOOR: "UpdateAutoScalingGroup"}
FILES = {
    CapacityField.DESIRED: "manifests/aws/policy-asg-desired.json",
    CapacityField.FLOOR: "manifests/aws/policy-asg-floor.json",
}
_FIELDS = {CapacityField.DESIRED: "DesiredCapacity", CapacityField.FLOOR: "MinSize"}


async def permissions(ref: GroupRef, tools: Tools) -> Findings:
    """Which reads are allowed, all missing ones at once. AWS looks at rights first: what it refuses, it allows."""
    answers = await asyncio.gather(*(_tried(ref, operation, tools) for operation in READS.values()))
    found = dict(zip(READS, answers, strict=True))
    denied = [f"{SERVICE}:{action}" for action, error in found.items() if isinstance(error, DeniedError)]
    if denied:
        cure = f"allow what {FILES[ref.capacity]} has"
        return failed(CHECK, f"AWS denies {', '.join(denied)}; {cure} ({_first(found, DeniedError)})")
    if _first(found, CredentialsError):
        return skipped(CHECK, "AWS knows nobody here: see identity")
    other = _first(found, UnavailableError) or _first(found, ThrottledError)
    if other is not None:
        return failed(CHECK, f"not found out: {other}")
    return ok(CHECK, f"AWS allows {SERVICE}:{', '.join(found)}")


async def write(ref: GroupRef, namespace: str, tools: Tools) -> Findings:
    """Whether the size may be set: it is set to what it is, and read again."""
    action = f"{SERVICE}:{WRITES[ref.capacity]}"
    if not tools.writes:
        return skipped(WRITE, f"{action} was not tried; --write-check sets the size that is there")
    target, field = GroupTarget(tools.groups), _FIELDS[ref.capacity]
    try:
        before = await target.read(namespace, ref)
        await target.write(namespace, ref, before, before.replicas)
        after = await target.read(namespace, ref)
    except TargetError as error:
        return failed(WRITE, _refused(error, ref))
    if after.replicas != before.replicas:
        changed = f"was changed from {before.replicas} to {after.replicas} meanwhile, by somebody else"
        return failed(WRITE, f"{field} {changed}; run this again")
    return ok(WRITE, f"AWS allows {action}: {field} was set to {before.replicas}, as it was, and is {after.replicas}")


async def _tried(ref: GroupRef, operation: str, tools: Tools) -> AwsError | None:
    """Of the group's own, one record; DescribeAutoScalingGroups alone takes several names."""
    is_many = operation == READS["DescribeAutoScalingGroups"]
    names: Mapping[str, Any] = {"AutoScalingGroupNames": [ref.name]} if is_many else {"AutoScalingGroupName": ref.name}
    try:
        await tools.aws.call(ref.access, SERVICE, operation, MaxRecords=1, **names)
    except AwsError as error:
        return error
    return None


def _first(found: Mapping[str, AwsError | None], kind: type[AwsError]) -> AwsError | None:
    return next((error for error in found.values() if isinstance(error, kind)), None)


def _refused(error: TargetError, ref: GroupRef) -> str:
    if error.reason == TargetReason.FORBIDDEN:
        return f"{error}; {FILES[ref.capacity]} allows it"
    return str(error)
