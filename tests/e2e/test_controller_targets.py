"""Any kind with a size is scaled; what is missing is waited for; who else decides is left to decide."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest

from sandbox.cluster import Sandbox
from sandbox.controller import Controller, await_kind
from tests.e2e.driving import Scene, await_decisions, eventually, wall_clock, when, workload

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("controller")]

FLEETS = "fleets.e2e.example"
FLEET = {"apiVersion": "e2e.example/v1", "kind": "Fleet", "metadata": {"name": "web"}, "spec": {"replicas": 1}}
SIZE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
REVISION = "deployment.kubernetes.io/revision"
"""An annotation that Kubernetes itself writes, soon after a Deployment was made."""

ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest.fixture(scope="module")
def fleets(sandbox: Sandbox) -> None:
    """A kind that nobody knew when the controller was written."""
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": ANYTHING},
        "subresources": {"status": {}, "scale": SIZE},
    }
    names = {"kind": "Fleet", "plural": "fleets"}
    spec = {"group": "e2e.example", "scope": "Namespaced", "names": names, "versions": [version]}
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    sandbox.apply({**kind, "metadata": {"name": FLEETS}, "spec": spec})
    await_kind(sandbox, FLEETS)


@pytest.mark.usefixtures("fleets")
@pytest.mark.parametrize(
    "target",
    [workload("StatefulSet"), workload("ReplicaSet"), FLEET],
    ids=lambda target: target["kind"],
)
def test_whatever_has_a_size_is_scaled(scene: Scene, target: dict[str, Any]) -> None:
    scene.sees(45)
    ref = {"apiVersion": target["apiVersion"], "kind": target["kind"]}
    scene.apply(target, scene.scaler(targetRef=ref))
    scene.await_replicas(5, f"{target['kind']}/web")


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ({"apiVersion": "v1", "kind": "ConfigMap"}, "ConfigMap of v1 has no scale subresource"),
        ({"apiVersion": "nobody.example/v1", "kind": "Thing"}, "nothing in nobody.example/v1 that can be scaled"),
    ],
)
def test_what_has_no_size_is_not_scaled(scene: Scene, ref: dict[str, str], words: str) -> None:
    scene.sees(45)
    scene.apply(scene.scaler(targetRef=ref))
    assert words in scene.await_condition("AbleToScale", "False", "TargetNotScalable")


def test_a_missing_target_is_waited_for(scene: Scene) -> None:
    scene.sees(45)
    scene.apply(scene.scaler())
    message = scene.await_condition("AbleToScale", "False", "TargetNotFound")
    assert message.startswith(f'Deployment "web" in namespace {scene.namespace} does not exist')
    eventually(lambda: scene.notes("TargetNotFound"))
    scene.apply(workload())
    scene.await_replicas(5)
    scene.await_condition("AbleToScale", "True", "ReadyForNewScale")


def test_a_target_that_is_made_anew_is_scaled_anew(scene: Scene) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler())
    scene.await_replicas(5)
    scene.kubectl("delete", "deployment", "web")
    scene.await_condition("AbleToScale", "False", "TargetNotFound")
    scene.apply(workload())
    scene.await_replicas(5)


def test_a_target_that_was_switched_off_stays_off(scene: Scene, controller: Controller) -> None:
    scene.sees(45)
    scene.apply(workload(replicas=0), scene.scaler())
    scene.await_condition("AbleToScale", "False", "TargetScaledToZero")
    await_decisions(controller, scene, 2)
    assert scene.writes() == []


def test_of_two_scalers_the_older_one_scales_as_long_as_it_is_there(scene: Scene) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler("older"))
    scene.await_replicas(5)
    born = when(scene.get("psc/older")["metadata"]["creationTimestamp"])
    eventually(wall_clock, lambda now: (now - born).total_seconds() > 1)  # ages are told in whole seconds
    scene.apply(scene.scaler("younger", metric={"targetPerReplica": "5"}))
    message = scene.await_condition("AbleToScale", "False", "TargetOwned", name="younger")
    assert 'PredictiveScaler "older"' in message
    codes = [write.code for write in scene.writes()]
    assert codes.count(HTTPStatus.OK) == 1
    assert set(codes) <= {HTTPStatus.OK, HTTPStatus.CONFLICT}  # with the status of a Deployment just made
    scene.kubectl("delete", "psc", "older")
    scene.await_replicas(9)


def test_another_autoscaler_is_not_fought_and_followed_when_it_is_gone(scene: Scene, controller: Controller) -> None:
    scene.sees(45)
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    rival = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web-hpa"}}
    scene.apply(workload(), {**rival, "spec": {"scaleTargetRef": ref, "maxReplicas": 3}})
    controller.stop()  # a new one knows it at once, not only after 30 s
    controller.start()
    scene.apply(scene.scaler())
    message = scene.await_condition("AbleToScale", "False", "TargetOwned")
    assert 'HorizontalPodAutoscaler "web-hpa"' in message
    assert "raise its floor instead (targetRef: {kind: HorizontalPodAutoscaler, name: web-hpa})" in message
    assert (scene.status()["desiredReplicas"], scene.writes()) == (5, [])
    scene.kubectl("delete", "hpa", "web-hpa")
    scene.await_replicas(5)


def test_objects_of_users_are_left_as_they_are_but_for_size_and_status(scene: Scene) -> None:
    scene.sees(45)
    scene.apply(workload())
    eventually(lambda: scene.get("Deployment/web")["metadata"].get("annotations", {}).get(REVISION))
    scene.apply(scene.scaler())
    told = [_told_by_users(scene.get(what)) for what in ("psc/web", "Deployment/web")]
    scene.await_replicas(5)
    scene.await_condition("Ready", "True", "Scaling")
    assert [_told_by_users(scene.get(what)) for what in ("psc/web", "Deployment/web")] == told
    assert _written(scene, "psc/web") == {"status": {"f:status"}}
    assert _written(scene, "Deployment/web") == {"scale": {"f:spec"}}


def _told_by_users(thing: dict[str, Any]) -> dict[str, Any]:
    names = ("annotations", "finalizers", "labels", "ownerReferences")
    return {name: thing["metadata"][name] for name in names if name in thing["metadata"]}


def _written(scene: Scene, what: str) -> dict[str, set[str]]:
    """What neither kubectl nor Kubernetes itself wrote: fields by subresource."""
    entries = scene.get(what)["metadata"]["managedFields"]
    others = [entry for entry in entries if not entry["manager"].startswith(("kubectl", "kube-controller-manager"))]
    return {entry.get("subresource", ""): set(entry["fieldsV1"]) for entry in others}
