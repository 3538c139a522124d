"""kubectl runs the plugin, a real controller answers why, and what it recorded replays bit for bit."""

from __future__ import annotations

import json
import shlex
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.cluster import CommandError, Sandbox
from sandbox.controller import REPOSITORY, Controller
from tests.e2e.driving import Scene, eventually, when, workload

pytestmark = pytest.mark.e2e

LOOPBACK = "127.0.0.1"
LATER = 2  # decisions
PORT = {"name": "http", "port": 8080}


@pytest.fixture(autouse=True)
def _plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What installing the package would put into PATH."""
    plugin = tmp_path / "kubectl-predictivescaler"
    python = f"PYTHONPATH={shlex.quote(str(REPOSITORY))} {shlex.quote(sys.executable)}"
    plugin.write_text(f'#!/bin/sh\n{python} -m client "$@"\n')
    plugin.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def _scaled(scene: Scene, controller: Controller) -> str:
    """When a forecast of 95 made a Deployment of 1 one of 10; a few decisions later, as it loses trust again."""
    scene.sees(45)
    scene.apply(workload(), scene.scaler(forecast={"model": "always-95"}))
    written = eventually(lambda: [tick for tick in _ticks(controller, scene)[:-LATER] if tick["isWritten"]])
    return str(written[0]["time"])


def _ticks(controller: Controller, scene: Scene) -> list[dict[str, Any]]:
    status, text = _records(controller, scene)
    return list(json.loads(text)["items"]) if status == HTTPStatus.OK else []


def _records(controller: Controller, scene: Scene) -> tuple[int, str]:
    return controller.get(f"/api/v1/scalers/{scene.namespace}/web/decisions?limit=1000")


def _explain(scene: Scene, controller: Controller, *arguments: str) -> str:
    address = f"http://{controller.address}"
    return scene.kubectl("predictivescaler", "explain", "web", "--controller", address, *arguments)


def _service(name: str, **spec: Any) -> dict[str, Any]:
    """Labelled as the chart's."""
    labels = {"app.kubernetes.io/name": "predictive-scaler"}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [PORT], **spec}}


def test_kubectl_tells_why_in_sentences(scene: Scene, controller: Controller) -> None:
    told = " ".join(_explain(scene, controller, "--at", _scaled(scene, controller)).split())
    assert told.startswith(f"{scene.namespace}/web, ")
    assert '1 -> 10 replicas, and Deployment "web" was told so.' in told
    assert "A load of 45," in told
    assert "1 replica serves 10 well, at 10 each." in told
    assert "always-95 1 (constant, " in told
    assert "Load 1 -> 10: Forecast load 95 / 10 per replica needs 10." in told
    assert "Had there been no forecast now, 5 replicas" in told


def test_the_newest_decision_is_told_where_no_time_is_named(scene: Scene, controller: Controller) -> None:
    scaled = _scaled(scene, controller)
    told = json.loads(_explain(scene, controller, "-o", "json"))
    assert when(told["time"]) > when(scaled)


def test_what_a_real_controller_recorded_replays_bit_for_bit(
    scene: Scene, controller: Controller, tmp_path: Path
) -> None:
    scaled = _scaled(scene, controller)
    one, all_ = tmp_path / "one.json", tmp_path / "all.json"
    one.write_text(_explain(scene, controller, "-o", "json", "--at", scaled))
    all_.write_text(_records(controller, scene)[1])
    assert "1 -> 10; the same, bit for bit" in scene.sandbox.kubectl("predictivescaler", "replay", str(one))
    told = scene.sandbox.kubectl("predictivescaler", "replay", str(all_)).splitlines()
    assert len(told) == len(json.loads(all_.read_text())["items"]) > 2
    assert all("the same, bit for bit" in line for line in told)


def test_a_record_that_was_changed_does_not_replay(scene: Scene, controller: Controller, tmp_path: Path) -> None:
    record = json.loads(_explain(scene, controller, "-o", "json", "--at", _scaled(scene, controller)))
    record["record"]["inputs"]["policy"]["targetPerReplica"] = 5.0
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(record))
    with pytest.raises(CommandError, match=r"decision\.demand\.kept|decision\.replicas: 10 was kept"):
        scene.sandbox.kubectl("predictivescaler", "replay", str(changed))


def test_through_the_api_server_as_far_as_a_loopback_controller_can_be_reached(
    scene: Scene, controller: Controller, sandbox: Sandbox
) -> None:
    """An EndpointSlice of a loopback address is refused, so the Service has no endpoints, and the status tells."""
    scene.sees(45)
    scene.apply(workload(), scene.scaler())
    scene.await_replicas(5)
    scene.apply(_service("psc"))
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "psc", "labels": {"kubernetes.io/service-name": "psc"}},
        "addressType": "IPv4",
        "ports": [PORT],
        "endpoints": [{"addresses": [LOOPBACK]}],
    }
    with pytest.raises(CommandError, match="may not be in the loopback range"):
        scene.apply(slice_)
    eventually(scene.status, lambda status: status.get("currentReplicas") == 5)
    told = scene.kubectl("predictivescaler", "explain", "web", "--controller-namespace", scene.namespace)
    assert f"{scene.namespace}/web, " in told
    assert "the last decision, from the status" in told
    assert "Seen: to be ready for 45, seen 45" in told


@pytest.mark.usefixtures("account")
def test_the_role_in_the_guide_is_enough_and_needed(sandbox: Sandbox, scene: Scene) -> None:
    """As the guide has it, whoever it is bound to gets as far as the Service, here without endpoints; others do not."""
    guide = (REPOSITORY / "docs" / "guide" / "explain.md").read_text(encoding="utf-8")
    role = yaml.safe_load(guide.partition("```yaml\n")[2].partition("```")[0])
    sandbox.apply(role)
    sandbox.kubectl(
        "create", "clusterrolebinding", scene.namespace, f"--clusterrole={role['metadata']['name']}", "--user=anna"
    )
    scene.apply(_service("predictive-scaler", selector={"app": "nothing"}))
    ask = f"/api/v1/namespaces/{scene.namespace}/services/predictive-scaler:http/proxy/api/v1/scalers"
    eventually(lambda: refusal(sandbox, ask, "anna"), lambda words: "no endpoints available" in words)
    assert "cannot get resource" in refusal(sandbox, ask, "bob")
    assert "predictive-scaler" in sandbox.kubectl("get", "services", "--all-namespaces", "--as=anna")


def refusal(sandbox: Sandbox, ask: str, user: str) -> str:
    """The words in which the API server refuses it to the user."""
    with pytest.raises(CommandError) as refused:
        sandbox.kubectl("get", "--raw", ask, f"--as={user}")
    return refused.value.printed


def test_a_scaler_that_is_not_there(scene: Scene, controller: Controller) -> None:
    with pytest.raises(CommandError, match="error: there is no PredictiveScaler"):
        _explain(scene, controller)
