"""The sandbox is a real cluster: pods start when they should, RBAC refuses, the audit log tells."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from sandbox.cluster import CommandError, Sandbox
from sandbox.kwok import STARTUP_ANNOTATION

pytestmark = pytest.mark.e2e


def deployment(namespace: str, *, replicas: int, startup: str) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {
        "metadata": {"labels": labels, "annotations": {STARTUP_ANNOTATION: startup}},
        "spec": {"containers": [{"name": "web", "image": "example.invalid/web"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def ready_after(pod: dict[str, Any]) -> timedelta:
    times = {condition["type"]: condition["lastTransitionTime"] for condition in pod["status"]["conditions"]}
    return datetime.fromisoformat(times["Ready"]) - datetime.fromisoformat(times["PodScheduled"])


def test_pods_become_ready_after_their_startup_time(sandbox: Sandbox, namespace: str) -> None:
    sandbox.apply(deployment(namespace, replicas=2, startup="3s"))
    sandbox.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=30s")
    pods = sandbox.get("pods", "-n", namespace)["items"]
    assert [ready_after(pod) >= timedelta(seconds=3) for pod in pods] == [True, True]


def test_rbac_refuses_what_was_not_granted(sandbox: Sandbox, namespace: str) -> None:
    kubeconfig = sandbox.service_account_kubeconfig(namespace, "default")
    with pytest.raises(CommandError, match='cannot list resource "deployments"'):
        sandbox.kubectl("get", "deployments", kubeconfig=kubeconfig)


def test_the_audit_log_tells_who_asked_for_what(sandbox: Sandbox, namespace: str) -> None:
    kubeconfig = sandbox.service_account_kubeconfig(namespace, "default")
    sandbox.kubectl("auth", "whoami", kubeconfig=kubeconfig)
    events = sandbox.audit_events(user=f"system:serviceaccount:{namespace}:default")
    assert ("authentication.k8s.io", "selfsubjectreviews", "create") in {event.permission for event in events}
