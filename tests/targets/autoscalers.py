"""HorizontalPodAutoscalers as the API server gives them, for the tests of those who read and write them."""

from __future__ import annotations

from typing import Any

from controller.targets.floors import ANNOTATION, Floor

PATH = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web"
LIST = "/apis/autoscaling/v2/horizontalpodautoscalers"
VERSION = "41"


def managed(manager: str, field: str = "minReplicas") -> dict[str, Any]:
    return {"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {f"f:{field}": {}}}}


def autoscaler(
    least: int = 2,
    most: int = 10,
    *,
    kept: Floor | None = None,
    managers: tuple[str, ...] = ("kubectl",),
    current: int | None = 4,
    conditions: tuple[dict[str, str], ...] = (),
) -> dict[str, Any]:
    """Of the Deployment "api" in the namespace "shop"; `kept`: its annotation; `current`: its pods."""
    metadata: dict[str, Any] = {
        "name": "web",
        "namespace": "shop",
        "resourceVersion": VERSION,
        "annotations": {"team": "shop"} | ({} if kept is None else {ANNOTATION: kept.text()}),
        "managedFields": [managed(one) for one in managers],
    }
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}
    status = {"conditions": list(conditions)} | ({} if current is None else {"currentReplicas": current})
    spec = {"scaleTargetRef": ref, "minReplicas": least, "maxReplicas": most}
    return {"metadata": metadata, "spec": spec, "status": status}
