"""Does a person get the decision they asked for, however the controller is reached, and also when it is not?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiohttp import web

from controller.account import Account
from tests.builders import NOW, account, body, forecast, seconds
from tests.client.conftest import PROXY, SCALER, SERVICES, Cluster, Invoke
from tests.servers.kubernetes import status

DECISIONS = "/api/v1/scalers/shop/web/decisions"
LAST = {
    "time": "2026-03-02T12:00:00Z",
    "source": "Forecast",
    "demand": 95.0,
    "seen": 45.0,
    "forecast": 95.0,
    "message": "Load 5 -> 10: Forecast load 95 / 10 per replica needs 10",
    "steps": [{"rule": "Load", "before": 5, "after": 10, "why": "Forecast load 95 / 10 per replica needs 10"}],
}


@pytest.fixture
def busy(cluster: Cluster) -> Cluster:
    """Five ticks, one each 15 s from NOW on; the load is their number times ten."""
    for tick in range(5):
        cluster.ledger.add("uid-web", account(10 * tick, at=NOW + seconds(15 * tick), ahead=forecast(99, 99)))
    return cluster


async def test_through_the_service_proxy(busy: Cluster, invoke: Invoke) -> None:
    ended = await invoke("explain", "web", "-n", "shop")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("shop/web, 2026-03-02T12:01:00Z\nResult ")
    assert next(call.query for call in busy.api.of("GET", SERVICES))["labelSelector"] == (
        "app.kubernetes.io/name=predictive-scaler"
    )


async def test_by_its_address_without_any_cluster(
    busy: Cluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    ended = await invoke("explain", "web", "-n", "shop", "--controller", f"{busy.controller}/")
    assert (ended.code, ended.err) == (0, "")
    assert "A load of 40, 0 s old. 1 replica serves 10 well, at 10 each." in ended.out
    assert not busy.api.calls


async def test_the_context_names_the_namespace(busy: Cluster, invoke: Invoke) -> None:
    config = json.loads(busy.kubeconfig.read_text())
    config["contexts"].append({"name": "other", "context": {"cluster": "test", "user": "test", "namespace": "shop"}})
    busy.kubeconfig.write_text(json.dumps(config))
    assert "there is no PredictiveScaler default/web" in (await invoke("explain", "web")).err
    assert (await invoke("explain", "web", "--context", "other")).out.startswith("shop/web")


async def test_the_kubeconfig_can_be_named(
    busy: Cluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    ended = await invoke("explain", "web", "-n", "shop", "--kubeconfig", str(busy.kubeconfig))
    assert ended.out.startswith("shop/web")


@pytest.mark.parametrize(
    ("at", "load"), [("2026-03-02T12:00:31Z", 20), ("2026-03-02T13:00:15+01:00", 10), ("2030-01-01T00:00Z", 40)]
)
async def test_the_decision_that_stood_at_a_time(busy: Cluster, invoke: Invoke, at: str, load: float) -> None:
    ended = await invoke("explain", "web", "-n", "shop", "--at", at)
    assert f"A load of {load}, 0 s old" in ended.out


async def test_json_is_the_record_bit_for_bit(busy: Cluster, invoke: Invoke) -> None:
    ended = await invoke("explain", "web", "-n", "shop", "-o", "json")
    made = account(40, at=NOW + seconds(60), ahead=forecast(99, 99))
    assert Account.from_text(ended.out).to_text() == made.to_text()


async def test_of_several_controllers_the_one_that_knows_the_scaler_answers(busy: Cluster, invoke: Invoke) -> None:
    busy.api.lists[SERVICES].insert(0, {"metadata": {"namespace": "team-a", "name": "other"}})
    other = f"/api/v1/namespaces/team-a/services/other:http/proxy{DECISIONS}"
    busy.api.raw["GET", other] = lambda: web.json_response(
        {"error": "there is no PredictiveScaler shop/web"}, status=404
    )
    assert (await invoke("explain", "web", "-n", "shop")).out.startswith("shop/web")
    assert busy.api.of("GET", other)


async def test_only_one_namespace_is_searched_where_it_is_named(busy: Cluster, invoke: Invoke) -> None:
    one = "/api/v1/namespaces/scaler-system/services"
    busy.api.lists[one] = busy.api.lists.pop(SERVICES)
    ended = await invoke("explain", "web", "-n", "shop", "--controller-namespace", "scaler-system")
    assert ended.out.startswith("shop/web")
    assert busy.api.of("GET", one)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--at", "2026-03-02T11:00Z"], "the oldest record of shop/web is of 2026-03-02T12:00:00+00:00"),
        (["--controller", "here"], "--controller: 'here' is no address such as http://127.0.0.1:8080"),
        (["--at", "yesterday"], "--at: 'yesterday' is no time; write 2026-11-21T03:12:00Z, or 03:12"),
        (["-n", "bank"], "there is no PredictiveScaler bank/web"),
    ],
    ids=str,
)
async def test_what_cannot_be_told_is_one_line(busy: Cluster, invoke: Invoke, arguments: list[str], words: str) -> None:
    ended = await invoke("explain", "web", "-n", "shop", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert words in ended.err
    assert ended.err.count("\n") == 1


def _without_services(cluster: Cluster) -> None:
    cluster.api.lists[SERVICES] = []


def _forbidden_services(cluster: Cluster) -> None:
    cluster.refused.add(SERVICES)


def _forbidden_proxy(cluster: Cluster) -> None:
    cluster.refused.add(f"{PROXY}{DECISIONS}")


def _no_endpoints(cluster: Cluster) -> None:
    cluster.api.lists[SERVICES] = [{"metadata": {"namespace": "team-a", "name": "down"}}]
    path = f"/api/v1/namespaces/team-a/services/down:http/proxy{DECISIONS}"
    cluster.api.raw["GET", path] = lambda: status(503, 'no endpoints available for service "down"')


def _no_such_service(cluster: Cluster) -> None:
    """As kube-apiserver 1.36 answers for a Service without a selector."""
    _no_endpoints(cluster)
    path = f"/api/v1/namespaces/team-a/services/down:http/proxy{DECISIONS}"
    cluster.api.raw["GET", path] = lambda: status(404, 'services "down" not found')


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (_without_services, "no Service in any namespace is labelled app.kubernetes.io/name=predictive-scaler"),
        (_forbidden_services, "you may not list services of all namespaces; name --controller-namespace"),
        (_forbidden_proxy, "you may not get services/proxy in scaler-system; ask for that right, or name --controller"),
        (_no_such_service, 'the Service team-a/down gives no answer: services "down" not found'),
        (_no_endpoints, 'the Service team-a/down gives no answer: no endpoints available for service "down"'),
    ],
)
async def test_without_the_controller_the_status_tells(
    cluster: Cluster, invoke: Invoke, broken: object, words: str
) -> None:
    broken(cluster)  # type: ignore[operator]
    cluster.api.objects[SCALER] = body("web", status={"lastDecision": LAST})
    ended = await invoke("explain", "web", "-n", "shop")
    assert ended.code == 0
    assert f"the controller cannot be asked: {words}" in ended.err
    assert ended.out == (
        "shop/web, 2026-03-02T12:00:00Z: the last decision, from the status\n"
        "Load        Forecast: to be ready for 95, seen 45, forecast 95.\n"
        "Load        5 -> 10: Forecast load 95 / 10 per replica needs 10.\n"
    )


async def test_nobody_listens_where_the_controller_should_be(cluster: Cluster, invoke: Invoke) -> None:
    cluster.api.objects[SCALER] = body("web", status={"lastDecision": LAST})
    ended = await invoke("explain", "web", "-n", "shop", "--controller", "http://127.0.0.1:1", "-o", "json")
    assert (ended.code, json.loads(ended.out)) == (0, LAST)
    assert "the controller cannot be asked: http://127.0.0.1:1/api/v1/scalers/shop/web/decisions" in ended.err


async def test_something_else_listens_there(cluster: Cluster, invoke: Invoke) -> None:
    cluster.api.objects[SCALER] = body("web", status={"lastDecision": LAST})
    ended = await invoke("explain", "web", "-n", "shop", "--controller", f"{cluster.controller}/metrics#")
    assert ended.code == 0
    assert "gives no answer that can be read" in ended.err


async def test_the_status_cannot_tell_of_another_time(cluster: Cluster, invoke: Invoke) -> None:
    _without_services(cluster)
    cluster.api.objects[SCALER] = body("web", status={"lastDecision": LAST})
    ended = await invoke("explain", "web", "-n", "shop", "--at", "2026-03-02T11:00Z")
    assert "the status has the last decision only, not that of --at" in ended.err


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ({}, "there is no PredictiveScaler shop/web"),
        ({SCALER: body("web")}, "the status of shop/web tells of no decision either"),
    ],
)
async def test_where_nobody_knows_anything(
    cluster: Cluster, invoke: Invoke, objects: dict[str, dict[str, object]], words: str
) -> None:
    _without_services(cluster)
    cluster.api.objects = objects
    ended = await invoke("explain", "web", "-n", "shop")
    assert (ended.code, ended.out) == (2, "")
    assert f"error: {words}" in ended.err


async def test_no_way_to_any_cluster(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    ended = await invoke("explain", "web")
    assert ended.code == 2
    assert "no kubeconfig to take the namespace from" in ended.err
