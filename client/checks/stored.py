"""What does the cluster say of it already? The controller's own conditions, and the scaler of the pods on a group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from client.checks.finding import Findings, failed, ok, warning
from controller.coordination import CoordinationError, pods_of
from controller.registry import Registry, Scaler
from controller.spec import ScalerSpec

CONTROLLER = "controller"
COORDINATION = "coordination"


def conditions(scaler: Scaler) -> Findings:
    """What the controller that serves it said last, if one does."""
    found = {one.get("type"): one for one in scaler.status.get("conditions") or []}
    ready = found.get("Ready")
    if ready is None:
        cure = "is one running, and does it watch this namespace?"
        return failed(CONTROLLER, f"no controller has said anything of it yet; {cure}")
    words = f"Ready is {ready['status']} since {ready.get('lastTransitionTime', '?')} ({_said(ready)})"
    others = [f"{kind} is {found[kind]['status']} ({_said(found[kind])})" for kind in _unwell(found)]
    if ready["status"] == "False":
        return failed(CONTROLLER, words)
    return warning(CONTROLLER, f"{words}; {'; '.join(others)}") if others else ok(CONTROLLER, words)


def coordination(scaler: Scaler, spec: ScalerSpec, bodies: Iterable[Mapping[str, Any]]) -> Findings:
    """Whether the scaler that it names is there. `bodies`: all that there are, as the API server gives them."""
    if spec.coordination is None:
        return []
    registry = Registry()
    for body in bodies:
        registry.put(body)
    try:
        pods_of(registry, scaler, spec)
    except CoordinationError as error:
        return failed(COORDINATION, str(error))
    return ok(COORDINATION, f'its pods are those of PredictiveScaler "{spec.coordination.scaler}"')


def _unwell(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [kind for kind in ("Forecasting", "MetricsAvailable", "AbleToScale") if _is_false(found.get(kind))]


def _is_false(condition: Mapping[str, Any] | None) -> bool:
    return condition is not None and condition.get("status") == "False"


def _said(condition: Mapping[str, Any]) -> str:
    return f"{condition.get('reason', '')}: {condition.get('message', '')}"
