"""Can the target be read, and does anything stand between its size and the scaler? By the controller's own adapters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from client.checks.finding import Findings, failed, in_words, ok, skipped, warning
from client.checks.rights import LIST_AUTOSCALERS, LIST_PODS, Rights
from client.checks.rivals import Rivals, rivals
from client.checks.tools import NO_CLUSTER, Tools
from client.words import counted
from controller.aws_spec import GroupRef
from controller.core.startup import LeadTime
from controller.kubernetes_api import KubernetesApi
from controller.ports import LeadTimeReason, LeadTimes, Owners, Target, TargetError, TargetState
from controller.registry import Scaler, choice, precedence
from controller.spec import AnyTarget, FloorRef, ScalerSpec
from controller.targets.asg import GroupTarget
from controller.targets.asg_groups import Groups
from controller.targets.asg_owners import GroupOwners
from controller.targets.asg_startup import GroupLeadTimes
from controller.targets.hpa import FloorTarget
from controller.targets.owners import AutoscalerOwners
from controller.targets.scale import ScaleTarget
from controller.targets.startup import PodLeadTimes

CHECK = "target"
OWNER = "owner"
LEAD_TIME = "lead time"
_BLOCKING = {"Launch", "Terminate"}


class _LeadTimes(LeadTimes, Protocol):
    async def settled(self) -> None: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adapters:
    """Those of one kind of target."""

    target: Target[Any]
    owners: Owners[Any]
    lead_times: _LeadTimes


async def target(scaler: Scaler, spec: ScalerSpec, rights: Rights, tools: Tools) -> Findings:
    """Its size and bounds, who else sets it, and how long its replicas take to be ready."""
    if isinstance(spec.target, GroupRef):
        return await _looked_at(scaler, spec, rights, _of_groups(tools.groups), tools)
    if tools.api is None:
        return skipped(CHECK, NO_CLUSTER)
    if rights.scale_get is not None and (objection := rights.objection(CHECK, rights.scale_get)):
        return objection
    adapters = _of_workloads(tools.api, scaler.namespace)
    if isinstance(spec.target, FloorRef):
        adapters = replace(adapters, target=FloorTarget(tools.api, workloads=adapters.target))
    return await _looked_at(scaler, spec, rights, adapters, tools)


def _of_groups(groups: Groups) -> _Adapters:
    return _Adapters(target=GroupTarget(groups), owners=GroupOwners(groups), lead_times=GroupLeadTimes(groups))


def _of_workloads(api: KubernetesApi, namespace: str) -> _Adapters:
    owners = AutoscalerOwners(api, namespaces=(namespace,))
    return _Adapters(target=ScaleTarget(api), owners=owners, lead_times=PodLeadTimes(api))


async def _looked_at(scaler: Scaler, spec: ScalerSpec, rights: Rights, adapters: _Adapters, tools: Tools) -> Findings:
    try:
        state = await adapters.target.read(scaler.namespace, spec.target)
    except TargetError as error:
        return failed(CHECK, str(error))
    return [
        *_told(spec, state, tools.groups),
        *await _owner(scaler, spec, rights, adapters.owners, tools),
        *await _lead_time(scaler, spec, state, rights, adapters.lead_times, tools),
    ]


def _told(spec: ScalerSpec, state: TargetState, groups: Groups) -> Findings:
    words = f"{_name(spec.target)}: {_counted(state)}"
    if not state.replicas:
        return warning(CHECK, f"{words}; at 0 somebody switched it off, and so this: set it to 1 to go on")
    concerns = list(_concerns(spec, state, groups))
    return warning(CHECK, f"{words}; {'; '.join(concerns)}") if concerns else ok(CHECK, words)


def _name(ref: AnyTarget) -> str:
    where = f" in {ref.access.region}, {ref.capacity}" if isinstance(ref, GroupRef) else ""
    return f'{ref.kind} "{ref.name}"{where}'


def _counted(state: TargetState) -> str:
    parts = [counted(state.replicas, "replica")]
    parts += [f"{state.ready} in service"] if state.ready is not None else []
    parts += [f"{state.warm} in the warm pool"] if state.warm is not None else []
    parts += [state.note] if state.note else []
    return ", ".join(parts)


def _concerns(spec: ScalerSpec, state: TargetState, groups: Groups) -> Iterator[str]:
    """What of the target holds the scaler back."""
    low, high = spec.policy.min_replicas, spec.policy.max_replicas
    most, least = ("MaxSize", "MinSize") if isinstance(spec.target, GroupRef) else ("maxReplicas", "minReplicas")
    if state.highest is not None and state.highest < high:
        yield f"its {most}, {state.highest}, is below maxReplicas, {high}, and holds: raise it, or lower maxReplicas"
    if state.lowest is not None and state.lowest > low and isinstance(spec.target, GroupRef):
        yield f"its {least}, {state.lowest}, is above minReplicas, {low}, and holds: lower it, or raise minReplicas"
    group = groups.held(spec.target) if isinstance(spec.target, GroupRef) else None
    for process in sorted(_BLOCKING & set(group.suspended) if group else ()):
        yield f"without {process} AWS does not follow: aws autoscaling resume-processes --scaling-processes {process}"


async def _owner(scaler: Scaler, spec: ScalerSpec, rights: Rights, owners: Owners[Any], tools: Tools) -> Findings:
    """Another scaler first, as the controller looks."""
    others = await rivals(tools.api, scaler, spec)
    if spec.mode.is_acting and others.is_behind and others.first is not None:
        words = precedence(others.first, others.scaler)
        return failed(OWNER, f"{words} sets its size, so this will not; {choice(others.first, others.scaler)}")
    objection = rights.objection(OWNER, LIST_AUTOSCALERS)
    if objection:
        return objection
    try:
        owner = await owners.owner(scaler.namespace, spec.target, tools.now)
    except TargetError as error:
        return failed(OWNER, str(error))
    if owner is None:
        return ok(OWNER, f"{_nobody(spec, others)}{_unseen(others)}")
    if spec.mode.is_acting:
        return failed(OWNER, f"{owner.words} sets its size, so this will not; {owner.cure}")
    return ok(OWNER, f"{owner.words} sets its size, which mode {spec.mode} leaves alone")


def _nobody(spec: ScalerSpec, others: Rivals) -> str:
    """Who sets the size, where no autoscaler of another kind does."""
    if others.first is None:
        return "nobody else is known to set its size"
    if not spec.mode.is_acting:
        return f"PredictiveScaler {others.first.key} sets its size, which mode {spec.mode} leaves alone"
    return f"this sets its size; PredictiveScaler {others.first.key}, which names it too, stands back"


def _unseen(others: Rivals) -> str:
    return f"; of PredictiveScalers, not looked at: {others.unseen}" if others.unseen else ""


async def _lead_time(
    scaler: Scaler, spec: ScalerSpec, state: TargetState, rights: Rights, lead_times: _LeadTimes, tools: Tools
) -> Findings:
    """Looked at as for leadTime auto also where the spec names one, which may be too short."""
    objection = rights.objection(LEAD_TIME, LIST_PODS)
    if objection:
        return objection
    async with contextlib.aclosing(lead_times):
        lead_times.lead_time(scaler, spec, state, tools.now)
        await lead_times.settled()
        found, problem = lead_times.lead_time(scaler, spec, state, tools.now)
    words = _learnt(spec, found) if spec.lead_time_auto else _compared(spec, found)
    if problem is not None and problem.reason == LeadTimeReason.LAUNCHES_FORBIDDEN:
        return warning(LEAD_TIME, f"{words}; launches cannot be seen: see permissions")
    if problem is not None and (spec.lead_time_auto or problem.reason == LeadTimeReason.LAUNCHES_FAILED):
        return warning(LEAD_TIME, f"{words}; {problem.message}")
    is_too_short = not spec.lead_time_auto and _is_longer(spec, found)
    return warning(LEAD_TIME, words) if is_too_short else ok(LEAD_TIME, words)


def _learnt(spec: ScalerSpec, found: LeadTime) -> str:
    if not found.samples:
        return f"{in_words(spec.policy.lead_time)} until it is learnt: no start-up was seen yet"
    return f"{in_words(found.duration)}, learnt from {counted(found.samples, 'start-up')}"


def _compared(spec: ScalerSpec, found: LeadTime) -> str:
    words = f"{in_words(spec.policy.lead_time)}, as the spec says"
    if not found.samples:
        return words
    if _is_longer(spec, found):
        took = f"{counted(found.samples, 'start-up')} took up to {in_words(found.duration)}"
        return f"{words}, and {took}: set forecast.leadTime to auto, or to no less"
    return f"{words}; {counted(found.samples, 'start-up')} took no longer"


def _is_longer(spec: ScalerSpec, found: LeadTime) -> bool:
    return bool(found.samples) and found.duration > spec.policy.lead_time
