"""Whenever the controller ends, the next one goes on from the status: without a jump, and nothing is done twice."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.cluster import CommandError
from sandbox.controller import REPOSITORY, Controller
from tests.contracts.specs import merged
from tests.e2e.driving import UNHURRIED, Scene, await_decisions, eventually, wall_clock, when, workload

pytestmark = pytest.mark.e2e

GROUP = "admissionregistration.k8s.io/v1"
SIZES = ("apps", "deployments/scale", "deployment/web")
STATUSES = ("predictivescaler.dev", "predictivescalers/status", "psc/web")
REFUSED = "refused by the test"
RUN_A_CONTROLLER = """
import sys, time
from pathlib import Path
from sandbox.controller import Controller
kubeconfig, models, log = map(Path, sys.argv[1:])
with Controller(kubeconfig=kubeconfig, models=models, log=log) as controller:
    print(controller.address, flush=True)
    time.sleep(60)
"""


@contextmanager
def refused(scene: Scene, group: str, resource: str, example: str) -> Iterator[None]:
    """While it lasts, the API server refuses every update of `resource` in the scene."""
    scene.sandbox.apply(*_policy(scene.namespace, group, resource))
    try:
        eventually(lambda: _refusal(scene, example, resource), lambda words: REFUSED in words)
        yield
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            scene.sandbox.kubectl("delete", kind, scene.namespace)
    eventually(lambda: _refusal(scene, example, resource), "".__eq__)


def _policy(namespace: str, group: str, resource: str) -> list[dict[str, Any]]:
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": [resource]}
    only = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}, "resourceRules": [rule]}
    refusal = {"expression": "false", "message": REFUSED}
    specs = {
        "ValidatingAdmissionPolicy": {"matchConstraints": only, "validations": [refusal]},
        "ValidatingAdmissionPolicyBinding": {"policyName": namespace, "validationActions": ["Deny"]},
    }
    metadata = {"name": namespace}
    return [{"apiVersion": GROUP, "kind": kind, "metadata": metadata, "spec": spec} for kind, spec in specs.items()]


def _refusal(scene: Scene, example: str, resource: str) -> str:
    """Why an update is refused, which may also be a conflict with another one; empty when it is not."""
    nothing = ("--type=merge", "-p", "{}", "--dry-run=server", f"--subresource={resource.rpartition('/')[2]}")
    try:
        scene.kubectl("patch", example, *nothing)
    except CommandError as error:
        return error.printed
    return ""


def sizes_written(scene: Scene) -> int:
    """How often the size of a target was changed by the controllers so far."""
    return len([write for write in scene.writes() if write.code == 200])


def test_killed_between_decision_and_act_the_next_one_acts_once(scene: Scene, controller: Controller) -> None:
    scene.sees(15)
    scene.apply(workload(replicas=2), scene.scaler())
    scene.await_condition("Ready", "True", "Scaling")
    with refused(scene, *SIZES):
        scene.sees(45)
        eventually(lambda: scene.condition("AbleToScale")[0], "False".__eq__)
        assert (scene.status()["desiredReplicas"], scene.replicas()) == (5, 2)
        controller.kill()
    controller.start()
    scene.await_replicas(5)
    scene.await_condition("AbleToScale", "True", "ReadyForNewScale")
    await_decisions(controller, scene, 2)
    assert sizes_written(scene) == 1
    assert [note.partition(":")[0] for note in scene.notes("Scaled")] == ["from 2 to 5 replicas"]


def test_killed_between_act_and_report_the_next_one_keeps_the_rate(scene: Scene, controller: Controller) -> None:
    scene.sees(15)
    policy = {"type": "Pods", "value": 2, "periodSeconds": 1800}
    scene.apply(workload(replicas=2), scene.scaler(behavior={"scaleUp": {"policies": [policy]}}))
    scene.await_condition("Ready", "True", "Scaling")
    with refused(scene, *STATUSES):
        scene.sees(95)
        scene.await_replicas(4)
        controller.kill()
        assert scene.status()["currentReplicas"] == 2
    controller.start()
    (*_, decision) = await_decisions(controller, scene, 2)
    assert decision["steps"][-1]["rule"] == "Rate"
    assert (scene.replicas(), sizes_written(scene)) == (4, 1)


def test_the_stabilisation_window_outlives_the_controller(scene: Scene, controller: Controller) -> None:
    scene.sees(65)
    scene.apply(workload(), scene.scaler(behavior=merged(UNHURRIED, _window(600))))
    scene.await_replicas(7)
    eventually(scene.status, lambda status: status.get("currentReplicas") == 7)  # the size is written before the status
    controller.kill()
    killed = wall_clock()  # what it had sent, the API server may write a little later
    scene.sees(15)
    controller.start()
    status = eventually(scene.status, lambda status: status["lastDecision"].get("seen") == 15)
    assert status["lastDecision"]["steps"][-1]["rule"] == "Stabilization"
    wish = max(wish for wish in status["memory"]["recommendations"] if wish[1] == 7)
    assert when(wish[0]) <= killed
    scene.patch("psc/web", {"spec": {"behavior": _window(12)}})  # now only: the next one may take long to start
    scene.await_replicas(2)
    status = eventually(scene.status, lambda status: status["currentReplicas"] == 2)
    assert when(status["lastScaleTime"]) - when(wish[0]) >= timedelta(seconds=11)  # the status tells whole seconds


def _window(seconds: int) -> dict[str, Any]:
    return {"scaleDown": {"stabilizationWindowSeconds": seconds}}


def test_a_scaler_can_be_deleted_while_no_controller_runs(scene: Scene, controller: Controller) -> None:
    scene.sees(45)
    scene.apply(workload(), workload(name="api"), scene.scaler(), scene.scaler("api", targetRef={"name": "api"}))
    scene.await_replicas(5)
    scene.await_condition("Ready", "True", "Scaling", name="api")
    controller.kill()
    scene.kubectl("delete", "psc", "web", "--timeout=20s")
    before = len(scene.requests())
    scene.sees(15)
    controller.start()
    scene.await_replicas(2, "Deployment/api")
    assert (scene.find("psc/web"), scene.replicas()) == (None, 5)
    assert "web" not in {request.name for request in scene.requests()[before:]}


def test_a_scaler_that_is_made_anew_starts_afresh(scene: Scene, controller: Controller) -> None:
    scene.sees(65)
    scene.apply(workload(), scene.scaler(behavior=merged(UNHURRIED, _window(600))))
    scene.await_replicas(7)
    scene.kubectl("delete", "psc", "web")
    scene.sees(15)
    scene.apply(scene.scaler())
    scene.await_replicas(2)


def test_asked_to_end_it_ends_by_itself_and_leaves_nothing_but_json_behind(
    scene: Scene, controller: Controller
) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler())
    scene.await_replicas(5)
    controller.stop()
    lines = [json.loads(line) for line in controller.log.read_text().splitlines()]
    assert lines[-1]["message"] == "stopped"
    assert [line for line in lines if line["level"] == "ERROR"] == []


def test_it_ends_with_whoever_runs_it_on_the_sandbox(
    controller: Controller, account: Path, models: Path, tmp_path: Path
) -> None:
    controller.stop()
    command = [sys.executable, "-c", RUN_A_CONTROLLER, str(account), str(models), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline().rpartition(":")[2])
        assert _listens(port)
        parent.kill()
    eventually(lambda: not _listens(port))


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
