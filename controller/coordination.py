"""Whose pods run on which group, and what is known of the other one between ticks? Names in, sizes for the core out.

Must not read a target nor decide: the cycle reads, `core.coordination` decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from controller.aws_spec import GROUP_KIND, GroupRef
from controller.core.coordination import Units
from controller.registry import Registry, Scaler, precedence
from controller.spec import ScalerSpec, SpecError


class CoordinationReason(StrEnum):
    """Why units of a group are held: reasons of the condition AbleToScale."""

    UNKNOWN = "CoordinationUnknown"
    INVALID = "CoordinationInvalid"


class CoordinationError(Exception):
    """The pods on a group are not known; the message names the cure. `reason` is CamelCase for a condition."""

    def __init__(self, reason: CoordinationReason, message: str) -> None:
        super().__init__(f"{message}; until then no unit is released")
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A scaler's last tick: the size that its target was left with, how much of that served, and its own lead time."""

    time: datetime
    asked: int
    ready: int | None
    lead_time: timedelta


def pods_of(registry: Registry, scaler: Scaler, spec: ScalerSpec) -> tuple[Scaler, ScalerSpec] | None:
    """The scaler of the pods on a group; None where its spec names none. Raises CoordinationError."""
    if spec.coordination is None:
        return None
    name = spec.coordination.scaler
    pods, first = registry.named(scaler.namespace, name), registry.group(scaler.namespace, name)
    if pods is None:
        words = f'there is no PredictiveScaler "{name}" in {scaler.namespace}; create it or change coordination.scaler'
        raise CoordinationError(CoordinationReason.UNKNOWN, words)
    if isinstance(pods.spec, SpecError):
        words = f'PredictiveScaler "{name}" is refused, so that nobody knows its pods; mend it: {pods.spec}'
        raise CoordinationError(CoordinationReason.UNKNOWN, words)
    if isinstance(pods.spec.target, GroupRef):
        words = f'PredictiveScaler "{name}" scales an {GROUP_KIND} itself; name the one that scales the pods'
        raise CoordinationError(CoordinationReason.INVALID, words)
    if spec.mode.is_acting and first is not None and first.uid != scaler.uid:
        words = f'{precedence(first, scaler)} names "{name}" too; pods can wait for one group only'
        cure = f"remove coordination from {scaler.key} (this one) or from {first.key}"
        raise CoordinationError(CoordinationReason.INVALID, f"{words}: {cure}")
    return pods, pods.spec


def units_for(group: ScalerSpec, known: Known | None, now: datetime) -> Units | None:
    """What a group has for the pods on it; None where that is not known, or no more."""
    if group.coordination is None or known is None or now - known.time > group.policy.max_age:
        return None
    return Units(
        name=f'{group.target.kind} "{group.target.name}"',
        asked=known.asked,
        ready=known.ready,
        per_unit=group.coordination.per_unit,
        decided=known.time,
        patience=known.lead_time + group.interval,
    )


def replicas_of(pods: ScalerSpec, known: Known | None, found: int, now: datetime) -> int:
    """How many pods to have units for: those that are there, or more if so many were asked for."""
    if known is None or not pods.mode.is_acting or now - known.time > pods.policy.max_age:
        return found
    return max(found, known.asked)
