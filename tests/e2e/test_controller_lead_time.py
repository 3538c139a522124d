"""The lead time is learnt from pods that really start, anew for another template, and over a restart."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandbox.cluster import Sandbox
from sandbox.controller import Controller, await_kind
from sandbox.kwok import STARTUP_ANNOTATION
from tests.contracts.specs import merged
from tests.e2e.driving import Scene, await_decisions, eventually, workload

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("controller")]

AUTO: dict[str, Any] = {"forecast": {"leadTime": "auto"}}
SIX: dict[str, Any] = {"minReplicas": 6}
SLACK_SECONDS = 4
"""What scheduling and a busy machine add to a start-up, and the second that times are cut by."""

A_LOOK_SECONDS = 100.0  # a target is looked at once a minute at most


def starting_in(startup: timedelta, kind: str = "Deployment") -> dict[str, Any]:
    """Six replicas, each of which is Ready so long after it was scheduled."""
    annotations = {STARTUP_ANNOTATION: f"{startup.total_seconds():g}s"}
    template = {"metadata": {"annotations": annotations}}
    return dict(merged(workload(kind, replicas=6), {"spec": {"template": template}}))


def lead_time(scene: Scene) -> dict[str, Any]:
    return dict(scene.status().get("leadTime", {}))


def learnt(scene: Scene, startup: timedelta, seconds: float = 30.0) -> dict[str, Any]:
    """What the status says once it was learnt from six pods that started in `startup`; fails where it never does."""
    low = startup.total_seconds()

    def is_learnt(told: dict[str, Any]) -> bool:
        return bool(told.get("source") == "Learnt" and told["samples"] == 6 and low <= told["seconds"])

    told = eventually(lambda: lead_time(scene), is_learnt, seconds)
    assert low <= told["seconds"] <= low + SLACK_SECONDS
    return told


def ready(scene: Scene, what: str = "Deployment/web") -> int:
    status = scene.get(what)["status"]
    return min(int(status.get("readyReplicas", 0)), int(status.get("updatedReplicas", 0)))


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_it_is_learnt_from_pods_that_are_there(scene: Scene, kind: str) -> None:
    startup = timedelta(seconds=2)
    scene.sees(45)
    scene.apply(starting_in(startup, kind))
    eventually(lambda: ready(scene, f"{kind}/web"), (6).__eq__, seconds=60)
    scene.apply(scene.scaler(targetRef={"kind": kind}, **AUTO, **SIX))
    told = learnt(scene, startup)
    (template,) = {pod_template(pod) for pod in pods(scene)}
    assert told["template"] == template


def test_another_template_is_learnt_anew(scene: Scene, controller: Controller) -> None:
    """The first look finds the old pods, the next comes a minute later at the earliest, when the new ones are up."""
    slow, quick = timedelta(seconds=9), timedelta(seconds=2)
    scene.sees(45)
    scene.apply(starting_in(slow))
    eventually(lambda: ready(scene), (6).__eq__, seconds=60)
    scene.apply(scene.scaler(**AUTO, **SIX))
    before = learnt(scene, slow)
    scene.apply(starting_in(quick))
    after = eventually(lambda: lead_time(scene), lambda told: told["template"] != before["template"], A_LOOK_SECONDS)
    assert (after["source"], after["samples"], after["waiting"]) == ("Learnt", 6, 0)
    assert 2 <= after["seconds"] <= 2 + SLACK_SECONDS
    assert f'lead_time_seconds{{namespace="{scene.namespace}",scaler="web"}} {after["seconds"]:g}' in metrics(
        controller
    )


def test_it_survives_a_restart_and_pods_that_are_gone(scene: Scene, controller: Controller) -> None:
    startup = timedelta(seconds=3)
    scene.sees(45)
    scene.apply(starting_in(startup))
    eventually(lambda: ready(scene), (6).__eq__, seconds=60)
    scene.apply(scene.scaler(**AUTO, **SIX))
    before = learnt(scene, startup)
    scene.kubectl("delete", "deployment", "web")
    scene.await_condition("AbleToScale", "False", "TargetNotFound")
    eventually(lambda: pods(scene), [].__eq__)
    controller.stop()
    controller.start()
    scene.apply(workload(replicas=0))
    scene.await_condition("AbleToScale", "False", "TargetScaledToZero")
    assert lead_time(scene) == before


def test_pods_that_wait_are_told_and_lengthen_nothing_yet(scene: Scene) -> None:
    scene.sees(45)
    scene.apply(starting_in(timedelta(minutes=30)), scene.scaler(**AUTO, **SIX))
    told = eventually(lambda: lead_time(scene), lambda told: told.get("waiting") == 6)
    assert (told["seconds"], told["source"], told["samples"]) == (120, "Default", 0)


def test_a_lead_time_of_the_spec_is_told_and_no_pods_are_listed(scene: Scene) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler(forecast={"leadTime": "90s"}))
    assert eventually(lambda: lead_time(scene)) == {"seconds": 90, "source": "Spec"}
    assert [event for event in scene.requests() if event.resource == "pods"] == []


def test_pods_are_not_listed_with_each_tick(scene: Scene, controller: Controller) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler(**AUTO))
    await_decisions(controller, scene, 10)
    assert len([event for event in scene.requests() if event.resource == "pods"]) == 1


CRATES = "crates.e2e.example"


@pytest.fixture(scope="module")
def crates(sandbox: Sandbox) -> None:
    """A kind with a size and without a selector."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    size = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": anything},
        "subresources": {"status": {}, "scale": size},
    }
    names = {"kind": "Crate", "plural": "crates"}
    spec = {"group": "e2e.example", "scope": "Namespaced", "names": names, "versions": [version]}
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    sandbox.apply({**kind, "metadata": {"name": CRATES}, "spec": spec})
    await_kind(sandbox, CRATES)


@pytest.mark.usefixtures("crates")
def test_a_kind_without_a_selector_says_so_and_is_scaled(scene: Scene, controller: Controller) -> None:
    ref = {"apiVersion": "e2e.example/v1", "kind": "Crate"}
    scene.sees(45)
    scene.apply({**ref, "metadata": {"name": "web"}, "spec": {"replicas": 1}}, scene.scaler(targetRef=ref, **AUTO))
    scene.await_condition("Ready", "True", "Scaling")
    told = lead_time(scene)
    assert (told["seconds"], told["source"]) == (120, "Default")
    assert "tells no selector" in told["message"]
    assert scene.status()["desiredReplicas"] == 5
    assert 'reason="PodsUnknown"' in metrics(controller)


def pods(scene: Scene) -> list[dict[str, Any]]:
    return list(scene.sandbox.get("pods", "-n", scene.namespace)["items"])


def pod_template(pod: dict[str, Any]) -> str:
    labels = pod["metadata"]["labels"]
    return str(labels.get("pod-template-hash") or labels["controller-revision-hash"])


def metrics(controller: Controller) -> str:
    return controller.get("/metrics")[1]
