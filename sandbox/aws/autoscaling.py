"""How does an Auto Scaling group behave here? As moto's, which forgives, but with bounds, time, activities and weights.

The facts are of the documentation of EC2 Auto Scaling: a new instance is Pending until it is in service and counts
towards the desired capacity from the start; a suspended Launch or Terminate leaves the capacity asked for unmet; a
capacity beyond the group's own bounds is refused; what a warm pool holds serves sooner and counts apart.
Left out: lifecycle hooks, instance refresh, forecasts of predictive policies, policies that act by themselves.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from moto.autoscaling import models, urls
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.moto_api._internal import mock_random

from sandbox.aws.settings import SETTINGS

LAUNCH, TERMINATE = "Launch", "Terminate"
PENDING, IN_SERVICE, TERMINATING = "Pending", "InService", "Terminating"
WARM_PENDING = "Warmed:Pending"
IN_PROGRESS, SUCCESSFUL, FAILED, CANCELLED = "InProgress", "Successful", "Failed", "Cancelled"
PRE_IN_SERVICE = "PreInService"
DELETING = "Delete in progress"
DEFAULT_RECORDS, MOST_RECORDS = 50, 100
T = TypeVar("T")
_Size = tuple[int | None, int | None, int | None]
"""Desired, least, most."""


class ScalingActivityInProgress(AutoscalingClientError):  # noqa: N818 - named after AWS's code
    """The cooldown that the caller wanted honoured is not over."""

    code = "ScalingActivityInProgress"


class ResourceInUse(AutoscalingClientError):  # noqa: N818 - named after AWS's code
    """A group that has instances is deleted by force only."""

    code = "ResourceInUse"


@dataclass(slots=True, kw_only=True)
class Activity:
    """A scaling activity; `end` is when it is over, also while that is to come. The names are AWS's, for moto."""

    activity_id: str
    auto_scaling_group_name: str
    auto_scaling_group_arn: str
    description: str
    cause: str
    start_time: datetime
    end: datetime
    underway: str
    failure: str = ""
    is_cancelled: bool = False
    details: str = "{}"

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return SETTINGS.clock() >= self.end

    @property
    def end_time(self) -> datetime | None:
        """When it ended; None while it goes on."""
        return self.end if self.is_over else None

    @property
    def status_code(self) -> str:
        """AWS's word for how it goes."""
        if self.is_cancelled:
            return CANCELLED
        return FAILED if self.failure else SUCCESSFUL if self.is_over else self.underway

    def cancel(self) -> None:
        """End it now, if it goes on."""
        if not self.is_over:
            self.end, self.is_cancelled = SETTINGS.clock(), True

    @property
    def status_message(self) -> str | None:
        """Why it failed."""
        return self.failure or None

    @property
    def progress(self) -> int:
        """Percent."""
        return 100 if self.is_over else 30


class Instance(models.InstanceState):
    """An instance of a group, which changes its state by the clock alone."""

    def __init__(self, instance: Any, lifecycle_state: str = IN_SERVICE, **kwargs: Any) -> None:  # noqa: ANN401 - moto's
        self.until: datetime | None = None
        self.then = ""
        super().__init__(instance, lifecycle_state, **kwargs)
        self.weighted_capacity: str | None = self.auto_scaling_group.weight_text

    @property
    def lifecycle_state(self) -> str:
        """AWS's word for what it does now."""
        return self._state if self.until is None or SETTINGS.clock() < self.until else self.then

    @lifecycle_state.setter
    def lifecycle_state(self, state: str) -> None:
        self._state, self.until = state, None

    def turn(self, state: str, seconds: float, then: str) -> datetime:
        """Be in `state` for that long, `then` in another; when that is."""
        self._state, self.then = state, then
        self.until = SETTINGS.clock() + timedelta(seconds=seconds)
        return self.until


class Group(models.FakeAutoScalingGroup):
    """A group that fills itself when it is told to, as far as its suspended processes let it."""

    status: str | None = None
    default_instance_warmup: int | None = None
    desired_capacity_type: str | None = None
    predicted_capacity: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - moto's
        self.activities: list[Activity] = []
        self.warm_instances: list[Instance] = []
        self.warm_pool = None
        self.deleted_at: datetime | None = None
        self._sizes: list[tuple[datetime, _Size]] = []
        super().__init__(*args, **kwargs)

    @property
    def weight_text(self) -> str | None:
        """What one of its instances counts for, as AWS tells it; None in a group without weights."""
        template = (self.mixed_instances_policy or {}).get("LaunchTemplate", {})
        weights = [one["WeightedCapacity"] for one in template.get("Overrides", ()) if "WeightedCapacity" in one]
        return weights[0] if weights else None

    @property
    def warm_pool_size(self) -> int | None:
        """How many instances wait, for AWS's answer."""
        return len(self.warm_instances) if self.warm_pool else None

    def set_desired_capacity(self, new_capacity: int | None) -> None:
        """Take the capacity and launch or terminate for it."""
        self.desired_capacity = self.min_size if new_capacity is None else new_capacity
        self.fill()

    def fill(self) -> None:
        """Launch or terminate until the instances make up the desired capacity."""
        self._sizes.append((SETTINGS.clock(), (self.desired_capacity, self.min_size, self.max_size)))
        self._sweep()
        members = [one for one in self.instance_states if one.lifecycle_state in {PENDING, IN_SERVICE}]
        lacking = math.ceil((self.desired_capacity or 0) / int(self.weight_text or 1)) - len(members)
        if lacking > 0 and LAUNCH not in self._suspended_processes:
            self._grow(lacking)
        if lacking < 0 and TERMINATE not in self._suspended_processes:
            self._shrink(members, -lacking)
        self.fill_warm_pool()
        if self.name in self.autoscaling_backend.autoscaling_groups:
            self.autoscaling_backend.update_attached_elbs(self.name)
            self.autoscaling_backend.update_attached_target_groups(self.name)

    def seen(self) -> Group:
        """The group as a describe shows it: its size may be from a while ago, "eventual consistency"."""
        self.fill_warm_pool()
        self._sweep()
        until = SETTINGS.clock() - timedelta(seconds=SETTINGS.describe_lag)
        old = [size for time, size in self._sizes if time <= until] or [self._sizes[0][1]]
        shown = copy.copy(self)
        shown.desired_capacity, shown.min_size, shown.max_size = old[-1]
        return shown

    def fill_warm_pool(self) -> None:
        """Have as many instances wait as the pool's configuration says."""
        pool = self.warm_pool
        if pool is None or LAUNCH in self._suspended_processes or SETTINGS.launch_failure:
            return
        most = pool.max_group_prepared_capacity
        prepared = (self.max_size if most is None else most) or 0
        lacking = max(prepared - (self.desired_capacity or 0), pool.min_size or 0) - len(self.warm_instances)
        for one in self._launched(lacking) if lacking > 0 else ():
            until = one.turn(WARM_PENDING, SETTINGS.launch, f"Warmed:{pool.pool_state}")
            self.warm_instances.append(one)
            self._record(f"Launching a new EC2 instance into warm pool: {one.instance_id}", until, PRE_IN_SERVICE)

    def drop_warm_pool(self) -> None:
        """End what waits."""
        self._end(self.warm_instances)
        self.warm_instances = []
        self.warm_pool = None

    def empty(self) -> None:
        """End everything at once, as a deletion by force does."""
        self._end([*self.instance_states, *self.warm_instances])
        self.instance_states, self.warm_instances = [], []

    def _grow(self, count: int) -> None:
        if SETTINGS.launch_failure:
            self._record("Launching a new EC2 instance", SETTINGS.clock(), IN_PROGRESS, SETTINGS.launch_failure)
            return
        ready = [one for one in self.warm_instances if one.lifecycle_state != WARM_PENDING][:count]
        self.warm_instances = [one for one in self.warm_instances if one not in ready]
        launched = [(one, SETTINGS.warm_launch, " from warm pool") for one in ready]
        cold = self._launched(count - len(ready)) if count > len(ready) else []
        launched += [(one, SETTINGS.launch, "") for one in cold]
        for one, seconds, whence in launched:
            until = one.turn(PENDING, seconds, IN_SERVICE)
            self.instance_states.append(one)
            self._record(f"Launching a new EC2 instance{whence}: {one.instance_id}", until, PRE_IN_SERVICE)

    def _launched(self, count: int) -> list[Instance]:
        """New instances, which are not of the group yet."""
        before, self.instance_states = self.instance_states, []
        try:
            self.replace_autoscaling_group_instances(count, self.get_propagated_tags())
            return [one for one in self.instance_states if isinstance(one, Instance)]
        finally:
            self.instance_states = before

    def _shrink(self, members: Sequence[models.InstanceState], count: int) -> None:
        free = [one for one in members if not one.protected_from_scale_in and isinstance(one, Instance)]
        free.sort(key=lambda one: one.lifecycle_state != PENDING)  # what does not serve yet goes first
        for one in free[:count]:
            for launch in self.activities:
                if launch.description.endswith(one.instance_id):
                    launch.cancel()
            until = one.turn(TERMINATING, SETTINGS.terminate, "Terminated")
            self._record(f"Terminating EC2 instance: {one.instance_id}", until, IN_PROGRESS)
        self._sweep()

    def _sweep(self) -> None:
        """Let go of instances that are terminated by now."""
        gone = [one for one in self.instance_states if one.lifecycle_state == "Terminated"]
        self._end(gone)
        self.instance_states = [one for one in self.instance_states if one not in gone]

    def _end(self, instances: Iterable[models.InstanceState]) -> None:
        ids = [one.instance_id for one in instances]
        if ids:
            self.autoscaling_backend.ec2_backend.terminate_instances(ids)

    def _record(self, description: str, end: datetime, underway: str, failure: str = "") -> None:
        now = SETTINGS.clock()
        activity = Activity(
            activity_id=str(mock_random.uuid4()),
            auto_scaling_group_name=self.name,
            auto_scaling_group_arn=self.arn,
            description=description,
            cause=f"At {now:%Y-%m-%dT%H:%M:%SZ} the desired capacity was {self.desired_capacity}.",
            start_time=now,
            end=end,
            underway=underway,
            failure=failure,
        )
        self.activities.append(activity)


def install() -> None:
    """Have moto's server answer Auto Scaling by this file."""
    for name, kind in {"FakeAutoScalingGroup": Group, "InstanceState": Instance}.items():
        setattr(models, name, kind)
    urls.url_paths = dict.fromkeys(urls.url_paths, AutoScaling.dispatch)


class AutoScaling(AutoScalingResponse):
    """moto's Auto Scaling, stricter."""

    def create_auto_scaling_group(self) -> ActionResult:
        """CreateAutoScalingGroup."""
        given = self._get_params()
        name = given["AutoScalingGroupName"]
        if name in self._groups():
            raise AlreadyExists(f"AutoScalingGroup by this name already exists - A group by the name {name} exists")
        least, most = int(given["MinSize"]), int(given["MaxSize"])
        desired = given.get("DesiredCapacity")
        _check_bounds(least if desired is None else int(desired), least, most)
        answer = super().create_auto_scaling_group()
        self._keep(self._group(), given)
        return answer

    def update_auto_scaling_group(self) -> ActionResult:
        """UpdateAutoScalingGroup."""
        group, given = self._group(), self._get_params()
        least, most = _int(given, "MinSize", group.min_size), _int(given, "MaxSize", group.max_size)
        if least > most:
            raise ValidationError(f"Min bound, {least}, must be less than or equal to max bound, {most}.")
        asked = given.get("DesiredCapacity")
        desired = max(least, min(most, group.desired_capacity or 0)) if asked is None else int(asked)
        _check_bounds(desired, least, most)
        self.autoscaling_backend.update_auto_scaling_group(
            name=group.name,
            availability_zones=given.get("AvailabilityZones", []),
            desired_capacity=desired,
            max_size=most,
            min_size=least,
            launch_config_name=given.get("LaunchConfigurationName"),  # type: ignore[arg-type]
            launch_template=given.get("LaunchTemplate", {}),
            vpc_zone_identifier=given.get("VPCZoneIdentifier"),  # type: ignore[arg-type]
            health_check_period=given.get("HealthCheckGracePeriod"),  # type: ignore[arg-type]
            health_check_type=given.get("HealthCheckType"),  # type: ignore[arg-type]
            new_instances_protected_from_scale_in=given.get("NewInstancesProtectedFromScaleIn"),
            mixed_instances_policy=given.get("MixedInstancesPolicy", _given_again(group)),
        )
        self._keep(group, given)
        return EmptyResult()

    def set_desired_capacity(self) -> ActionResult:
        """SetDesiredCapacity."""
        group, given = self._group(), self._get_params()
        desired = int(given["DesiredCapacity"])
        for bound, words, is_beyond in (
            (group.max_size, "above max", desired > (group.max_size or 0)),
            (group.min_size, "below min", desired < (group.min_size or 0)),
        ):
            if is_beyond:
                said = f"New SetDesiredCapacity value {desired} is {words} value {bound} for the AutoScalingGroup."
                raise ValidationError(said)
        if given.get("HonorCooldown") and _is_cooling(group):
            raise ScalingActivityInProgress(f"Scaling activity is in progress and blocks this action ({group.name}).")
        group.set_desired_capacity(desired)
        return EmptyResult()

    def describe_auto_scaling_groups(self) -> ActionResult:
        """DescribeAutoScalingGroups."""
        given = self._get_params()
        names = given.get("AutoScalingGroupNames", [])
        if len(names) > int(given.get("MaxRecords") or DEFAULT_RECORDS):
            raise ValidationError(f"{len(names)} names are more than MaxRecords; by default that is {DEFAULT_RECORDS}.")
        groups = self._groups()
        found = self.autoscaling_backend.describe_auto_scaling_groups(names, filters=given.get("Filters", []))
        return _paged("AutoScalingGroups", [groups[one.name].seen() for one in found if one.name in groups], given)

    def delete_auto_scaling_group(self) -> ActionResult:
        """DeleteAutoScalingGroup."""
        group, given = self._group(), self._get_params()
        if group.instance_states and not given.get("ForceDelete"):
            raise ResourceInUse("You cannot delete an AutoScalingGroup while there are instances still in the group.")
        group.empty()
        group.status, group.deleted_at = DELETING, SETTINGS.clock()
        self._groups()
        return EmptyResult()

    def describe_scaling_activities(self) -> ActionResult:
        """DescribeScalingActivities: those under way first, then the newest first."""
        given = self._get_params()
        groups = [self._group()] if given.get("AutoScalingGroupName") else list(self._groups().values())
        lowest = _lowest_start(given)
        written = (one for group in groups for one in reversed(group.activities))
        found = [one for one in written if lowest is None or one.start_time >= lowest]
        found.sort(key=lambda one: one.start_time, reverse=True)
        found.sort(key=lambda one: one.is_over)
        return _paged("Activities", found, given, default=MOST_RECORDS)

    def suspend_processes(self) -> ActionResult:
        """SuspendProcesses."""
        self._group()
        return super().suspend_processes()

    def resume_processes(self) -> ActionResult:
        """ResumeProcesses; what was held back is done now."""
        group = self._group()
        answer = super().resume_processes()
        group.fill()
        return answer

    def put_scaling_policy(self) -> ActionResult:
        """PutScalingPolicy."""
        group, given = self._group(), self._get_params()
        answer = super().put_scaling_policy()
        for policy in self.autoscaling_backend.describe_policies(group.name, [given["PolicyName"]], []):
            vars(policy)["enabled"] = given.get("Enabled", True)
        return answer

    def describe_policies(self) -> ActionResult:
        """DescribePolicies."""
        given = self._get_params()
        names, kinds = given.get("PolicyNames", []), given.get("PolicyTypes", [])
        found = self.autoscaling_backend.describe_policies(given.get("AutoScalingGroupName"), names, kinds)
        return _paged("ScalingPolicies", found, given)

    def describe_scheduled_actions(self) -> ActionResult:
        """DescribeScheduledActions."""
        given = self._get_params()
        found = self.autoscaling_backend.describe_scheduled_actions(
            autoscaling_group_name=given.get("AutoScalingGroupName"),
            scheduled_action_names=given.get("ScheduledActionNames", []),
        )
        return _paged("ScheduledUpdateGroupActions", found, given)

    def put_warm_pool(self) -> ActionResult:
        """PutWarmPool."""
        group = self._group()
        answer = super().put_warm_pool()
        group.fill_warm_pool()
        return answer

    def describe_warm_pool(self) -> ActionResult:
        """DescribeWarmPool."""
        group, given = self._group(), self._get_params()
        group.fill_warm_pool()
        return _paged("Instances", group.warm_instances, given, WarmPoolConfiguration=group.warm_pool)

    def delete_warm_pool(self) -> ActionResult:
        """DeleteWarmPool."""
        self._group().drop_warm_pool()
        return EmptyResult()

    def _groups(self) -> dict[str, Group]:
        """Those that are there, also while they are being deleted."""
        held = self.autoscaling_backend.autoscaling_groups
        latest = SETTINGS.clock() - timedelta(seconds=SETTINGS.delete)
        for name, group in list(held.items()):
            if isinstance(group, Group) and group.deleted_at is not None and group.deleted_at <= latest:
                del held[name]
        return {name: group for name, group in held.items() if isinstance(group, Group)}

    def _group(self) -> Group:
        """The one that a call names. Raises ValidationError, as AWS does."""
        name = self._get_param("AutoScalingGroupName")
        group = self._groups().get(name)
        if group is None:
            raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        return group

    def _keep(self, group: Group, given: Mapping[str, Any]) -> None:
        """What moto leaves out."""
        group.default_instance_warmup = given.get("DefaultInstanceWarmup", group.default_instance_warmup)
        group.desired_capacity_type = given.get("DesiredCapacityType", group.desired_capacity_type)


class AlreadyExists(AutoscalingClientError):  # noqa: N818 - named after AWS's code
    """There is a group of this name."""

    code = "AlreadyExists"


def _given_again(group: Group) -> dict[str, Any] | None:
    """A group's mixed instances as a call would give them; moto forgets them when an update says nothing of them."""
    policy = group.mixed_instances_policy
    if not policy:
        return None
    template = policy["LaunchTemplate"]
    named = {name: one for name, one in template["LaunchTemplateSpecification"].items() if name != "LaunchTemplateName"}
    return {**policy, "LaunchTemplate": {**template, "LaunchTemplateSpecification": named}}


def _check_bounds(desired: int, least: int, most: int) -> None:
    if not least <= desired <= most:
        said = f"Desired capacity:{desired} must be between the specified min size:{least} and max size:{most}"
        raise ValidationError(said)


def _is_cooling(group: Group) -> bool:
    newest = max((one.start_time for one in group.activities), default=None)
    return newest is not None and SETTINGS.clock() < newest + timedelta(seconds=int(group.default_cooldown))


def _lowest_start(given: Mapping[str, Any]) -> datetime | None:
    for one in given.get("Filters", ()):
        if one["Name"] == "StartTimeLowerBound":
            found = datetime.fromisoformat(one["Values"][0])
            return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return None


def _int(given: Mapping[str, Any], name: str, default: int | None) -> int:
    return int(given[name]) if given.get(name) is not None else default or 0


def _paged(
    name: str,
    items: Sequence[T],
    given: Mapping[str, Any],
    default: int = DEFAULT_RECORDS,
    **others: object,
) -> ActionResult:
    records = int(given.get("MaxRecords") or default)
    if not 1 <= records <= MOST_RECORDS:
        raise ValidationError(f"MaxRecords must be between 1 and {MOST_RECORDS}, not {records}.")
    first = int(given.get("NextToken") or 0)
    more = first + records
    return ActionResult({name: items[first:more], "NextToken": str(more) if more < len(items) else None, **others})
