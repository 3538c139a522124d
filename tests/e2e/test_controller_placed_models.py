"""A model in a registry: fetched beside the ticks, reacted without until it is there, kept when the place is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import binaries
from sandbox.cluster import Sandbox
from sandbox.controller import Controller
from tests.e2e.artifacts import Registry
from tests.e2e.driving import TRUSTED, Scene, eventually, workload

pytestmark = pytest.mark.e2e

RETRY_SECONDS = 150.0
"""The pause before a place is asked again doubles each time: whoever pushes after a minute may wait for another."""


@pytest.fixture(scope="module")
def registry(sandbox: Sandbox) -> Iterator[Registry]:
    with Registry(binaries.find_all()["crane"], sandbox.logs / "registry.log") as registry:
        yield registry


@pytest.fixture(scope="module")
def only_controller(
    sandbox: Sandbox, account: Path, models: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Controller]:
    """One that may fetch from the registry, which is on this machine, and from nowhere else."""
    environment = {
        "PREDICTIVE_SCALER_MODELS_CACHE": str(tmp_path_factory.mktemp("cache") / "models"),
        "PREDICTIVE_SCALER_MODEL_PLACES": f"oci://{registry.host}/",
    }
    log = sandbox.logs / "controller-placed-models.log"
    with Controller(kubeconfig=account, models=models, log=log, environment=environment) as controller:
        yield controller


@pytest.fixture
def always_95(models: Path) -> bytes:
    return (models / "always-95.onnx").read_bytes()


def test_a_model_that_is_not_there_yet_is_reacted_without(
    scene: Scene, controller: Controller, registry: Registry, always_95: bytes
) -> None:
    name = f"oci://{registry.host}/models/{scene.namespace}:v1"
    scene.sees(TRUSTED)
    scene.apply(workload(), scene.scaler(forecast={"model": name}))
    scene.await_replicas(9)
    message = eventually(
        lambda: scene.condition("Forecasting"), lambda found: found[1] == "ModelDownload" and "has no" in found[2]
    )[2]
    assert f"{name}: 127.0.0.1" in message
    assert "correct forecast.model, or push" in message
    registry.push(f"models/{scene.namespace}", "v1", always_95)
    scene.await_replicas(10, seconds=RETRY_SECONDS)


def test_a_place_that_is_not_allowed_is_told(scene: Scene, controller: Controller) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler(forecast={"model": "https://169.254.169.254/latest/meta-data/"}))
    assert "PREDICTIVE_SCALER_MODEL_PLACES" in scene.await_condition("Forecasting", "False", "ModelPlace")
    scene.await_replicas(5)


def test_a_restarted_controller_needs_no_place(
    scene: Scene, controller: Controller, registry: Registry, always_95: bytes
) -> None:
    registry.push("models/kept", "v1", always_95)
    forecast = {"model": f"oci://{registry.host}/models/kept:v1"}
    scene.sees(TRUSTED)
    scene.apply(workload(), scene.scaler(forecast=forecast))
    scene.await_replicas(10)
    controller.kill()
    registry.stop()
    scene.kubectl("delete", "psc", "web")
    scene.kubectl("scale", "deployment/web", "--replicas=1")
    controller.start()
    try:
        scene.apply(scene.scaler(forecast=forecast))
        scene.await_replicas(10)
    finally:
        registry.start()  # for the others; what was pushed is forgotten
