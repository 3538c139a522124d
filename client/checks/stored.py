"""What does the cluster say of it already? The controller's own conditions, and the scaler of the pods on a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from client.checks.finding import Findings, failed, ok, warning
from client.checks.rivals import Bodies, identified
from client.glance import silence
from controller.conditions import Reason
from controller.coordination import CoordinationError, pods_of
from controller.registry import Registry, Scaler
from controller.spec import Mode, ScalerSpec

CONTROLLER = "controller"
COORDINATION = "coordination"


def conditions(scaler: Scaler, spec: ScalerSpec, now: datetime) -> Findings:
    """What the controller that serves it said last, if one does, and whether it still does."""
    found = {one.get("type"): one for one in scaler.status.get("conditions") or []}
    ready = found.get("Ready")
    if ready is None:
        cure = "is one running, and does it watch this namespace?"
        return failed(CONTROLLER, f"no controller has said anything of it yet; {cure}")
    words = f"Ready is {ready['status']} since {ready.get('lastTransitionTime', '?')} ({_said(ready)})"
    if ready["status"] == "False":
        return failed(CONTROLLER, words)
    silent = [one.message for one in silence(scaler.status, spec.interval, now) if spec.mode is not Mode.PAUSED]
    if silent:
        return failed(CONTROLLER, f"{words}, but {silent[0]} ({_runbook('ControllerDown')})")
    concerns = [*_of_ready(ready), *_behind(scaler, ready), *_unwell(found)]
    return warning(CONTROLLER, "; ".join([words, *concerns])) if concerns else ok(CONTROLLER, words)


def coordination(scaler: Scaler, spec: ScalerSpec, bodies: Bodies) -> Findings:
    """Whether the scaler that it names is there. `bodies`: all that there are, as the API server gives them."""
    if spec.coordination is None:
        return []
    registry = Registry()
    for body in bodies:
        registry.put(body)
    try:
        pods_of(registry, identified(scaler, bodies), spec)
    except CoordinationError as error:
        return failed(COORDINATION, str(error))
    return ok(COORDINATION, f'its pods are those of PredictiveScaler "{spec.coordination.scaler}"')


def _of_ready(ready: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong although it is Ready; the message has the cure."""
    if ready.get("reason") in {Reason.ANOTHER_CONTROLLER, Reason.OBJECTIVE_MISSED}:
        yield f"see {_runbook(ready['reason'])}"


def _behind(scaler: Scaler, ready: Mapping[str, Any]) -> Iterator[str]:
    """Whether it knows the spec as it is now: that it does so late is all that a status shows of a silent watch."""
    known = ready.get("observedGeneration", scaler.generation)
    if known < scaler.generation:
        when = "it hears of a change within seconds, or within a minute where its watch tells nothing"
        generations = f"generation {known} of the spec, which is at {scaler.generation}"
        yield f"that is of {generations}; {when} ({_runbook('WatchesSilent')}); run this again"


def _runbook(alert: str) -> str:
    return f"docs/runbooks/PredictiveScaler{alert}.md"


def _unwell(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for kind in ("Forecasting", "MetricsAvailable", "AbleToScale"):
        if _is_false(found.get(kind)):
            yield f"{kind} is False ({_said(found[kind])})"


def _is_false(condition: Mapping[str, Any] | None) -> bool:
    return condition is not None and condition.get("status") == "False"


def _said(condition: Mapping[str, Any]) -> str:
    return f"{condition.get('reason', '')}: {condition.get('message', '')}"
