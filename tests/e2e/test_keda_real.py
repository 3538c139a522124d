"""KEDA itself with our trigger: its operator, its HPA and the Deployment follow what the controller decides.

KEDA is built from its own modules by `python -m sandbox build keda`, and not by anything else: skipped without.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sandbox import keda
from sandbox.cluster import Sandbox
from sandbox.controller import Controller, install
from sandbox.exporter import Exporter
from sandbox.processes import free_port
from tests.e2e.driving import SCRAPES, Scene, eventually, workload
from tests.e2e.reading import Reader

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(keda.missing()), reason=keda.missing() or "it can be run"),
    pytest.mark.timeout(900),
]
HELD_SECONDS = 30.0  # six rounds of the HPA's controller
UNHURRIED = {
    "scaleUp": {"tolerance": "0", "policies": [{"type": "Pods", "value": 50, "periodSeconds": 15}]},
    "scaleDown": {"tolerance": "0", "stabilizationWindowSeconds": 0},
}
"""What the controller decided is not to be smoothed once more."""


@cache
def address() -> str:
    """Where the controller answers KEDA: on a port that is free when it is first asked for, and not long before."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def own_sandbox() -> Iterator[Sandbox]:
    """A cluster of its own: KEDA registers an API, whose absence afterwards would be felt by everyone."""
    with Sandbox(startup=timedelta(seconds=1)) as sandbox, keda.running(sandbox):
        yield sandbox


@pytest.fixture(scope="module")
def answering(own_sandbox: Sandbox, models: Path) -> Iterator[Controller]:
    """A controller that KEDA asks; a test may kill it."""
    controller = Controller(
        kubeconfig=install(own_sandbox),
        models=models,
        log=own_sandbox.logs / "controller.log",
        environment={"PREDICTIVE_SCALER_KEDA_ADDRESS": address()},
    )
    with controller:
        yield controller


@pytest.fixture
def scene(own_sandbox: Sandbox, answering: Controller, request: pytest.FixtureRequest) -> Iterator[Scene]:
    if not answering.is_running:
        answering.start()
    name = f"keda-{abs(hash(request.node.name)) % 10**8}"
    own_sandbox.kubectl("create", "namespace", name)
    own_sandbox.await_namespace(name)
    with Exporter({}) as exporter:
        prometheus = own_sandbox.prometheus(scrapes=[exporter.scrape(SCRAPES)])
        reader = Reader(own_sandbox)
        yield Scene(sandbox=own_sandbox, reader=reader, exporter=exporter, prometheus=prometheus, namespace=name)
        own_sandbox.kubectl("delete", "scaledobject", "--all", "-n", name)


def trigger(scaler: str = "web", kind: str = "external") -> dict[str, Any]:
    return {"type": kind, "metadata": {"scalerAddress": address(), "scaler": scaler, "activationThreshold": "5"}}


def scaled_object(**spec: Any) -> dict[str, Any]:
    """Of the Deployment "web", by the PredictiveScaler "web" unless there are other triggers."""
    plain = {
        "scaleTargetRef": {"name": "web"},
        "pollingInterval": 2,
        "minReplicaCount": 1,
        "maxReplicaCount": 50,
        "triggers": [trigger()],
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": UNHURRIED}},
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web"},
        "spec": {**plain, **spec},
    }


def test_the_deployment_follows_what_was_decided_and_the_controller_writes_nothing(scene: Scene) -> None:
    scene.sees(25)
    scene.apply(workload(), scene.scaler(mode="Observe"), scaled_object())
    scene.await_replicas(3, seconds=150)
    hpa = json.loads(scene.kubectl("get", "hpa", "keda-hpa-web", "-o", "json"))
    (metric,) = hpa["spec"]["metrics"]
    assert metric["external"]["metric"]["name"] == "s0-predictive-scaler-web"
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": "1"}
    scene.sees(205)
    scene.await_replicas(21, seconds=120)
    scene.sees(195)
    scene.await_replicas(20, seconds=120)  # 5 % fewer: an HPA's own tolerance would keep 21
    assert scene.writes() == []


def test_without_an_answer_keda_falls_back_and_with_nobody_to_ask_it_holds(scene: Scene, answering: Controller) -> None:
    """The fallback acts while the controller says why it has no number; KEDA has none for who cannot be reached."""
    scene.sees(25)
    fallback = {"failureThreshold": 3, "replicas": 7, "behavior": "currentReplicasIfHigher"}
    scene.apply(workload(), scene.scaler(mode="Observe"), scaled_object(fallback=fallback))
    scene.await_replicas(3, seconds=150)
    scene.patch("psc/web", {"spec": {"mode": "Paused"}})
    scene.await_replicas(7, seconds=150)
    told = scene.kubectl("get", "events", "--field-selector", "reason=KEDAScalerFailed", "-o", "jsonpath={..message}")
    assert "has mode Paused; set mode: Observe, so that it decides and KEDA scales" in told
    scene.patch("psc/web", {"spec": {"mode": "Observe"}})
    scene.await_replicas(3, seconds=120)
    answering.kill()
    assert _sizes_for_a_while(scene) == {3}
    scene.sees(45)
    answering.start()
    scene.await_replicas(5, seconds=120)


def test_the_largest_of_the_triggers_counts_and_one_without_a_number_shrinks_nothing(scene: Scene) -> None:
    """The other trigger is one of ours as well, for twice the load."""
    scene.sees(25)
    other = scene.scaler("other", mode="Observe", metric={"prometheus": {"query": f"2 * {scene.query}"}})
    scene.apply(workload(), scene.scaler(mode="Observe"), other)
    scene.apply(scaled_object(triggers=[trigger(), trigger("other")]))
    scene.await_replicas(5, seconds=150)
    scene.kubectl("delete", "psc", "other")
    assert _sizes_for_a_while(scene) == {5}
    scene.sees(75)
    scene.await_replicas(8, seconds=120)


def _sizes_for_a_while(scene: Scene) -> set[int]:
    began, sizes = time.monotonic(), set[int]()
    while time.monotonic() - began < HELD_SECONDS:
        sizes.add(scene.replicas())
        time.sleep(1.0)
    return sizes


def test_pushed_activity_wakes_a_workload_from_0(scene: Scene) -> None:
    """With a poll only once an hour, what wakes it is the stream; the HPA then asks for what the load needs."""
    scene.sees(0)
    scene.apply(
        workload(replicas=0),
        scene.scaler(mode="Observe"),
        scaled_object(
            triggers=[trigger(kind="external-push")], minReplicaCount=0, pollingInterval=3600, cooldownPeriod=3600
        ),
    )
    eventually(lambda: scene.kubectl("get", "scaledobject", "web", "-o", "jsonpath={.status.hpaName}"), bool, 120)
    assert scene.replicas() == 0
    scene.sees(65)
    scene.await_replicas(7, seconds=120)
