"""The floor of an autoscaler is raised before the load comes, and given back to its user whatever happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from controller.targets.floors import ANNOTATION
from sandbox.cluster import Sandbox
from sandbox.controller import Controller
from tests.e2e.driving import Scene, await_decisions, eventually, wall_clock, when, workload
from tests.e2e.metrics_api import METRIC, MetricsApi, serving

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("controller")]

OWN = 2
PROMPT_SECONDS = 25.0
"""Floors and scalers are compared once a minute at least; what waits for that mostly takes longer."""

AT_ONCE = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}]}
SEEN = {
    "type": "External",
    "external": {"metric": {"name": METRIC}, "target": {"type": "AverageValue", "averageValue": "10"}},
}
FLOOR: dict[str, Any] = {"targetRef": {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}}


def autoscaler(least: int = OWN, labels: dict[str, str] | None = None) -> dict[str, Any]:
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": least,
        "maxReplicas": 20,
        "metrics": [SEEN],
        "behavior": {"scaleUp": AT_ONCE, "scaleDown": AT_ONCE},
    }
    metadata = {"name": "web", "labels": labels or {}}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def floor(scene: Scene) -> int:
    return int(scene.get("hpa/web")["spec"]["minReplicas"])


def await_floor(scene: Scene, least: int) -> None:
    eventually(lambda: floor(scene), least.__eq__)


def is_as_its_user_left_it(scene: Scene) -> bool:
    """Neither an annotation nor a field of ours."""
    metadata = scene.get("hpa/web")["metadata"]
    managers = {one["manager"] for one in metadata["managedFields"]}
    return ANNOTATION not in metadata.get("annotations", {}) and "predictive-scaler" not in managers


@pytest.fixture
def raised(scene: Scene) -> Scene:
    """A floor of 2, raised to 5."""
    scene.sees(45)
    scene.apply(workload(), autoscaler(), scene.scaler(**FLOOR))
    await_floor(scene, 5)
    return scene


@pytest.fixture(scope="module")
def metrics(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetricsApi]:
    with serving(sandbox, tmp_path_factory.mktemp("metrics")) as api:
        yield api


def test_a_real_autoscaler_goes_on_above_the_floor(scene: Scene, metrics: MetricsApi) -> None:
    metrics.values[scene.namespace] = 40
    scene.sees(65)
    scene.apply(workload(), autoscaler())
    scene.await_replicas(4, seconds=60)
    scene.apply(scene.scaler(**FLOOR))
    scene.await_replicas(7)
    scene.await_condition("AbleToScale", "True", "ReadyForNewScale")
    metrics.values[scene.namespace] = 90
    scene.await_replicas(9)
    assert floor(scene) == 7
    metrics.values[scene.namespace] = 5
    scene.sees(12)
    scene.await_replicas(OWN)
    eventually(lambda: scene.status().get("target", {}).get("note"), "it has 2 replicas".__eq__)
    assert scene.writes() == []  # of the Deployment's own size


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(("delete", "psc", "web"), id="deleted"),
        pytest.param(("patch", "psc", "web", "--type=merge", "-p", '{"spec": {"mode": "Paused"}}'), id="paused"),
        pytest.param(
            ("patch", "psc", "web", "--type=merge", "-p", '{"spec": {"targetRef": {"name": "other"}}}'), id="elsewhere"
        ),
    ],
)
def test_a_floor_that_nobody_raises_is_given_back(raised: Scene, end: tuple[str, ...]) -> None:
    raised.kubectl(*end)
    eventually(lambda: is_as_its_user_left_it(raised), seconds=PROMPT_SECONDS)
    assert floor(raised) == OWN


def test_a_floor_is_given_back_though_nothing_ran_when_its_scaler_went(raised: Scene, controller: Controller) -> None:
    controller.kill()
    raised.kubectl("delete", "psc", "web")
    assert floor(raised) == 5
    controller.start()
    eventually(lambda: is_as_its_user_left_it(raised))
    assert floor(raised) == OWN


def test_nothing_of_ours_stands_in_its_user_s_way_afterwards(raised: Scene) -> None:
    raised.kubectl("delete", "psc", "web")
    eventually(lambda: is_as_its_user_left_it(raised), seconds=PROMPT_SECONDS)
    manifest = json.dumps(autoscaler(4) | {"metadata": {"name": "web", "namespace": raised.namespace}})
    raised.sandbox.kubectl("apply", "--server-side", "--field-manager=new", "-f", "-", stdin=_without_labels(manifest))
    assert floor(raised) == 4


def _without_labels(manifest: str) -> str:
    """What nobody else owns: client-side apply owns all it wrote but the floor, which was given back to nobody."""
    found = json.loads(manifest)
    found["spec"] = {"scaleTargetRef": found["spec"]["scaleTargetRef"], "maxReplicas": 20, "minReplicas": 4}
    return json.dumps(found)


def test_what_its_user_writes_meanwhile_is_what_is_given_back(raised: Scene) -> None:
    raised.apply(autoscaler(least=3))
    await_floor(raised, 5)
    assert json.loads(raised.get("hpa/web")["metadata"]["annotations"][ANNOTATION])["own"] == 3
    raised.sees(10)
    await_floor(raised, 3)
    raised.sees(45)
    await_floor(raised, 5)
    raised.kubectl("delete", "psc", "web")
    eventually(lambda: is_as_its_user_left_it(raised), seconds=PROMPT_SECONDS)
    assert floor(raised) == 3


def test_above_what_it_may_have_a_floor_is_not_raised(scene: Scene) -> None:
    scene.sees(450)
    scene.apply(workload(), autoscaler(), scene.scaler(**FLOOR))
    await_floor(scene, 20)
    message = scene.await_condition("AbleToScale", "True", "TargetAtBound")
    assert "the HorizontalPodAutoscaler's own maximum is 20" in message


def test_an_autoscaler_that_is_gone_is_waited_for(raised: Scene) -> None:
    raised.kubectl("delete", "hpa", "web")
    message = raised.await_condition("AbleToScale", "False", "TargetNotFound")
    assert message.startswith('HorizontalPodAutoscaler "web" in namespace')
    raised.apply(autoscaler())
    await_floor(raised, 5)


def test_of_two_scalers_of_a_floor_the_other_goes_on_when_the_older_goes(raised: Scene) -> None:
    created = when(raised.get("psc/web")["metadata"]["creationTimestamp"])
    eventually(lambda: wall_clock() - created, timedelta(seconds=1).__le__)  # within one second names decide
    raised.apply(raised.scaler("a-younger-one", **FLOOR, metric={"targetPerReplica": "5"}))
    message = raised.await_condition("AbleToScale", "False", "TargetOwned", name="a-younger-one")
    assert 'PredictiveScaler "web", the older one, sets the floor of' in message
    raised.kubectl("delete", "psc", "web")
    await_floor(raised, 9)
    raised.kubectl("delete", "psc", "a-younger-one")
    eventually(lambda: is_as_its_user_left_it(raised), seconds=PROMPT_SECONDS)
    assert floor(raised) == OWN


def test_keda_s_own_autoscaler_is_left_to_keda(scene: Scene, controller: Controller) -> None:
    controller.stop()  # a new one knows it at once, not only after 30 s
    scene.sees(45)
    scene.apply(workload(), autoscaler(labels={"scaledobject.keda.sh/name": "web"}), scene.scaler(**FLOOR))
    controller.start()
    message = scene.await_condition("AbleToScale", "False", "TargetOwned")
    assert message.startswith('KEDA\'s ScaledObject "web" sets the floor of HorizontalPodAutoscaler "web"; make this')
    await_decisions(controller, scene, 2)
    assert floor(scene) == OWN
