"""The lead time is learnt from pods that really start, anew for another template, and over a restart."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandbox.cluster import Sandbox
from sandbox.controller import Controller, await_kind
from sandbox.kwok import STARTUP_ANNOTATION
from tests.contracts.specs import merged
from tests.e2e.driving import Scene, await_decisions, eventually, when, workload

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("controller")]

AUTO: dict[str, Any] = {"forecast": {"leadTime": "auto"}}
SIX: dict[str, Any] = {"minReplicas": 6}
IS_READY = ("Ready", "True")
CUT_SECONDS = 1
"""The times of pods are told in whole seconds."""

Pod = dict[str, Any]


def starting_in(startup: timedelta, kind: str = "Deployment") -> dict[str, Any]:
    """Six replicas, each of which is Ready so long after it was scheduled."""
    annotations = {STARTUP_ANNOTATION: f"{startup.total_seconds():g}s"}
    template = {"metadata": {"annotations": annotations}}
    return dict(merged(workload(kind, replicas=6), {"spec": {"template": template}}))


def lead_time(scene: Scene) -> dict[str, Any]:
    return dict(scene.status().get("leadTime", {}))


def learnt(scene: Scene, template: str, startup: timedelta) -> dict[str, Any]:
    """What the status says once it was learnt from the six pods of the template; fails where it never does.

    It must be what the slowest of them took, whatever a busy machine added to `startup`.
    """
    told = eventually(lambda: lead_time(scene), lambda told: told.get("template") == template)
    assert (told["source"], told["samples"], told["waiting"]) == ("Learnt", 6, 0)
    slowest = max(took(pod) for pod in pods(scene))
    assert startup.total_seconds() <= slowest
    assert slowest <= told["seconds"] <= slowest + CUT_SECONDS
    return told


def up(scene: Scene, but: str = "") -> str:
    """Wait until there are six pods and no more, all Ready and of one template, which is not `but`; that template."""

    def templates() -> list[str]:
        return [pod_template(pod) if ready_since(pod) else "" for pod in pods(scene)]

    def is_up(found: list[str]) -> bool:
        return len(found) == 6 and len(set(found)) == 1 and found[0] not in {"", but}

    return eventually(templates, is_up)[0]


def ready_since(pod: Pod) -> str | None:
    """When it became Ready; None while it is not."""
    conditions = pod["status"].get("conditions", ())
    return next((one["lastTransitionTime"] for one in conditions if (one["type"], one["status"]) == IS_READY), None)


def took(pod: Pod) -> float:
    """Seconds from when it was created until it was Ready."""
    return (when(ready_since(pod) or "") - when(pod["metadata"]["creationTimestamp"])).total_seconds()


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_it_is_learnt_from_pods_that_are_there(scene: Scene, kind: str) -> None:
    startup = timedelta(seconds=2)
    scene.sees(45)
    scene.apply(starting_in(startup, kind))
    template = up(scene)
    scene.apply(scene.scaler(targetRef={"kind": kind}, **AUTO, **SIX))
    learnt(scene, template, startup)


def test_another_template_is_learnt_anew(scene: Scene, controller: Controller) -> None:
    """By a new controller, which looks at once: another look than the first comes a minute later at the earliest."""
    slow, quick = timedelta(seconds=9), timedelta(seconds=2)
    scene.sees(45)
    scene.apply(starting_in(slow))
    template = up(scene)
    scene.apply(scene.scaler(**AUTO, **SIX))
    learnt(scene, template, slow)
    controller.stop()
    scene.apply(starting_in(quick))
    another = up(scene, but=template)
    controller.start()
    after = learnt(scene, another, quick)
    line = f'lead_time_seconds{{namespace="{scene.namespace}",scaler="web"}} {after["seconds"]:g}'
    eventually(lambda: metrics(controller), lambda page: line in page)


def test_it_survives_a_restart_and_pods_that_are_gone(scene: Scene, controller: Controller) -> None:
    startup = timedelta(seconds=3)
    scene.sees(45)
    scene.apply(starting_in(startup))
    template = up(scene)
    scene.apply(scene.scaler(**AUTO, **SIX))
    before = learnt(scene, template, startup)
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
    scene.apply(starting_in(timedelta(minutes=30)))
    eventually(lambda: len(pods(scene)), (6).__eq__)  # there is no other look within a minute
    scene.apply(scene.scaler(**AUTO, **SIX))
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
    listed = [event for event in scene.requests() if event.resource == "pods"]
    assert 1 <= len(listed) <= 2  # once, and once more where ten ticks take a minute


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
    told = eventually(lambda: lead_time(scene))
    assert (told["seconds"], told["source"]) == (120, "Default")
    assert "tells no selector" in told["message"]
    assert scene.status()["desiredReplicas"] == 5
    eventually(lambda: metrics(controller), lambda page: 'reason="PodsUnknown"' in page)


def pods(scene: Scene) -> list[Pod]:
    return list(scene.sandbox.get("pods", "-n", scene.namespace)["items"])


def pod_template(pod: Pod) -> str:
    labels = pod["metadata"]["labels"]
    return str(labels.get("pod-template-hash") or labels["controller-revision-hash"])


def metrics(controller: Controller) -> str:
    return controller.get("/metrics")[1]
