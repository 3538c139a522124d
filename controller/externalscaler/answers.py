"""What is KEDA told of a PredictiveScaler? The number of replicas that were decided, or why there is none: pure.

Answered from the newest status, so that any replica of the controller can. What is not known is an error and never 0:
at an error KEDA and its HPA keep the size or fall back, at 0 they would shrink it.

Facts of KEDA 2.21 that this rests on: it asks for the metric's value and for the activity together, and an error of
either is one of both; a trigger whose metric cannot be described is left out of the HPA without a word, and the other
triggers then shrink the workload; every key of the trigger's `metadata` comes along, its own as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Self

from controller.core.replicas import needed
from controller.registry import Registry, Scaler
from controller.spec import KIND, Mode, ScalerSpec, SpecError

TARGET = 1
"""Replicas that one unit of the metric asks for: KEDA's HPA divides the metric by it, and gets our number."""

SCALER, ACTIVATION = "scaler", "activationThreshold"
OWN_KEYS = (SCALER, ACTIVATION)
KEDA_KEYS = frozenset({"scalerAddress", "enableTLS", "unsafeSsl"})

TICKS = 8
"""A decision is written at least every four ticks (`controller.report`); twice that, and something is wrong."""

FAILOVER = timedelta(seconds=30)
"""On top, for another replica to take over and decide: twice what that is promised to take."""


class Cause(Enum):
    """Why there is no answer, as far as whoever asks can do something about it."""

    INVALID = "the trigger cannot be meant"
    NOT_FOUND = "there is no such scaler"
    PRECONDITION = "the scaler is not one to ask"
    UNKNOWN = "nobody knows at present"


class RefusedError(Exception):
    """There is no answer. The message says why and what to do."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause

    @property
    def is_passing(self) -> bool:
        """Whether it may be answered later though nobody changes anything."""
        return self.cause is Cause.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What a trigger of a ScaledObject asks for. `activation`: the load, in the metric's unit, that 0 will do for."""

    namespace: str
    scaler: str
    activation: float = 0.0

    @classmethod
    def read(cls, namespace: str, metadata: Mapping[str, str]) -> Self:
        """`namespace`: of the ScaledObject; `metadata`: of its trigger. Raises RefusedError."""
        unknown = sorted(metadata.keys() - KEDA_KEYS - set(OWN_KEYS))
        if unknown:
            raise _invalid(f"{unknown[0]} is no option; there are {', '.join(OWN_KEYS)} beside KEDA's own")
        name = metadata.get(SCALER, "").strip()
        if not name:
            raise _invalid(f"{SCALER} is missing; give the name of a {KIND} in the ScaledObject's namespace")
        if not namespace:
            raise RefusedError(Cause.INVALID, "the ScaledObject came without a namespace; ask as KEDA does")
        return cls(namespace=namespace, scaler=name, activation=_load(metadata.get(ACTIVATION, "0")))

    @property
    def metric(self) -> str:
        """The metric's name; KEDA puts the trigger's number before it, so it need not differ between triggers."""
        return f"predictive-scaler-{self.scaler}"


@dataclass(frozen=True, slots=True)
class Answers:
    """What is true of the scalers of `registry`. `is_listed`: whether it has been filled once."""

    registry: Registry

    def replicas(self, trigger: Trigger, now: datetime, *, is_listed: bool) -> int:
        """How many replicas the workload should have. Raises RefusedError.

        A workload at 0 was switched off, and it was decided to leave it off: then it is what KEDA is to start with.
        """
        known = self._known(trigger, now, is_listed=is_listed)
        return known.desired if known.desired > 0 else known.when_started()

    def is_active(self, trigger: Trigger, now: datetime, *, is_listed: bool) -> bool:
        """Whether more load is to be ready for than the trigger's activation. Raises RefusedError.

        Where the load is missing, what runs goes on running, and whether to start is not known.
        """
        known = self._known(trigger, now, is_listed=is_listed)
        if known.demand is None and known.desired > 0:
            return True
        return known.load() > trigger.activation

    def _known(self, trigger: Trigger, now: datetime, *, is_listed: bool) -> _Known:
        scaler = self.registry.named(trigger.namespace, trigger.scaler)
        if scaler is None and not is_listed:
            raise RefusedError(Cause.UNKNOWN, "the controller has just started and has not listed its scalers yet")
        if scaler is None:
            raise RefusedError(
                Cause.NOT_FOUND,
                f'{KIND} "{trigger.scaler}" is not in namespace {trigger.namespace}, or the controller does not watch '
                f"it; create it, or correct {SCALER} in the trigger's metadata",
            )
        return _known(scaler, _usable(scaler), now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What was decided of late. `demand`: the load to be ready for; None where it was missing."""

    key: str
    spec: ScalerSpec
    desired: int
    demand: float | None

    def load(self) -> float:
        if self.demand is None:
            raise RefusedError(
                Cause.UNKNOWN,
                f"{KIND} {self.key} knows no load, and the workload has no replicas to keep; see its condition "
                "MetricsAvailable",
            )
        return self.demand

    def when_started(self) -> int:
        policy = self.spec.policy
        return max(policy.min_replicas, min(needed(self.load(), policy), policy.max_replicas))


def _usable(scaler: Scaler) -> ScalerSpec:
    """Only what is merely observed may be scaled by KEDA: otherwise two would set the same number."""
    if isinstance(scaler.spec, SpecError):
        raise RefusedError(Cause.PRECONDITION, f"{KIND} {scaler.key} cannot be used: {scaler.spec}")
    if scaler.spec.mode is not Mode.OBSERVE:
        mode = scaler.spec.mode.value
        raise RefusedError(
            Cause.PRECONDITION,
            f"{KIND} {scaler.key} has mode {mode}; set mode: Observe, so that it decides and KEDA scales",
        )
    return scaler.spec


def _known(scaler: Scaler, spec: ScalerSpec, now: datetime) -> _Known:
    desired, last = scaler.status.get("desiredReplicas"), scaler.status.get("lastDecision") or {}
    if desired is None or "time" not in last:
        raise RefusedError(Cause.UNKNOWN, f"{KIND} {scaler.key} has decided nothing yet{_why(scaler.status)}")
    age, bound = now - datetime.fromisoformat(last["time"]), longest_age(spec)
    if abs(age) > bound:
        when = f"{abs(age).total_seconds():.0f} s {'old' if age > timedelta(0) else 'ahead of the clock here'}"
        counts = f"and counts for {bound.total_seconds():.0f} s"
        message = f"the last decision about {KIND} {scaler.key} is {when} {counts}{_why(scaler.status)}"
        raise RefusedError(Cause.UNKNOWN, message)
    return _Known(key=scaler.key, spec=spec, desired=desired, demand=last.get("demand"))


def longest_age(spec: ScalerSpec) -> timedelta:
    """For how long a decision counts."""
    return TICKS * spec.interval + FAILOVER


def _why(status: Mapping[str, Any]) -> str:
    """The first condition that tells of a trouble; without one, it is the controller that decides nothing."""
    for condition in status.get("conditions") or ():
        if condition["status"] == "False" and condition["type"] in {"AbleToScale", "Ready"}:
            return f": {condition['message']}"
    return "; see whether a replica of the controller is ready, and its log"


def _load(text: str) -> float:
    try:
        load = float(text)
    except ValueError:
        load = math.nan
    if not 0.0 <= load < math.inf:
        raise _invalid(f"{ACTIVATION} must be a load of 0 or more, in the metric's unit, not {text!r}")
    return load


def _invalid(what: str) -> RefusedError:
    return RefusedError(Cause.INVALID, f"metadata.{what}")
