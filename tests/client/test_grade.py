"""`predictive-scaler grade` from its words to its figures, with a Prometheus and an API server on loopback."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from client import __main__ as command_line
from controller.core.scorecard import DAY
from tests.builders import NOW, body
from tests.contracts.specs import merged
from tests.e2e.models import write_constant
from tests.servers.kubernetes import FakeApiServer
from tests.servers.loopback import serve
from tests.servers.prometheus import FakePrometheus

UNTIL = ["--until", NOW.isoformat(), "--days", "2", "--every", "5m"]
SIZES = 'max(kube_deployment_spec_replicas{namespace="shop",deployment="web"})'
HPA = {
    "metadata": {"namespace": "shop", "name": "web-hpa"},
    "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
}


@pytest.fixture
def prometheus() -> FakePrometheus:
    """A load of 60, and for two days 20 replicas for it."""
    return FakePrometheus(
        series={
            "the load": [lambda _: 60.0],
            SIZES: [lambda time: 20.0 if time > (NOW - 2 * DAY).timestamp() else None],
        }
    )


@pytest.fixture
async def address(prometheus: FakePrometheus) -> AsyncIterator[str]:
    async with serve(prometheus.handle) as address:
        yield address


def scaler(address: str, **spec: Any) -> dict[str, Any]:
    """Ten a replica, by what is seen; ready after a minute."""
    plain = {
        "maxReplicas": 50,
        "metric": {"prometheus": {"address": address, "query": "the load"}, "targetPerReplica": 10},
        "forecast": {"model": "none", "leadTime": "1m"},
    }
    return {"apiVersion": "predictivescaler.dev/v1alpha1", "kind": "PredictiveScaler"} | body(spec=merged(plain, spec))


def written(directory: Path, resource: dict[str, Any]) -> str:
    path = directory / "web.yaml"
    path.write_text(yaml.safe_dump(resource))
    return str(path)


async def graded(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `predictive-scaler grade ARGUMENTS`, run beside the servers that it asks."""
    monkeypatch.setattr(sys, "argv", ["predictive-scaler", "grade", *arguments])
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(command_line.main)
    return int(ended.value.code or 0)


async def test_figures_and_verdict_as_json(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, scaler(address))
    assert await graded(monkeypatch, "-f", file, *UNTIL, "--hpa-target", "5", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["recommended"], found["reason"]) == ("web", "True", "SavesReplicas")
    windows = found["windows"]
    assert [one["window"] for one in windows] == ["1d", "7d", "14d"]
    day, *longer = ((one["knownHours"], one["actual"]["replicaHours"]) for one in windows)
    assert (day, longer) == ((24.0, 480.0), [(47.92, 958.33)] * 2)  # the first tick has nothing before it
    # 6 of 10 each, 12 of 5 each
    assert [windows[0][who]["replicaHours"] for who in ("own", "hpa")] == [6 * 24, 12 * 24]
    assert {windows[0][who]["underProvisionedMinutes"] for who in ("own", "actual", "hpa")} == {0.0}


async def test_the_table_names_both_and_the_verdict(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, scaler(address))
    assert await graded(monkeypatch, "-f", file, *UNTIL, "--against", "KEDA") == 0
    printed = capsys.readouterr().out
    for words in ("PredictiveScaler", "workload", "14 d", "480.0", "Recommended=True (SavesReplicas)", "of KEDA"):
        assert words in printed


async def test_a_model_is_asked_as_the_controller_asks_it(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says that 200 will come, always, and is believed for as long as the controller would believe it."""
    write_constant(tmp_path / "always-200.onnx", 200.0, step_seconds=300)
    hours = []
    for name, model in (("none", []), ("always-200", ["--model", str(tmp_path / "always-200.onnx")])):
        file = written(tmp_path, scaler(address, forecast={"model": name}))
        assert await graded(monkeypatch, "-f", file, *UNTIL, *model, "-o", "json") == 0
        hours.append(json.loads(capsys.readouterr().out)["windows"][2]["own"]["replicaHours"])
    assert hours[0] == pytest.approx(6 * 47.92, rel=0.01)
    assert hours[1] > hours[0] + 1.0


async def test_standard_input_is_read(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(scaler(address))))
    assert await graded(monkeypatch, "-f", "-", *UNTIL, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["reason"] == "SavesReplicas"


async def test_a_scaler_of_the_cluster_is_held_against_its_hpa(
    address: str,
    server: FakeApiServer,
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = "/apis/predictivescaler.dev/v1alpha1/namespaces/shop/predictivescalers/web"
    server.objects[path] = scaler(address)
    server.lists["/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers"] = [HPA]
    assert await graded(monkeypatch, "web", "-n", "shop", *UNTIL, "-o", "json") == 0
    assert 'of HorizontalPodAutoscaler "web-hpa"' in json.loads(capsys.readouterr().out)["message"]


async def test_who_may_not_list_autoscalers_still_gets_the_figures(
    address: str,
    server: FakeApiServer,
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.objects["/apis/predictivescaler.dev/v1alpha1/namespaces/shop/predictivescalers/web"] = scaler(address)
    assert await graded(monkeypatch, "web", "-n", "shop", *UNTIL, "-o", "json") == 0
    assert "of the workload as it is" in json.loads(capsys.readouterr().out)["message"]


@pytest.mark.parametrize(
    ("spec", "arguments", "words"),
    [
        ({}, ["web"], "or else its YAML with -f"),
        ({"forecast": {"model": "unknown"}}, [], "there is no models/unknown.onnx"),
        ({"metric": {"prometheus": {"query": "q"}}}, [], "--prometheus: the spec leaves the address"),
        (
            {"metric": {"prometheus": {"auth": {"bearer": {"secretKeyRef": {"name": "a", "key": "b"}}}}}},
            [],
            "--prometheus: the spec reads its Prometheus with Secrets",
        ),
        ({}, ["--replicas-query", "unheard of"], "the replicas were never recorded"),
        ({"forecast": {"model": "known"}}, ["--model", "missing.onnx"], "--model: file: missing.onnx cannot be read"),
        ({}, ["--until", "tomorrow"], "--until: 'tomorrow' is no time"),
        ({}, ["--token-file", "missing"], "--token-file: missing cannot be read"),
        ({}, ["--hpa-target", "0"], "--hpa-target"),
        ({"maxReplicas": 0}, [], "spec.maxReplicas"),
    ],
)
async def test_what_cannot_be_graded_is_told_in_one_line(
    spec: dict[str, Any],
    arguments: list[str],
    words: str,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    resource = scaler(address)
    resource["spec"] = merged(resource["spec"], spec)
    if words.startswith("--prometheus: the spec leaves"):
        del resource["spec"]["metric"]["prometheus"]["address"]
    file = written(tmp_path, resource)
    assert await graded(monkeypatch, "-f", file, *UNTIL, *arguments) == 2
    told = capsys.readouterr().err.strip()
    assert words in told
    assert told.startswith("error: ")
    assert "\n" not in told
