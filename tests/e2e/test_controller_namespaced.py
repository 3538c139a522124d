"""Where the chart's `watchNamespaces` names some, the controller serves these with Roles and knows of no others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.cluster import Sandbox
from sandbox.controller import ACCOUNT, Controller, install
from tests.e2e.driving import Scene, await_decisions, workload

pytestmark = pytest.mark.e2e


@pytest.fixture
def home(namespace: str) -> str:
    """Where the controller's own account lives."""
    return f"{namespace}-home"


@pytest.fixture
def namespaced(sandbox: Sandbox, account: Path, models: Path, namespace: str, home: str) -> Iterator[Controller]:
    """A controller that may serve the test's namespace and nothing else; `account` has applied the CRD."""
    kubeconfig = install(sandbox, namespace=home, watched=[namespace])
    log = sandbox.logs / "controller-namespaced.log"
    with Controller(kubeconfig=kubeconfig, models=models, log=log, watched=[namespace]) as controller:
        yield controller
    sandbox.kubectl("delete", "namespace", home, "--wait=false")


def test_a_watched_namespace_is_scaled(scene: Scene, namespaced: Controller) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler())
    scene.await_replicas(5)


def test_another_namespace_is_left_alone(scene: Scene, namespaced: Controller, home: str) -> None:
    scene.sees(45)
    replace(scene, namespace=home).apply(workload(), scene.scaler())
    scene.apply(workload(), scene.scaler())
    await_decisions(namespaced, scene, 3)
    assert "status" not in scene.sandbox.get("psc", "web", "-n", home)


def test_nothing_is_asked_that_roles_do_not_grant(
    scene: Scene, sandbox: Sandbox, namespaced: Controller, home: str
) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler())
    scene.await_replicas(5)
    asked = sandbox.audit_events(f"system:serviceaccount:{home}:{ACCOUNT}")
    assert asked
    assert [event for event in asked if not event.is_allowed] == []
