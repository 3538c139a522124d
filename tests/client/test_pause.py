"""Do `pause` and `resume` change what is meant, each scaler by itself, and refuse what is not sure?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from client.modes import PAUSED_MODE
from tests.builders import body
from tests.client.conftest import SCALER, Cluster, Invoke
from tests.servers.kubernetes import status

SCALERS = SCALER.rpartition("/")[0]
EVERYWHERE = "/apis/predictivescaler.dev/v1alpha1/predictivescalers"
WEB = "predictivescaler.predictivescaler.dev/web"


def _scaler(name: str = "web", mode: str = "Active", was: str | None = None, **metadata: Any) -> dict[str, Any]:
    one = body(name, spec={"mode": mode})
    one["metadata"] |= {"resourceVersion": "7"} | metadata
    if was is not None:
        one["metadata"]["annotations"] = {PAUSED_MODE: was}
    return one


@pytest.fixture
def shop(cluster: Cluster) -> Cluster:
    _hold(cluster, _scaler("api", "Observe"), _scaler("web"))
    return cluster


def _hold(cluster: Cluster, *scalers: dict[str, Any]) -> None:
    cluster.api.lists[SCALERS] = cluster.api.lists[EVERYWHERE] = list(scalers)
    cluster.api.objects = {f"{SCALERS}/{one['metadata']['name']}": one for one in scalers}


def _mode(cluster: Cluster, name: str = "web") -> str:
    return str(cluster.api.objects[f"{SCALERS}/{name}"]["spec"]["mode"])


async def test_paused_and_going_on(shop: Cluster, invoke: Invoke) -> None:
    ended = await invoke("pause", "web", "-n", "shop")
    assert (ended.code, ended.out, ended.err) == (0, f"{WEB} paused (was Active)\n", "")
    assert _mode(shop) == "Paused"
    assert shop.api.objects[SCALER]["metadata"]["annotations"] == {PAUSED_MODE: "Active"}
    ended = await invoke("resume", "web", "-n", "shop")
    assert (ended.code, ended.out) == (0, f"{WEB} goes on in mode Active\n")
    assert _mode(shop) == "Active"
    assert not shop.api.objects[SCALER]["metadata"]["annotations"]


async def test_who_writes_is_no_controller(shop: Cluster, invoke: Invoke) -> None:
    await invoke("pause", "web", "-n", "shop")
    (call,) = shop.api.of("PATCH")
    assert call.query == {"fieldManager": "kubectl-predictivescaler"}
    assert call.body["metadata"]["resourceVersion"] == "7"


async def test_twice_is_once(shop: Cluster, invoke: Invoke) -> None:
    await invoke("pause", "web", "-n", "shop")
    ended = await invoke("pause", "web", "-n", "shop")
    assert (ended.code, ended.out) == (0, f"{WEB} is paused already (was Active)\n")
    assert len(shop.api.of("PATCH")) == 1


async def test_all_of_a_namespace_each_as_it_was(shop: Cluster, invoke: Invoke) -> None:
    ended = await invoke("pause", "--all", "-n", "shop")
    assert ended.out.splitlines() == [
        "predictivescaler.predictivescaler.dev/api paused (was Observe)",
        f"{WEB} paused (was Active)",
    ]
    _hold(shop, *shop.api.objects.values())
    await invoke("resume", "--all", "-n", "shop")
    assert (_mode(shop, "api"), _mode(shop)) == ("Observe", "Active")


async def test_all_with_a_label_of_all_namespaces(shop: Cluster, invoke: Invoke) -> None:
    ended = await invoke("pause", "-l", "team=shop", "-A")
    assert ended.out.splitlines()[1] == f"{WEB} in shop paused (was Active)"
    assert shop.api.of("GET", EVERYWHERE)[0].query["labelSelector"] == "team=shop"


async def test_a_dry_run_asks_the_api_server_and_changes_nothing(shop: Cluster, invoke: Invoke) -> None:
    ended = await invoke("pause", "web", "-n", "shop", "--dry-run=server", "-o", "json")
    assert json.loads(ended.out)["spec"]["mode"] == "Paused"
    assert shop.api.of("PATCH")[0].query["dryRun"] == "All"
    assert _mode(shop) == "Active"
    ended = await invoke("pause", "web", "-n", "shop", "--dry-run=server")
    assert ended.out == f"{WEB} paused (was Active) (server dry run)\n"


async def test_names_for_programs(shop: Cluster, invoke: Invoke) -> None:
    ended = await invoke("pause", "web", "api", "-n", "shop", "-o", "name")
    assert ended.out.split() == [WEB, "predictivescaler.predictivescaler.dev/api"]


async def test_in_another_mode(shop: Cluster, invoke: Invoke) -> None:
    await invoke("pause", "web", "-n", "shop")
    await invoke("resume", "web", "-n", "shop", "--mode", "Observe")
    assert _mode(shop) == "Observe"


async def test_whoever_keeps_it_in_git_is_named(shop: Cluster, invoke: Invoke) -> None:
    fields = {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": {"f:spec": {"f:mode": {}}}}
    _hold(shop, _scaler(managedFields=[fields]))
    ended = await invoke("pause", "web", "-n", "shop")
    assert ended.code == 0
    assert ended.err.startswith("note: web: spec.mode was set by Argo CD, which may set it back")


async def test_somebody_else_s_change_comes_first_and_stays(shop: Cluster, invoke: Invoke) -> None:
    """What was read is old by then: the mode meanwhile is what is remembered."""
    newer = _scaler(mode="Observe", resourceVersion="8")
    shop.api.raw["GET", SCALER] = _answers(_scaler(), newer)
    shop.api.objects[SCALER] = newer
    ended = await invoke("pause", "web", "-n", "shop")
    assert ended.out == f"{WEB} paused (was Observe)\n"
    assert [call.body["metadata"]["resourceVersion"] for call in shop.api.of("PATCH")] == ["7", "8"]


def _answers(*bodies: dict[str, Any]) -> Any:
    answers = iter(bodies)
    return lambda: web.json_response(next(answers))


async def test_it_is_not_tried_for_ever(shop: Cluster, invoke: Invoke) -> None:
    shop.api.raw["PATCH", SCALER] = lambda: status(409, "the object has been modified")
    ended = await invoke("pause", "web", "-n", "shop")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == ("error: the PredictiveScaler shop/web was changed by others again and again; try once more\n")
    assert len(shop.api.of("PATCH")) == 4


async def test_one_that_is_refused_keeps_no_other_from_it(shop: Cluster, invoke: Invoke) -> None:
    shop.refused.add(f"{SCALERS}/api")
    _hold(shop, _scaler("api"), _scaler("web"))
    ended = await invoke("pause", "--all", "-n", "shop")
    assert (ended.code, ended.out) == (1, f"{WEB} paused (was Active)\n")
    assert ended.err == "error: you may not patch the PredictiveScaler shop/api: forbidden\n"


async def test_what_the_api_server_refuses_is_told_in_its_words(shop: Cluster, invoke: Invoke) -> None:
    _hold(shop, _scaler(mode="Paused", was="Experiment"))
    shop.api.raw["PATCH", SCALER] = lambda: status(422, "spec.experiment: experiment is required with mode Experiment")
    ended = await invoke("resume", "web", "-n", "shop")
    assert ended.code == 1
    assert "the PredictiveScaler shop/web cannot be changed: spec.experiment: experiment is required" in ended.err


async def test_what_it_was_is_not_guessed(shop: Cluster, invoke: Invoke) -> None:
    _hold(shop, _scaler("api", mode="Paused", was="Observe"), _scaler(mode="Paused"))
    ended = await invoke("resume", "--all", "-n", "shop")
    assert (ended.code, _mode(shop, "api"), _mode(shop)) == (1, "Observe", "Paused")
    assert ended.err.startswith("error: web was not paused by this command, so its mode before is not known")


@pytest.mark.parametrize("command", ["pause", "resume"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a PredictiveScaler, or give --all for all of the namespace, or -l for those with a label"),
        (["-A"], "name a PredictiveScaler, or give --all"),
        (["web", "--all"], "give NAMEs, or else --all or -l, which may be of all namespaces with -A"),
        (["web", "-l", "a=b"], "give NAMEs, or else --all or -l"),
        (["web", "-A"], "give NAMEs, or else --all or -l"),
        (["--all", "-l", "a=b"], "--all and -l say different things; leave one of them away"),
        (["--all", "-A", "-n", "shop"], "-A is all namespaces and -n is one of them; leave one away"),
        (["lost", "-n", "shop"], "there is no PredictiveScaler shop/lost"),
        (["-l", "a=b", "-n", "empty"], "there is no PredictiveScaler in namespace empty with the labels a=b"),
    ],
)
async def test_what_is_not_sure_is_refused_and_changes_nothing(
    shop: Cluster, invoke: Invoke, command: str, arguments: list[str], words: str
) -> None:
    shop.api.lists[SCALERS.replace("shop", "empty")] = []
    ended = await invoke(command, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert ended.err.count("\n") == 1
    assert not shop.api.of("PATCH")


async def test_nothing_goes_on_in_mode_paused(shop: Cluster, invoke: Invoke) -> None:
    ended = await invoke("resume", "web", "-n", "shop", "--mode", "Paused")
    assert (ended.code, "--mode: nothing goes on in mode Paused" in ended.err) == (2, True)
    assert not shop.api.calls
