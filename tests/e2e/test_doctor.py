"""`doctor` on a real cluster: as its administrator, as the controller's own account, and as who may do little."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.cluster import Sandbox
from sandbox.controller import ACCOUNT, NAMESPACE, REPOSITORY, Controller
from tests.e2e.driving import Scene, workload

pytestmark = pytest.mark.e2e

SECONDS = 240  # 3 on an idle machine; on a busy one a minute has been seen
PATIENT = ("--timeout", "60")  # for each check, of which each may take 10 s where nobody says more
OWN = ("--service-account", f"{NAMESPACE}/{ACCOUNT}")  # other tests install a second one


def _environment(kubeconfig: Path, directory: Path) -> dict[str, str]:
    """With the plugin in PATH, as installing the package would put it, and none of whoever runs the tests' AWS."""
    plugin = directory / "kubectl-predictivescaler"
    python = f"PYTHONPATH={shlex.quote(str(REPOSITORY))} {shlex.quote(sys.executable)}"
    plugin.write_text(f'#!/bin/sh\n{python} -m client "$@"\n')
    plugin.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"KUBECONFIG": str(kubeconfig), "PATH": f"{directory}:{os.environ['PATH']}", "COLUMNS": "80"}


class Doctor:
    """`kubectl predictivescaler doctor web` in a scene's namespace, as the holder of a kubeconfig."""

    def __init__(self, scene: Scene, models: Path, directory: Path) -> None:
        self._scene = scene
        self._models = models
        self._directory = directory

    def __call__(self, kubeconfig: Path, *options: str) -> subprocess.CompletedProcess[str]:
        kubectl = str(self._scene.sandbox.binaries["kubectl"])
        where = ("-n", self._scene.namespace, "--models-dir", str(self._models), *PATIENT)
        return subprocess.run(
            [kubectl, "predictivescaler", "doctor", "web", *where, *OWN, *options],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            env=_environment(kubeconfig, self._directory),
        )

    def results(self, kubeconfig: Path) -> tuple[int, dict[str, str], dict[str, str]]:
        """Exit code, results and messages by check."""
        done = self(kubeconfig, "-o", "json")
        assert done.stdout, done.stderr
        (found,) = json.loads(done.stdout)["scalers"]
        findings: list[dict[str, Any]] = found["findings"]
        results = {one["check"]: one["result"] for one in findings}
        return done.returncode, results, {one["check"]: one["message"] for one in findings}


@pytest.fixture
def doctor(scene: Scene, models: Path, tmp_path: Path, account: Path) -> Doctor:
    """Of a scaler with a load of 45 and a Deployment of 1."""
    del account  # its roles and the kind are there
    scene.sees(45)
    scene.apply(workload(), scene.scaler(forecast={"model": "nothing", "leadTime": "auto"}))
    return Doctor(scene, models, tmp_path)


def test_a_scaler_that_scales_is_well(doctor: Doctor, scene: Scene, controller: Controller) -> None:
    scene.await_condition("Ready", "True", "Scaling")
    scene.await_replicas(5)
    done = doctor(scene.sandbox.kubeconfig)
    told = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith('Looked at from here as Kubernetes user "')
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert f"the controller (ServiceAccount {NAMESPACE}/{ACCOUNT}) may do all 8 things" in told
    assert re.search(r"45, \d+ s old: 5 replicas at 10 each", told)
    assert 'Deployment "web": 5 replicas' in told
    assert "nobody else is known to set its size" in told


def test_the_controller_s_own_account_is_enough_for_all_checks(doctor: Doctor, account: Path) -> None:
    code, results, messages = doctor.results(account)
    assert {check for check, result in results.items() if result == "failed"} <= {"controller"}, messages
    assert results["rights"] == results["target"] == results["owner"] == results["lead time"] == "ok"
    assert code in {0, 1}


def test_an_hpa_of_the_same_target_is_found(doctor: Doctor, scene: Scene) -> None:
    scene.kubectl("autoscale", "deployment", "web", "--min=1", "--max=3")
    _, results, messages = doctor.results(scene.sandbox.kubeconfig)
    assert results["owner"] == "failed"
    assert 'HorizontalPodAutoscaler "web"' in messages["owner"]


def test_who_may_only_read_scalers_is_told_what_was_not_looked_at(
    doctor: Doctor, scene: Scene, sandbox: Sandbox
) -> None:
    scene.kubectl("create", "serviceaccount", "reader")
    scene.kubectl("create", "role", "reader", "--verb=get", "--resource=predictivescalers.predictivescaler.dev")
    scene.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={scene.namespace}:reader")
    code, results, messages = doctor.results(sandbox.service_account_kubeconfig(scene.namespace, "reader"))
    assert code == 1
    assert results["target"] == "failed"
    assert "you may not get deployments/scale here" in messages["target"]
    assert f"system:serviceaccount:{scene.namespace}:reader may not" in messages["rights"]
    assert "you may not create subjectaccessreviews" in messages["rights"]
    assert results["metric"] in {"ok", "warning"}  # what is recorded is young


def test_a_role_that_lost_a_right_is_named(doctor: Doctor, scene: Scene, sandbox: Sandbox) -> None:
    """An account that is bound to nothing may do nothing."""
    scene.kubectl("create", "serviceaccount", "unbound")
    done = doctor(sandbox.kubeconfig, "--service-account", f"{scene.namespace}/unbound")
    told = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert f"the controller (ServiceAccount {scene.namespace}/unbound) may not list predictivescalers, watch" in told
    assert "patch deployments/scale, list horizontalpodautoscalers or list pods" in told
