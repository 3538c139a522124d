"""The chart's roles are exactly what the controller uses: no verb is spare and none is missing."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

import pytest

from sandbox.audit import AuditEvent
from sandbox.cluster import Sandbox
from sandbox.controller import ACCOUNT, USER
from tests.e2e.driving import Scene, eventually, workload

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("controller")]

Permission = tuple[str, str, str]
"""API group, resource with its subresource, verb; each of the granted ones may hold *."""


@pytest.fixture(scope="module")
def granted(sandbox: Sandbox, account: object) -> set[Permission]:
    rules = sandbox.get("clusterrole", ACCOUNT)["rules"]
    return {one for rule in rules for one in product(rule["apiGroups"], rule["resources"], rule["verbs"])}


@pytest.fixture
def requests(scene: Scene) -> Callable[[], list[AuditEvent]]:
    """What was asked so far, after a scaler has done all that scalers do."""
    key = {"secretKeyRef": {"name": "prometheus", "key": "token"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prometheus"}, "stringData": {"token": "any"}}
    scene.sees(45)
    metric = {"prometheus": {"auth": {"bearer": key}}}
    scene.apply(secret, workload(), scene.scaler(metric=metric, forecast={"leadTime": "auto"}))
    for kind in ("StatefulSet", "ReplicaSet"):
        name = kind.lower()
        scene.apply(workload(kind, name=name), scene.scaler(name, targetRef={"kind": kind, "name": name}))
    scene.apply(*_floor())
    scene.apply(scene.scaler("floor", targetRef={"kind": "HorizontalPodAutoscaler", "name": "floor"}))
    scene.await_replicas(5)
    for name in ("web", "statefulset", "replicaset", "floor"):
        scene.await_condition("Ready", "True", "Scaling", name=name)
    eventually(lambda: scene.get("hpa/floor")["spec"]["minReplicas"] == 5)
    return lambda: scene.sandbox.audit_events(USER)


def covers(grant: Permission, used: Permission) -> bool:
    return all(fnmatchcase(part, pattern) for part, pattern in zip(used, grant, strict=True))


def test_every_verb_that_is_granted_is_used(granted: set[Permission], requests: Callable[[], list[AuditEvent]]) -> None:
    """Events are told after what they tell of."""

    def spare() -> set[Permission]:
        used = {request.permission for request in requests() if request.is_allowed}
        return {grant for grant in granted if not any(covers(grant, one) for one in used)}

    eventually(spare, set().__eq__)


def test_nothing_is_asked_for_that_is_not_granted(sandbox: Sandbox, requests: Callable[[], list[AuditEvent]]) -> None:
    """But for events in a namespace that is being deleted: there, nothing may be created by anyone."""
    asked = requests()
    living = {one["metadata"]["name"] for one in sandbox.get("namespaces")["items"] if _is_living(one)} | {""}
    assert [one for one in asked if not one.is_allowed and one.namespace in living] == []


def _floor() -> tuple[dict[str, Any], dict[str, Any]]:
    """A Deployment and its autoscaler."""
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "floor"},
        "minReplicas": 1,
        "maxReplicas": 9,
    }
    kind = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    return workload(name="floor"), {**kind, "metadata": {"name": "floor"}, "spec": spec}


def _is_living(namespace: dict[str, Any]) -> bool:
    return "deletionTimestamp" not in namespace["metadata"]
