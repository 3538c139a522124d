"""What does whoever is on call need to know of a scaler first? Its sizes and loads in short, and what is wrong with it.

Pure: made of the object as the API server has it and of the time, nothing else. Loads are in the metric's unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from controller.core import calibration, demand
from controller.core.memory import Memory, MemoryFormatError
from controller.fields import SpecError
from controller.spec import Mode, parse

UNSERVED = timedelta(minutes=1)  # a controller that runs has said something of a new scaler by then
SILENT_INTERVALS, SILENT = 10, timedelta(minutes=3)  # a status is written every four intervals at least
MISSES_OFF, MISSES_SPARE = 2.0, 0.05  # times as many misses as there should be, and more: as the alert has it
COVERAGE_JUDGED = 50.0  # windows, of which a share of 0.9 is known to about 0.04

Json = Mapping[str, Any]


class Level(IntEnum):
    """How soon somebody should look: the lower, the sooner."""

    FAILED = 0
    WARNING = 1
    OFF = 2
    WELL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """What is to say of a scaler. `reason`: as in the conditions, or one of this file; `message`: with the cure."""

    level: Level
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """One scaler in short. None: not known, or there is no such thing.

    `trust`: the weight of the forecast, 0..1. `coverage`: measured and nominal share. `lead_time`: seconds.
    `objective`: measured and allowed share of time, as texts. `age`: since it was created.
    """

    namespace: str
    name: str
    concern: Concern
    mode: str
    target: str
    current: int | None
    ready: int | None
    desired: int | None
    bounds: tuple[int | None, int | None]
    seen: float | None
    forecast: float | None
    trust: float | None
    coverage: tuple[float | None, float] | None
    why: str
    lead_time: float | None
    model: str
    objective: tuple[str, str] | None
    age: timedelta | None


def glance(body: Json, now: datetime) -> Glance:
    """Of the object as the API server has it."""
    metadata, spec, status = _object(body, "metadata"), _object(body, "spec"), _object(body, "status")
    last = _object(status, "lastDecision")
    return Glance(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        concern=concern(body, now),
        mode=str(spec.get("mode") or Mode.ACTIVE),
        target=target(spec),
        current=status.get("currentReplicas"),
        ready=_object(status, "target").get("ready"),
        desired=status.get("desiredReplicas"),
        bounds=(spec.get("minReplicas"), spec.get("maxReplicas")),
        seen=last.get("seen"),
        forecast=last.get("forecast"),
        trust=trust(spec, status),
        coverage=_coverage(status),
        why=why(last),
        lead_time=_object(status, "leadTime").get("seconds"),
        model=str(_object(status, "model").get("name") or ""),
        objective=_objective(status),
        age=_since(metadata.get("creationTimestamp"), now),
    )


def concern(body: Json, now: datetime) -> Concern:
    """The most urgent of what is to say of it."""
    return min(_concerns(body, now), key=lambda one: one.level)


def target(spec: Json) -> str:
    """Kind and name as kubectl abbreviates them."""
    found = _object(spec, "targetRef")
    kind = str(found.get("kind") or "Deployment")
    return f"{_KINDS.get(kind, kind.lower())}/{found.get('name', '')}"


_KINDS = {
    "Deployment": "deploy",
    "StatefulSet": "sts",
    "ReplicaSet": "rs",
    "HorizontalPodAutoscaler": "hpa",
    "AutoScalingGroup": "asg",
}


def trust(spec: Json, status: Json) -> float | None:
    """How far the forecast counts, by what the controller remembers; None where none was made, or who knows."""
    try:
        policy = parse(spec).policy
        memory = Memory.from_json(_object(status, "memory"))
    except (SpecError, MemoryFormatError):
        return None
    if not status.get("forecast"):
        return None
    spare = (1.0 - policy.judged_level) * policy.target_per_replica
    return min(demand.worthy(policy, memory.rivals, memory.steering), calibration.trust(memory.track, spare))


def why(last: Json) -> str:
    """A decision's rules in a few words: what asked for the size, and which limits changed it."""
    steps = last.get("steps") or ()
    words = [_ruled(str(steps[0].get("rule", "")), str(last.get("source", "")))] if steps else []
    words += [_RAILS.get(step["rule"], str(step["rule"])) for step in steps[1:] if step["before"] != step["after"]]
    return ", ".join(words)


def _ruled(rule: str, source: str) -> str:
    return _RULES.get(rule) or _SOURCES.get(source, source)


_SOURCES = {"Seen": "seen load", "Forecast": "forecast", "Missing": "no metric"}
_RULES = {
    "Tolerance": "within tolerance",
    "Hold": "no metric: held",
    "Fallback": "no metric: fallback",
    "Disabled": "scaled to 0",
}
_RAILS = {
    "ScaleIn": "needed soon",
    "Stabilization": "hold-down",
    "Rate": "rate",
    "FlapBudget": "flap budget",
    "Bounds": "bounds",
    "TargetBounds": "target's bounds",
    "Coordination": "coordination",
}


def _concerns(body: Json, now: datetime) -> Iterator[Concern]:
    """At least one."""
    spec, status = _object(body, "spec"), _object(body, "status")
    found = {one.get("type"): one for one in status.get("conditions") or ()}
    ready = found.get("Ready")
    if ready is None:
        yield _unanswered(body, now)
        return
    if spec.get("mode") == Mode.PAUSED:
        yield _off("Paused", "mode is Paused: nothing is decided; go on with kubectl predictivescaler resume")
        return
    yield from _of_conditions(found, ready)
    yield from silence(status, timedelta(seconds=float(spec.get("intervalSeconds") or 0)), now)
    yield from _at_most(spec, status)
    yield from _uncovered(status)
    yield Concern(level=Level.WELL, reason=str(ready.get("reason", "")), message=str(ready.get("message", "")))


def _unanswered(body: Json, now: datetime) -> Concern:
    age = _since(_object(body, "metadata").get("creationTimestamp"), now)
    if age is not None and age < UNSERVED:
        return Concern(level=Level.WARNING, reason="New", message="no controller has said anything of it yet")
    cure = "is one running, and does it watch this namespace? kubectl predictivescaler doctor looks at all it needs"
    message = f"no controller has said anything of it yet; {cure}"
    return Concern(level=Level.FAILED, reason="Unserved", message=message)


def _of_conditions(found: Mapping[Any, Json], ready: Json) -> Iterator[Concern]:
    if ready.get("reason") == "TargetScaledToZero":
        yield _off("TargetScaledToZero", str(ready.get("message", "")))
    elif ready.get("status") != "True":
        yield _as_said(Level.FAILED, ready)
    elif ready.get("reason") in {"ObjectiveMissed", "AnotherController"}:
        yield _as_said(Level.WARNING, ready)
    for kind, ordinary in _ORDINARY.items():
        condition = found.get(kind)
        is_odd = (
            condition is not None and condition.get("status") != "Unknown" and condition.get("reason") not in ordinary
        )
        if condition is not None and is_odd:
            yield _as_said(Level.WARNING, condition)


_ORDINARY = {
    "MetricsAvailable": ("MetricsFound",),
    "AbleToScale": ("ReadyForNewScale", "Coordinated", "TargetScaledToZero"),
    "Forecasting": ("Forecasting",),
}
"""The reasons with which nothing is odd; what is False makes Ready False as well where it matters."""


def silence(status: Json, interval: timedelta, now: datetime) -> Iterator[Concern]:
    """Whether the controller stopped deciding: a status says nothing of who no longer writes it."""
    last = _since(_object(status, "lastDecision").get("time"), now)
    limit = max(SILENT, SILENT_INTERVALS * interval)
    if last is not None and last > limit:
        cure = "is the controller running, and does it still watch this namespace?"
        message = f"the last decision that it told of is {age(last)} old; {cure}"
        yield Concern(level=Level.FAILED, reason="Silent", message=message)


def _at_most(spec: Json, status: Json) -> Iterator[Concern]:
    steps = _object(status, "lastDecision").get("steps") or ()
    cut = next((step for step in steps if step.get("rule") == "Bounds" and step["after"] < step["before"]), None)
    if cut is not None:
        message = f"{cut['before']} replicas are needed and spec.maxReplicas is {spec.get('maxReplicas')}; raise it"
        yield Concern(level=Level.WARNING, reason="AtMaximum", message=message)


def _uncovered(status: Json) -> Iterator[Concern]:
    found = _coverage(status)
    if found is None or found[0] is None or _object(status, "coverage").get("settled", 0.0) < COVERAGE_JUDGED:
        return
    measured, nominal = found[0], found[1]
    if 1.0 - measured > MISSES_OFF * (1.0 - nominal) + MISSES_SPARE:
        cure = "too few replicas are prepared until a model of this load is trained, or an objective steers it"
        message = f"of late the forecast's upper level held {measured:.0%} of the time instead of {nominal:.0%}: {cure}"
        yield Concern(level=Level.WARNING, reason="CoverageOff", message=message)


def _as_said(level: Level, condition: Json) -> Concern:
    return Concern(level=level, reason=str(condition.get("reason", "")), message=str(condition.get("message", "")))


def _off(reason: str, message: str) -> Concern:
    return Concern(level=Level.OFF, reason=reason, message=message)


def _coverage(status: Json) -> tuple[float | None, float] | None:
    found = _object(status, "coverage")
    return (found.get("measured"), float(found["nominal"])) if "nominal" in found else None


def _objective(status: Json) -> tuple[str, str] | None:
    found = _object(status, "objective")
    if "underProvisionedTime" not in found:
        return None
    return str(found.get("measured", "-")), str(found["underProvisionedTime"])


def age(span: timedelta) -> str:
    """As kubectl tells an age: two units at most, and never more digits than it is sure of."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    for limit, unit, part in _AGES:
        if seconds < limit:
            return _spelled(seconds, unit, part)
    return f"{seconds // _YEAR}y"


_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_YEAR = 365 * _DAY
_LETTERS = {1: "s", _MINUTE: "m", _HOUR: "h", _DAY: "d", _YEAR: "y"}
_AGES = (
    (10 * _MINUTE, _MINUTE, 1),
    (3 * _HOUR, _MINUTE, 0),
    (8 * _HOUR, _HOUR, _MINUTE),
    (2 * _DAY, _HOUR, 0),
    (8 * _DAY, _DAY, _HOUR),
    (2 * _YEAR, _DAY, 0),
    (8 * _YEAR, _YEAR, _DAY),
)
"""Up to which age it is told in which unit, and of which smaller unit the rest; 0: of none."""


def _spelled(seconds: int, unit: int, part: int) -> str:
    whole, rest = divmod(seconds, unit)
    smaller = rest // part if part else 0
    return f"{whole}{_LETTERS[unit]}" + (f"{smaller}{_LETTERS[part]}" if smaller else "")


def short(load: float) -> str:
    """A load in at most seven characters: all of a number of four digits, three digits of a larger one."""
    if not _WHOLE <= abs(load) < _MOST:
        return f"{load:.4g}" if abs(load) < _MOST else f"{load:.1e}"
    unit, letter = next(pair for pair in _THOUSANDS if abs(load) >= pair[0])
    scaled = load / unit
    return f"{scaled:.0f}{letter}" if abs(scaled) >= _THREE_DIGITS else f"{scaled:.3g}{letter}"


_WHOLE, _MOST, _THREE_DIGITS = 9999.5, 1e15, 99.95
_THOUSANDS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def _since(timestamp: object, now: datetime) -> timedelta | None:
    try:
        return now - datetime.fromisoformat(str(timestamp))
    except (ValueError, TypeError):
        return None


def _object(found: Json, name: str) -> Json:
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}
