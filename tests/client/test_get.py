"""Does `get` list what was asked for as people and programs need it, and say in one line what cannot be listed?"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
import yaml
from aiohttp import web

from client.commands import clock
from tests.builders import NOW, body
from tests.client.conftest import SCALER, Cluster, Invoke
from tests.servers.kubernetes import status

SCALERS = SCALER.rpartition("/")[0]
EVERYWHERE = "/apis/predictivescaler.dev/v1alpha1/predictivescalers"


def _well(name: str, namespace: str = "shop", **fields: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True", "reason": "Scaling", "message": "the target follows"}]
    last = {"time": NOW.isoformat(), "source": "Seen", "steps": [], "seen": 45}
    one = body(name, status={"conditions": conditions, "lastDecision": last, "currentReplicas": 5} | fields)
    one["metadata"] |= {"namespace": namespace, "managedFields": [{"manager": "kubectl"}], "resourceVersion": "7"}
    return one


def _owned(name: str) -> dict[str, Any]:
    message = 'HorizontalPodAutoscaler "web" sets its size; remove it, or use mode Observe'
    owned = {"type": "Ready", "status": "False", "reason": "TargetOwned", "message": message}
    return _well(name, conditions=[owned])


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(seconds=20))


@pytest.fixture
def shop(cluster: Cluster) -> Cluster:
    cluster.api.lists[SCALERS] = [_well("api"), _owned("web")]
    cluster.api.objects[SCALER] = _owned("web")
    cluster.api.lists[EVERYWHERE] = [_well("api", "bank"), _owned("web")]
    return cluster


def _names(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines()[1:]]


async def test_what_needs_attention_comes_first(shop: Cluster, invoke: Invoke) -> None:
    ended = await invoke("get", "-n", "shop")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "NAME  MODE    TARGET      NOW/READY/WANT  SEEN  FORECAST  TRUST  COVERAGE  WHY  REASON       AGE",
        "web   Active  deploy/web  5/-/-           45    -         -      -         -    TargetOwned  36h",
        "api   Active  deploy/api  5/-/-           45    -         -      -         -    Scaling      36h",
    ]


async def test_by_name_and_without_the_first_line(shop: Cluster, invoke: Invoke) -> None:
    ended = await invoke("get", "-n", "shop", "--sort-by", "name", "--no-headers")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["api", "web"]


async def test_of_all_namespaces(shop: Cluster, invoke: Invoke) -> None:
    ended = await invoke("get", "-A")
    assert ended.out.startswith("NAMESPACE  NAME")
    assert _names(ended.out) == ["shop", "bank"]


async def test_of_the_namespace_that_the_context_names(shop: Cluster, invoke: Invoke) -> None:
    config = json.loads(shop.kubeconfig.read_text())
    config["contexts"].append({"name": "other", "context": {"cluster": "test", "user": "test", "namespace": "shop"}})
    shop.kubeconfig.write_text(json.dumps(config))
    assert _names((await invoke("get", "--context", "other")).out) == ["web", "api"]


async def test_by_labels(shop: Cluster, invoke: Invoke) -> None:
    await invoke("get", "-n", "shop", "-l", "team=shop,tier!=test")
    assert shop.api.of("GET", SCALERS)[0].query["labelSelector"] == "team=shop,tier!=test"


async def test_by_name_each_once(shop: Cluster, invoke: Invoke) -> None:
    ended = await invoke("get", "web", "web", "-n", "shop")
    assert _names(ended.out) == ["web"]


async def test_objects_for_programs_are_as_kubectl_prints_them(shop: Cluster, invoke: Invoke) -> None:
    one = json.loads((await invoke("get", "web", "-n", "shop", "-o", "json")).out)
    assert (one["apiVersion"], one["kind"]) == ("predictivescaler.dev/v1alpha1", "PredictiveScaler")
    assert one["metadata"]["name"] == "web"
    assert "managedFields" not in one["metadata"]
    many = yaml.safe_load((await invoke("get", "-n", "shop", "-o", "yaml")).out)
    assert (many["kind"], len(many["items"])) == ("List", 2)
    names = (await invoke("get", "-n", "shop", "-o", "name")).out
    assert names.split() == [f"predictivescaler.predictivescaler.dev/{name}" for name in ("api", "web")]


async def test_on_a_terminal_it_fits_and_tells_the_cure(
    shop: Cluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes stdout for a terminal
    monkeypatch.setenv("COLUMNS", "72")
    out = (await invoke("get", "-n", "shop")).out
    assert "\x1b[31mweb " in out
    lines = [line for line in out.splitlines() if "\x1b" not in line]
    assert max(map(len, lines)) <= 72
    assert 'web: TargetOwned: HorizontalPodAutoscaler "web" sets its size; remove' in " ".join(out.split())
    assert "(-o wide also shows TARGET, COVERAGE, WHY)" in out


async def test_nothing_there_is_said(cluster: Cluster, invoke: Invoke) -> None:
    cluster.api.lists[SCALERS] = []
    ended = await invoke("get", "-n", "shop")
    assert (ended.code, ended.out, ended.err) == (0, "", "there is no PredictiveScaler in namespace shop\n")
    assert json.loads((await invoke("get", "-n", "shop", "-o", "json")).out)["items"] == []


def _refused(cluster: Cluster) -> None:
    cluster.refused.add(EVERYWHERE)


def _no_kind(cluster: Cluster) -> None:
    cluster.api.raw["GET", SCALERS] = lambda: web.Response(text="404 page not found\n", status=404)
    cluster.api.raw["GET", SCALER] = cluster.api.raw["GET", SCALERS]


def _no_selector(cluster: Cluster) -> None:
    cluster.api.raw["GET", SCALERS] = lambda: status(400, "unable to parse requirement")


def _down(cluster: Cluster) -> None:
    cluster.api.raw["GET", SCALERS] = lambda: status(503, "etcd is away")


@pytest.mark.parametrize(
    ("broken", "arguments", "words"),
    [
        (None, ["lost", "-n", "shop"], "there is no PredictiveScaler shop/lost"),
        (None, ["-A", "-n", "shop"], "-A is all namespaces and -n is one of them; leave one away"),
        (None, ["web", "-A"], "-A is all namespaces, and a NAME is of one; name its namespace with -n"),
        (None, ["web", "-n", "shop", "-l", "a=b"], "-l chooses by labels, NAMEs by name; leave one away"),
        (None, ["-w", "-o", "json", "-n", "shop"], "--watch shows a table; leave it away, or -o json"),
        (None, ["--context", "nowhere"], "no way to the API server: "),
        (_refused, ["-A"], "you may not list the PredictiveScalers of all namespaces; name one with -n"),
        (_no_kind, ["-n", "shop"], "this cluster knows no PredictiveScalers; install the chart, which brings the kind"),
        (_no_kind, ["web", "-n", "shop"], "this cluster knows no PredictiveScalers; install the chart"),
        (_no_selector, ["-l", "==", "-n", "shop"], "-l: '==' is no selector such as team=shop,tier!=test: unable to"),
        (_down, ["-n", "shop"], "the PredictiveScalers of namespace shop cannot be listed: etcd is away"),
    ],
)
async def test_what_cannot_be_listed_is_one_line(
    shop: Cluster, invoke: Invoke, broken: Any, arguments: list[str], words: str
) -> None:
    if broken is not None:
        broken(shop)
    ended = await invoke("get", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert words in ended.err
    assert ended.err.count("\n") == 1


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each wait between two looks was meant to be."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


async def test_a_watch_on_a_pipe_prints_what_changed(shop: Cluster, invoke: Invoke, looks: list[float]) -> None:
    states = iter(
        [
            [_well("api"), _well("web")],
            [_well("api"), _well("web")],
            [_well("api"), _owned("web")],
            [_owned("web")],
        ]
    )
    shop.api.raw["GET", SCALERS] = lambda: web.json_response(
        {"metadata": {"resourceVersion": "7"}, "items": next(states)}
    )
    ended = await invoke("get", "-n", "shop", "-w", "--every", "30", "--times", "4")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["NAME", "api", "web", "web", "shop/api"]
    assert "TargetOwned" in ended.out.splitlines()[3]
    assert ended.out.endswith("shop/api is gone\n")
    assert looks == [30, 30, 30]


async def test_a_watch_outlives_an_api_server_that_is_away_for_a_while(
    shop: Cluster, invoke: Invoke, looks: list[float]
) -> None:
    answers = iter(
        [
            web.json_response({"metadata": {"resourceVersion": "7"}, "items": [_well("web")]}),
            status(503, "away"),
            web.json_response({"metadata": {"resourceVersion": "7"}, "items": [_owned("web")]}),
        ]
    )
    shop.api.raw["GET", SCALERS] = lambda: next(answers)
    ended = await invoke("get", "-n", "shop", "-w", "--times", "3")
    assert ended.code == 0
    assert _names(ended.out) == ["web", "web"]
    assert ended.err == "12:00:20Z: the PredictiveScalers of namespace shop cannot be listed: away; it is tried again\n"
    assert looks == [2, 2]


async def test_a_watch_that_cannot_even_begin_ends(shop: Cluster, invoke: Invoke, looks: list[float]) -> None:
    _down(shop)
    ended = await invoke("get", "-n", "shop", "-w")
    assert (ended.code, looks) == (2, [])


async def test_a_watch_on_a_terminal_begins_again_at_the_top(
    shop: Cluster, invoke: Invoke, looks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    ended = await invoke("get", "-n", "shop", "-w", "--times", "2")
    assert ended.out.count("\x1b[2J") == 2
    assert ended.out.count("12:00:20Z, every 2 s; Ctrl-C ends it") == 2


async def test_ctrl_c_is_how_a_watch_ends(shop: Cluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    ended = await invoke("get", "-n", "shop", "-w")
    assert (ended.code, ended.err) == (130, "")
