"""What does `doctor` say of a scaler in a cluster, by its rights, its metric, its target and its file?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from client.commands import clock
from tests.builders import NOW
from tests.client.conftest import Ended, Invoke
from tests.client.scalers import Json, group, scaler, written
from tests.contracts.specs import merged
from tests.e2e.models import write_constant
from tests.servers.kubeconfig import write_kubeconfig
from tests.servers.kubernetes import FakeApiServer, status
from tests.servers.loopback import serve
from tests.servers.prometheus import FakePrometheus
from tests.waiting import PATIENCE

TOKEN = "a-token-that-nobody-may-see"
SCALERS = "/apis/predictivescaler.dev/v1alpha1/namespaces/shop/predictivescalers"
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers"
SCALE = "/apis/apps/v1/namespaces/shop/deployments/web/scale"
PODS = "/api/v1/namespaces/shop/pods"
ACCOUNTS = "/api/v1/serviceaccounts"
CONTROLLER = "system:serviceaccount:scaler-system:psc"
HPA: Json = {
    "metadata": {"namespace": "shop", "name": "web-hpa"},
    "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
}
DEPLOYMENTS: Json = {
    "resources": [
        {"kind": "Deployment", "name": "deployments", "namespaced": True},
        {"kind": "Scale", "name": "deployments/scale", "namespaced": True},
    ]
}
READY: Json = {
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "Scaling", "message": "4 is right", "lastTransitionTime": "T"},
    ]
}


@dataclass(kw_only=True)
class Cluster:
    """`me`: who asks. `denied`: by user, "verb resource" that is not allowed; of `me` where reviews of others are."""

    api: FakeApiServer
    prometheus: FakePrometheus
    address: str
    me: str = "anna"
    denied: dict[str, set[str]] = field(default_factory=dict)
    reviews_others: bool = True

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """As the API server: reviews are answered, the rest is its own."""
        if request.path.endswith("/selfsubjectreviews"):
            return web.json_response({"status": {"userInfo": {"username": self.me}}}, status=201)
        if not request.path.endswith("reviews"):
            return await self.api.handle(request)
        asked = (await request.json())["spec"]
        if "user" in asked and not self.reviews_others:
            return status(403, f'User "{self.me}" cannot create resource "subjectaccessreviews"')
        attributes = asked["resourceAttributes"]
        subresource = f"/{attributes['subresource']}" if attributes["subresource"] else ""
        what = f"{attributes['verb']} {attributes['resource']}{subresource}"
        is_allowed = what not in self.denied.get(asked.get("user", self.me), set())
        return web.json_response({"status": {"allowed": is_allowed}}, status=201)

    def has(self, *scalers: Json) -> None:
        """Store scalers, as a controller sees them."""
        for one in scalers:
            name = one["metadata"]["name"]
            stored = merged({"metadata": {"uid": f"uid-{name}", "generation": 1}, "status": READY}, one)
            self.api.objects[f"{SCALERS}/{name}"] = stored
            self.api.lists.setdefault(SCALERS, []).append(stored)

    def scaler(self, name: str = "web", **spec: Any) -> Json:
        """One that asks this Prometheus."""
        plain = scaler(name, metric={"prometheus": {"address": self.address}})
        return plain | {"spec": merged(plain["spec"], spec)}


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")  # reading the system's authorities takes longer than the tests
    monkeypatch.setenv("COLUMNS", "80")
    prometheus = FakePrometheus(series={"sum(load)": [lambda _: 30.0]})
    scale = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 4}, "status": {"selector": "app=web"}}
    api = FakeApiServer(
        objects={"/apis/apps/v1": DEPLOYMENTS, SCALE: scale},
        lists={
            AUTOSCALERS: [],
            PODS: [],
            SCALERS: [],
            ACCOUNTS: [{"metadata": {"namespace": "scaler-system", "name": "psc"}}],
        },
    )
    async with serve(prometheus.handle) as address:
        held = Cluster(api=api, prometheus=prometheus, address=address)
        async with serve(held.handle) as server:
            write_kubeconfig(tmp_path / "kubeconfig", server, "any")
            monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
            yield held


@dataclass(frozen=True, kw_only=True)
class Told:
    code: int
    results: dict[str, str]
    messages: dict[str, str]

    def of(self, result: str) -> set[str]:
        return {check for check, found in self.results.items() if found == result}


def told(ended: Ended) -> Told:
    """What the only scaler's checks came to."""
    assert ended.err == ""
    (said,) = json.loads(ended.out)["scalers"]
    return Told(
        code=ended.code,
        results={one["check"]: one["result"] for one in said["findings"]},
        messages={one["check"]: one["message"] for one in said["findings"]},
    )


Doctor = Callable[..., Any]


@pytest.fixture
def doctor(cluster: Cluster, invoke: Invoke) -> Doctor:
    """`doctor web -n shop`, as JSON, of a scaler that is stored with these changes."""

    async def run(*options: str, **spec: Any) -> Told:
        cluster.has(cluster.scaler(**spec))
        return told(await invoke("doctor", "web", "-n", "shop", *options, "-o", "json"))

    return run


async def test_all_is_well_and_said_so(doctor: Doctor, cluster: Cluster) -> None:
    found = await doctor()
    assert found.code == 0
    assert set(found.results) == {"spec", "controller", "rights", "model", "metric", "target", "owner", "lead time"}
    assert set(found.results.values()) == {"ok"}
    assert "the controller (ServiceAccount scaler-system/psc) may do all 7 things" in found.messages["rights"]
    assert "30, 0 s old: 3 replicas at 10 each; 60 of the last 60 minutes" in found.messages["metric"]
    assert found.messages["target"] == 'Deployment "web": 4 replicas'
    assert {call.method for call in cluster.api.calls} == {"GET"}  # nothing is written


async def test_who_looked_is_the_first_line(cluster: Cluster, invoke: Invoke) -> None:
    cluster.has(cluster.scaler())
    ended = await invoke("doctor", "web", "-n", "shop")
    first, *rest = ended.out.splitlines()
    assert first == 'Looked at from here as Kubernetes user "anna", which the controller need not be.'
    assert "shop/web" in rest
    assert max(map(len, rest)) <= 80


@pytest.mark.parametrize(
    ("denied", "spec"),
    [
        ("patch deployments/scale", {}),
        ("get deployments/scale", {"mode": "Observe"}),
        ("list horizontalpodautoscalers", {}),
        ("list pods", {"forecast": {"leadTime": "auto"}}),
        ("patch predictivescalers/status", {}),
        ("create events", {}),
        ("watch predictivescalers", {}),
    ],
)
async def test_a_right_that_the_controller_lacks_is_named(
    denied: str, spec: Json, doctor: Doctor, cluster: Cluster
) -> None:
    cluster.denied[CONTROLLER] = {denied}
    found = await doctor(**spec)
    assert (found.code, found.of("failed")) == (1, {"rights"})
    assert f"(ServiceAccount scaler-system/psc) may not {denied} in shop" in found.messages["rights"]


async def test_an_observer_needs_no_right_to_write(doctor: Doctor, cluster: Cluster) -> None:
    cluster.denied[CONTROLLER] = {"patch deployments/scale", "list pods", "get secrets"}
    assert (await doctor(mode="Observe")).code == 0


@pytest.mark.parametrize(
    ("denied", "check", "spec"),
    [
        ("get deployments/scale", "target", {}),
        ("list horizontalpodautoscalers", "owner", {}),
        ("list pods", "lead time", {"forecast": {"leadTime": "auto"}}),
    ],
)
async def test_what_i_may_not_see_is_skipped_only_where_the_controller_may(
    denied: str, check: str, spec: Json, cluster: Cluster, invoke: Invoke
) -> None:
    cluster.denied["anna"] = {denied}
    cluster.has(cluster.scaler(**spec))
    results = []
    for cluster.reviews_others in (True, False):
        found = told(await invoke("doctor", "web", "-n", "shop", "-o", "json"))
        results.append((found.code, found.results[check], found.results["rights"]))
        assert f"you may not {denied} here" in found.messages[check]
    assert results == [(0, "skipped", "ok"), (1, "failed", "skipped")]


async def test_the_controller_itself_is_judged_by_its_own_rights(doctor: Doctor, cluster: Cluster) -> None:
    cluster.me, cluster.reviews_others = CONTROLLER, False
    cluster.denied[CONTROLLER] = {"patch deployments/scale"}
    found = await doctor("--service-account", "scaler-system/psc")
    assert found.of("failed") == {"rights"}


@pytest.mark.parametrize(
    ("accounts", "words"), [([], "none of the cluster's ServiceAccounts"), (["a", "b"], "several of the cluster's")]
)
async def test_a_controller_that_is_not_found_is_to_be_named(
    accounts: list[str], words: str, doctor: Doctor, cluster: Cluster
) -> None:
    cluster.api.lists[ACCOUNTS] = [{"metadata": {"namespace": "x", "name": name}} for name in accounts]
    found = await doctor()
    assert words in found.messages["rights"]
    assert "--service-account" in found.messages["rights"]


@pytest.mark.parametrize(("mode", "result"), [("Active", "failed"), ("Observe", "ok")])
async def test_an_hpa_stands_in_the_way_of_who_acts(mode: str, result: str, doctor: Doctor, cluster: Cluster) -> None:
    cluster.api.lists[AUTOSCALERS] = [HPA]
    found = await doctor(mode=mode)
    assert found.results["owner"] == result
    assert 'HorizontalPodAutoscaler "web-hpa"' in found.messages["owner"]


FIRST, SECOND = "2026-03-02T12:00:00Z", "2026-03-02T12:00:01Z"


@pytest.mark.parametrize(
    ("created", "mode", "result", "words"),
    [
        (
            {"api": FIRST, "web": SECOND},
            "Active",
            "failed",
            'PredictiveScaler "api", the older one, sets its size, so this will not; one of the two is enough: delete '
            "shop/web (this one) or shop/api, or give one of them mode Observe",
        ),
        (
            {"api": FIRST, "web": FIRST},
            "Active",
            "failed",
            'PredictiveScaler "api", the first by name of two as old, sets its size, so this will not',
        ),
        (
            {"api": SECOND, "web": FIRST},
            "Active",
            "ok",
            "this sets its size; PredictiveScaler shop/api, which names it too, stands back",
        ),
        (
            {"api": SECOND, "web": FIRST},
            "Observe",
            "ok",
            "PredictiveScaler shop/api sets its size, which mode Observe leaves alone",
        ),
    ],
    ids=["older", "first-by-name", "younger", "observed"],
)
async def test_another_scaler_of_the_target_is_told_with_who_sets_the_size(
    created: dict[str, str], mode: str, result: str, words: str, cluster: Cluster, invoke: Invoke
) -> None:
    for name, one in (("api", {}), ("web", {"mode": mode})):
        stored = cluster.scaler(name, targetRef={"name": "web"}, **one)
        cluster.has(merged(stored, {"metadata": {"creationTimestamp": created[name]}}))
    found = told(await invoke("doctor", "web", "-n", "shop", "-o", "json"))
    assert (found.results["owner"], found.code) == (result, int(result == "failed"))
    assert found.messages["owner"].startswith(words)


async def test_scalers_that_may_not_be_listed_are_told_to_be_unseen(doctor: Doctor, cluster: Cluster) -> None:
    cluster.api.raw["GET", SCALERS] = lambda: status(403, "no")
    found = await doctor()
    assert found.results["owner"] == "ok"
    assert "of PredictiveScalers, not looked at: those of shop, which you may not list" in found.messages["owner"]


FLOOR: Json = {"targetRef": {"kind": "HorizontalPodAutoscaler", "name": "web"}}


def _is_there(cluster: Cluster, most: int = 30) -> None:
    """The autoscaler that FLOOR names."""
    spec = HPA["spec"] | {"minReplicas": 2, "maxReplicas": most}
    metadata = {"namespace": "shop", "name": "web", "resourceVersion": "1"}
    cluster.api.objects[f"{AUTOSCALERS}/web"] = {"metadata": metadata, "spec": spec, "status": {"currentReplicas": 4}}


async def test_the_floor_of_an_autoscaler_is_looked_at_with_its_own_rights(doctor: Doctor, cluster: Cluster) -> None:
    _is_there(cluster)
    found = await doctor(**FLOOR)
    assert (found.code, found.of("failed")) == (0, set())
    assert found.messages["target"] == 'HorizontalPodAutoscaler "web": 2 replicas, it has 4 replicas'


@pytest.mark.parametrize("denied", ["get horizontalpodautoscalers", "patch horizontalpodautoscalers"])
async def test_a_right_on_autoscalers_that_the_controller_lacks_is_named(
    denied: str, doctor: Doctor, cluster: Cluster
) -> None:
    _is_there(cluster)
    cluster.denied[CONTROLLER] = {denied}
    found = await doctor(**FLOOR)
    assert f"may not {denied} in shop" in found.messages["rights"]


async def test_a_floor_that_may_not_be_as_high_as_the_scaler_allows_is_warned_of(
    doctor: Doctor, cluster: Cluster
) -> None:
    _is_there(cluster, most=5)
    found = await doctor(**FLOOR)
    assert found.results["target"] == "warning"
    assert "its maxReplicas, 5, is below maxReplicas, 20, and holds" in found.messages["target"]


@pytest.mark.parametrize(
    ("spec", "check", "result", "words"),
    [
        ({"targetRef": {"name": "none"}}, "target", "failed", 'Deployment "none" in namespace shop does not exist'),
        ({"targetRef": {"kind": "Job"}}, "target", "failed", "Job of apps/v1 has no scale subresource"),
        ({"metric": {"prometheus": {"query": "nothing"}}}, "metric", "failed", "no "),
        ({"maxReplicas": 2}, "metric", "warning", "3 replicas at 10 each"),
        ({"metric": {"targetPerReplica": 30}}, "metric", "ok", " 1 replica at 30 each"),
        ({"forecast": {"model": "web"}}, "model", "skipped", "--models-dir DIR"),
        ({"metric": {"prometheus": {"address": None}}}, "metric", "skipped", "--prometheus URL"),
        ({"metric": {"prometheus": {"address": "http://127.0.0.1:9"}}}, "metric", "failed", "kubectl port-forward"),
    ],
)
async def test_what_is_wrong_is_named_with_its_cure(
    spec: Json, check: str, result: str, words: str, doctor: Doctor
) -> None:
    found = await doctor(**spec)
    assert (found.results[check], found.code) == (result, int(result == "failed"))
    assert words in found.messages[check]


async def test_a_model_is_loaded_from_a_folder_and_its_history_counted(
    doctor: Doctor, cluster: Cluster, tmp_path: Path
) -> None:
    write_constant(tmp_path / "web.onnx", 30.0, step_seconds=300)
    found = await doctor("--models-dir", str(tmp_path), forecast={"model": "web"})
    assert (found.results["model"], found.results["history"]) == ("ok", "ok")
    assert "1 of 1 steps of 5 min are there" in found.messages["history"]


async def test_a_model_whose_digest_is_another_fails(doctor: Doctor, tmp_path: Path) -> None:
    write_constant(tmp_path / "web.onnx", 30.0, step_seconds=300)
    found = await doctor("--models-dir", str(tmp_path), forecast={"model": "web", "sha256": "0" * 64})
    assert found.of("failed") == {"model"}
    assert "the spec asks for 0000" in found.messages["model"]


async def test_a_load_that_is_often_missing_is_warned_of(
    doctor: Doctor, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    cluster.prometheus.series["sum(load)"] = [lambda at: 30.0 if at % 120 < 60 or at == NOW.timestamp() else None]
    found = await doctor()
    assert found.results["metric"] == "warning"
    assert "while one is missing the size is held" in found.messages["metric"]


def pod(number: int, took: int) -> Json:
    """One that was created an hour ago and Ready `took` seconds later."""
    created = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": (created + timedelta(seconds=took)).isoformat()}
    metadata = {"uid": f"{number:08}", "creationTimestamp": created.isoformat(), "labels": {"pod-template-hash": "a"}}
    return {"metadata": metadata, "status": {"conditions": [ready], "startTime": created.isoformat()}}


@pytest.mark.parametrize(
    ("lead_time", "result", "words"),
    [
        ("1m", "warning", "1 min, as the spec says, and 6 start-ups took up to 1 min 36 s"),
        ("3m", "ok", "3 min, as the spec says; 6 start-ups took no longer"),
        ("auto", "ok", "1 min 36 s, learnt from 6 start-ups"),
    ],
)
async def test_a_lead_time_is_held_against_what_pods_took(
    lead_time: str, result: str, words: str, doctor: Doctor, cluster: Cluster
) -> None:
    cluster.api.lists[PODS] = [pod(number, 95) for number in range(6)]
    found = await doctor(forecast={"leadTime": lead_time})
    assert (found.results["lead time"], found.code) == (result, 0)
    assert words in found.messages["lead time"]


@pytest.mark.parametrize(
    ("conditions", "result", "words"),
    [
        ([], "failed", "no controller has said anything of it yet"),
        ([("Ready", "False")], "failed", "Ready is False since T (Because: of this)"),
        ([("Ready", "True"), ("Forecasting", "False")], "warning", "Forecasting is False (Because: of this)"),
    ],
)
async def test_what_the_controller_said_is_told(
    conditions: list[tuple[str, str]], result: str, words: str, cluster: Cluster, invoke: Invoke
) -> None:
    common = {"reason": "Because", "message": "of this", "lastTransitionTime": "T"}
    said = [common | {"type": kind, "status": is_true} for kind, is_true in conditions]
    cluster.has(cluster.scaler() | {"status": {"conditions": said}})
    found = told(await invoke("doctor", "web", "-n", "shop", "-o", "json"))
    assert found.results["controller"] == result
    assert words in found.messages["controller"]


async def test_pods_of_a_group_that_nobody_scales_are_told(
    cluster: Cluster, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    metric = {"prometheus": {"address": cluster.address}}
    nodes = group(metric, coordination={"scaler": "web", "replicasPerUnit": 4})
    nodes["metadata"]["name"] = "nodes"
    results = []
    for _ in range(2):
        ended = await invoke("doctor", "-f", written(tmp_path, nodes), "-o", "json")
        found = told(ended)
        results.append(found.results["coordination"])
        cluster.has(cluster.scaler())
    assert results == ["failed", "ok"]


async def test_a_token_is_sent_and_never_printed(
    doctor: Doctor, cluster: Cluster, tmp_path: Path, invoke: Invoke
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    secret = {"auth": {"bearer": {"secretKeyRef": {"name": "p", "key": "t"}}}, "address": "https://in.cluster:9090"}
    cluster.has(cluster.scaler(metric={"prometheus": secret}))
    options = ("--prometheus", cluster.address, "--token-file", str(tmp_path / "token"))
    ended = await invoke("doctor", "web", "-n", "shop", *options, "-o", "json")
    assert told(ended).results["metric"] == "ok"
    assert {asked.authorization for asked in cluster.prometheus.asked} == {f"Bearer {TOKEN}"}
    assert TOKEN not in ended.out


async def test_secrets_that_i_may_not_read_are_not_asked_for(doctor: Doctor, cluster: Cluster) -> None:
    cluster.denied["anna"] = {"get secrets"}
    found = await doctor(metric={"prometheus": {"auth": {"bearer": {"secretKeyRef": {"name": "p", "key": "t"}}}}})
    assert found.results["metric"] == "skipped"
    assert "--prometheus and --token-file" in found.messages["metric"]


@pytest.mark.slow
async def test_a_prometheus_that_hangs_ends_in_bounded_time(doctor: Doctor, cluster: Cluster) -> None:
    cluster.prometheus.hold = asyncio.Event()
    found = await asyncio.wait_for(doctor("--timeout", "3"), PATIENCE)
    cluster.prometheus.hold.set()
    assert found.of("failed") == {"metric"}


async def test_all_of_a_namespace_are_looked_at(cluster: Cluster, invoke: Invoke) -> None:
    broken = cluster.scaler("broken") | {"spec": {"maxReplicas": 0}}
    cluster.has(cluster.scaler("web"), cluster.scaler("api", targetRef={"name": "web"}, mode="Observe"), broken)
    ended = await invoke("doctor", "-n", "shop", "-o", "json")
    said = json.loads(ended.out)
    assert [one["name"] for one in said["scalers"]] == ["api", "broken", "web"]
    assert (ended.code, said["failed"]) == (1, 1)
    assert said["scalers"][1]["findings"][0]["message"].startswith("spec.")


async def test_a_file_needs_no_cluster(
    cluster: Cluster, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    ended = await invoke("doctor", "-f", written(tmp_path, cluster.scaler()), "-o", "json")
    found = told(ended)
    assert (found.code, found.of("skipped")) == (0, {"rights", "target"})
    assert found.messages["rights"] == "no cluster"
    assert "Without a cluster: no way to the API server" in json.loads(ended.out)["by"]


async def test_a_cluster_that_is_away_is_none_for_a_file(
    cluster: Cluster, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_kubeconfig(tmp_path / "away", "http://127.0.0.1:9", "any")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "away"))
    assert told(await invoke("doctor", "-f", written(tmp_path, cluster.scaler()), "-o", "json")).code == 0
    ended = await invoke("doctor", "web")
    assert (ended.code, ended.out) == (2, "")
    assert "the cluster cannot be asked: no connection to the API server" in ended.err


async def test_a_mistake_in_a_file_names_its_line(cluster: Cluster, invoke: Invoke, tmp_path: Path) -> None:
    resource = cluster.scaler(maxReplicas=0)
    path = written(tmp_path, resource)
    found = told(await invoke("doctor", "-f", path, "-o", "json"))
    line = 1 + next(at for at, text in enumerate(yaml.safe_dump(resource).splitlines()) if "maxReplicas" in text)
    assert (found.code, set(found.results)) == (1, {"spec"})
    assert found.messages["spec"].startswith(f"{path}:{line}: spec.maxReplicas: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["web", "-f", "x.yaml"], "give the NAME"),
        (["-f", "missing.yaml"], "-f: missing.yaml cannot be read"),
        (["other", "-n", "shop"], "there is no PredictiveScaler shop/other"),
        (["-n", "shop"], "there is no PredictiveScaler in namespace shop"),
        (["web", "--token-file", "t"], "--token-file: is for the address"),
    ],
)
async def test_what_cannot_be_looked_at_is_one_line(
    arguments: list[str], words: str, cluster: Cluster, invoke: Invoke
) -> None:
    ended = await invoke("doctor", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert ended.err.count("\n") == 1


async def test_a_service_account_of_no_form_is_told(doctor: Doctor) -> None:
    found = await doctor("--service-account", "psc")
    assert "--service-account: 'psc' must be NAMESPACE/NAME" in found.messages["rights"]
