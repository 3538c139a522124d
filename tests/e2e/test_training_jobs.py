"""A fleet on a real API server: the pods that its Jobs make, run as local processes, leave the models of every series.

The nodes of the sandbox run nothing, so the test plays kubelet: it runs each pod's own command with its own
environment, mounts as directories, and writes down how it ended. Controllers of Kubernetes do all the rest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from controller.forecaster import OnnxModels
from controller.spec import ModelRef
from manifests import install
from sandbox.cluster import CommandError, Sandbox
from sandbox.prometheus import Prometheus
from tests.e2e.driving import eventually, wall_clock
from training.roster import Share

pytestmark = pytest.mark.e2e

APPS = ("checkout", "search", "shop")
PODS = 3
DAYS = 21
FIT_SECONDS = 500.0
LIMIT_SECONDS = 1500  # a Job of three pods and another, on a busy machine
TRAINING = ("training-fleet", "training-job", "retraining-cronjob")
VOLUME_BYTES = "1Gi"

Object = dict[str, Any]


def load(app: str, hour: int) -> float:
    """A daily rhythm with noise, the same whenever it is asked for."""
    random = np.random.default_rng(hour * len(APPS) + APPS.index(app))
    return float(random.poisson(100 + 80 * np.sin(2 * np.pi * hour / 24)))


def history(file: Path, now: datetime) -> Path:
    """What Prometheus would hold of all apps: every hour of the past, and the minutes around now."""
    hours = int(now.timestamp()) // 3600
    past = [(hour * 3600, hour) for hour in range(hours - DAYS * 24, hours)]
    present = [(hours * 3600 + minute * 60, hours) for minute in range(0, 120, 2)]
    lines = [
        f'app_load{{app="{app}",pod="a"}} {load(app, hour):g} {time}\n' for app in APPS for time, hour in past + present
    ]
    file.write_text("# TYPE app_load gauge\n" + "".join(lines) + "# EOF\n")
    return file


@pytest.fixture(scope="module")
def metrics(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Prometheus:
    file = history(tmp_path_factory.mktemp("history") / "apps.om", wall_clock())
    return sandbox.prometheus("apps", history=[file])


def values(prometheus: Prometheus, **training: Any) -> Object:
    """Two kinds of entry: a label's values, and a query of its own."""
    defaults = {
        "data": prometheus.url.replace("http://", "prometheus://"),
        "step": "1h",
        "family": "seasonal-naive",
        "until": f"{wall_clock():%Y-%m-%dT00:00:00Z}",  # as who says nothing has it; but no midnight changes it
    }
    by_app = {"name": "app-{}", "by": "app", "query": 'sum by (app) (app_load{app=~"$app"})'}
    alike = {"name": "too-{}", "by": "app", "query": "sum by (app) (app_load)", "family": "persistence"}
    total = {"name": "total", "query": "sum(app_load)"}
    enabled = {"job": {"enabled": True}, "retraining": {"enabled": True, "suspend": True}}
    fleet = {"defaults": defaults, "series": [by_app, alike, total]}
    return {
        "models": {"persistentVolumeClaim": "models"},
        "training": {"pods": PODS, "parallelism": PODS, "fleet": fleet, **enabled, **training},
    }


NAMES = [f"{prefix}-{app}" for prefix in ("app", "too") for app in APPS] + ["total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubelet:
    """Runs the pods of a namespace on this machine. `models`: what the claim stands for."""

    sandbox: Sandbox
    namespace: str
    models: Path
    scratch: Path

    def pods(self, job: str) -> list[Object]:
        """The pods of a Job in the order of their indexes."""
        found = self.sandbox.get("pods", "-n", self.namespace, "-l", f"job-name={job}")["items"]
        return sorted(found, key=lambda pod: int(_index(pod)))

    def await_pods(self, job: str, count: int = PODS) -> list[Object]:
        """As `pods`, once there are so many."""
        return eventually(lambda: self.pods(job), lambda pods: len(pods) == count)

    def run(self, pod: Object) -> subprocess.CompletedProcess[str]:
        """Run its container, and tell the API server how it ended."""
        (container,) = pod["spec"]["containers"]
        here = self._mounts(pod, container)
        arguments = [_translated(argument, here) for argument in container["args"]]
        environment = {variable["name"]: _value(variable, pod) for variable in container["env"]}
        done = subprocess.run(
            [sys.executable, "-m", "training", *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(self.scratch), **environment},
            cwd=install.ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=FIT_SECONDS,
        )
        self.report(pod, done.returncode)
        return done

    def report(self, pod: Object, code: int) -> None:
        """The pod's container ended with `code`. Not before the sandbox has said the last of it: that it is Ready."""
        eventually(lambda: self._is_ready(pod))
        (container,) = pod["spec"]["containers"]
        now = f"{wall_clock():%Y-%m-%dT%H:%M:%SZ}"
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": now, "finishedAt": now}
        status = {"name": container["name"], "image": container["image"], "imageID": "", "ready": False}
        statuses = [{**status, "restartCount": 0, "started": False, "state": {"terminated": ended}}]
        patch = {"status": {"phase": "Failed" if code else "Succeeded", "containerStatuses": statuses}}
        name = pod["metadata"]["name"]
        self._kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", json.dumps(patch))

    def _is_ready(self, pod: Object) -> bool:
        found = self.sandbox.get("pod", pod["metadata"]["name"], "-n", self.namespace)
        has_ended = found["status"]["phase"] in {"Failed", "Succeeded"}  # it came again
        return has_ended or ("Ready", "True") in {
            (one["type"], one["status"]) for one in found["status"].get("conditions", ())
        }

    def _mounts(self, pod: Object, container: Object) -> dict[str, Path]:
        """Where each path of the container lies on this machine."""
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        return {mount["mountPath"]: self._directory(volumes[mount["name"]]) for mount in container["volumeMounts"]}

    def _directory(self, volume: Object) -> Path:
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] == "models"
            return self.models
        if "emptyDir" in volume:
            return self.scratch
        name = str(volume["configMap"]["name"])
        directory = self.scratch / name
        directory.mkdir(exist_ok=True)
        for file, text in self.sandbox.get("configmap", name, "-n", self.namespace)["data"].items():
            (directory / file).write_text(text)
        return directory

    def conditions(self, job: str) -> dict[str, str]:
        """The reasons of the Job's conditions that hold."""
        status = self.sandbox.get("job", job, "-n", self.namespace)["status"]
        return {one["type"]: one.get("reason", "") for one in status.get("conditions", []) if one["status"] == "True"}

    def _kubectl(self, *arguments: str) -> str:
        return self.sandbox.kubectl(*arguments, "-n", self.namespace)


def _index(pod: Object) -> str:
    return str(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"])


def _translated(argument: str, here: dict[str, Path]) -> str:
    """`--out=/a/b` with the directory for which `/a` stands."""
    option, _, value = argument.partition("=")
    for path, directory in here.items():
        if value == path or value.startswith(f"{path}/"):
            return f"{option}={directory}{value.removeprefix(path)}"
    return argument


def _value(variable: Object, pod: Object) -> str:
    """Its value, also where Kubernetes takes it from the pod's annotations or labels."""
    if "value" in variable:
        return str(variable["value"])
    field = variable["valueFrom"]["fieldRef"]["fieldPath"]
    kind, _, key = field.removeprefix("metadata.").partition("['")
    return str(pod["metadata"][kind][key.removesuffix("']")])


@pytest.fixture
def kubelet(sandbox: Sandbox, namespace: str, tmp_path: Path) -> Iterator[Kubelet]:
    """A restricted namespace with a bound claim, whose pods this test runs."""
    sandbox.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    models, scratch = tmp_path / "models", tmp_path / "scratch"
    models.mkdir()
    scratch.mkdir()
    size = {"storage": VOLUME_BYTES}
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    claim = {**common, "resources": {"requests": size}, "volumeName": namespace}
    volume = {**common, "capacity": size, "hostPath": {"path": str(models)}}
    sandbox.apply(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace}, "spec": volume},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "models", "namespace": namespace},
            "spec": claim,
        },
    )
    yield Kubelet(sandbox=sandbox, namespace=namespace, models=models, scratch=scratch)
    sandbox.kubectl("delete", "persistentvolume", namespace, "--wait=false")


def rendered(kubelet: Kubelet, given: Object, *parts: str) -> str:
    """What helm makes of the chart with these values; only these templates if any are named."""
    file = kubelet.scratch / "values.yaml"
    file.write_text(yaml.safe_dump(given))
    only = [f"--show-only=templates/{part}.yaml" for part in parts]
    return kubelet.sandbox.helm(
        "template",
        "fleet",
        str(install.CHART),
        f"--namespace={kubelet.namespace}",
        f"--values={file}",
        "--skip-tests",
        *only,
    )


def applied(kubelet: Kubelet, given: Object) -> str:
    """Apply the chart's training; the name of the Job."""
    objects = rendered(kubelet, given, *TRAINING)
    kubelet.sandbox.kubectl("apply", "-n", kubelet.namespace, "-f", "-", stdin=objects)
    (job,) = (one["metadata"]["name"] for one in yaml.safe_load_all(objects) if one["kind"] == "Job")
    return str(job)


def test_the_whole_chart_is_accepted_with_training(kubelet: Kubelet, metrics: Prometheus) -> None:
    kubelet.sandbox.kubectl("apply", "--dry-run=server", "-f", "-", stdin=rendered(kubelet, values(metrics)))


def test_the_example_is_accepted(kubelet: Kubelet) -> None:
    objects = [one | {"metadata": {**one["metadata"], "namespace": kubelet.namespace}} for one in examples()]
    items = {"apiVersion": "v1", "kind": "List", "items": objects}
    kubelet.sandbox.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(items))


def examples() -> list[Object]:
    files = [install.TRAINING_FILE, install.TRAINING / "claim.yaml"]
    return [one for file in files for one in yaml.safe_load_all(file.read_text()) if one]


@pytest.mark.timeout(LIMIT_SECONDS)
def test_a_job_and_its_retraining_leave_every_model(kubelet: Kubelet, metrics: Prometheus) -> None:
    job = applied(kubelet, values(metrics))
    for index, pod in enumerate(kubelet.await_pods(job)):
        before = set(kubelet.models.glob("*.onnx"))
        done = kubelet.run(pod)
        assert done.returncode == 0, done.stdout + done.stderr
        added = {path.stem for path in set(kubelet.models.glob("*.onnx")) - before}
        assert added == {name for name in NAMES if Share(index=index, of=PODS).has(name)}
    assert "Complete" in eventually(lambda: kubelet.conditions(job), lambda found: "Complete" in found)

    models = OnnxModels([kubelet.models])
    assert {models.card(ModelRef(name=name))[0].name for name in NAMES} == set(NAMES)

    kubelet.sandbox.kubectl("create", "job", "tonight", "--from=cronjob/fleet-retraining", "-n", kubelet.namespace)
    for pod in kubelet.await_pods("tonight"):
        done = kubelet.run(pod)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Complete" in eventually(lambda: kubelet.conditions("tonight"), lambda found: "Complete" in found)
    decided = {path.stem: json.loads(path.read_text())[-1] for path in (kubelet.models / "decisions").iterdir()}
    assert set(decided) == set(NAMES)
    assert {decision["verdict"] for decision in decided.values()} == {"kept"}, "no day has passed since the Job"


@pytest.mark.timeout(LIMIT_SECONDS)
def test_a_pod_that_comes_again_does_only_what_is_left(kubelet: Kubelet, metrics: Prometheus) -> None:
    job = applied(kubelet, values(metrics, pods=1, parallelism=1))
    (pod,) = kubelet.await_pods(job, 1)
    first = kubelet.run(pod)
    (kubelet.models / "total.onnx").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in kubelet.models.glob("*.onnx")}

    again = kubelet.run(pod)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert f"{len(NAMES)} series" in again.stdout
    assert f"1 fitted, {len(NAMES) - 1} kept, 0 failed" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_a_fleet_file_that_cannot_be_meant_ends_the_job_at_once(kubelet: Kubelet, metrics: Prometheus) -> None:
    given = values(metrics)
    given["training"]["fleet"]["series"].append({"name": "web", "hue": "red"})
    job = applied(kubelet, given)

    done = kubelet.run(kubelet.await_pods(job)[0])

    assert done.returncode == 2, done.stdout
    assert "there is no field 'hue'" in done.stderr
    found = eventually(lambda: kubelet.conditions(job), lambda found: "Failed" in found)
    assert found["Failed"] == "PodFailurePolicy"


def test_a_pod_without_data_is_tried_again(kubelet: Kubelet, metrics: Prometheus) -> None:
    given = values(metrics)
    given["training"]["fleet"]["series"] = [{"name": name, "query": "absent_metric"} for name in NAMES]
    job = applied(kubelet, given)
    pods = kubelet.await_pods(job)

    done = kubelet.run(pods[0])

    assert done.returncode == 1, done.stderr
    assert "0 fitted, 0 kept" in done.stdout
    eventually(lambda: [_index(pod) for pod in kubelet.pods(job)], lambda found: found.count("0") == 2, 120)


def test_a_finished_job_cannot_be_changed_so_another_fleet_is_another_job(
    kubelet: Kubelet, metrics: Prometheus
) -> None:
    first = applied(kubelet, values(metrics))
    second = applied(kubelet, values(metrics, pods=PODS + 1))

    assert first != second
    with pytest.raises(CommandError, match="immutable"):
        kubelet.sandbox.kubectl(
            *("patch", "job", first, "-n", kubelet.namespace, "--type=merge"),
            *("-p", json.dumps({"spec": {"template": {"spec": {"hostNetwork": True}}}})),
        )
