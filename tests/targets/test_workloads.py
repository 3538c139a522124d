"""Is a workload's own object looked at seldom, only where that is granted, and never in the way of anything?"""

from __future__ import annotations

from typing import Any

import pytest

from controller.kubernetes_api import KubernetesApi
from controller.spec import TargetRef
from controller.targets.workloads import PLURALS, UNSEEN, Look, Workloads
from tests.servers.kubernetes import FakeApiServer, status

ROOT = "/apis/apps/v1/namespaces/shop"


def ref(kind: str = "Deployment", api_version: str = "apps/v1") -> TargetRef:
    return TargetRef(api_version=api_version, kind=kind, name="web")


def workload(ready: int = 2, **fields: Any) -> dict[str, Any]:
    entries = [{"manager": name, "fieldsV1": {"f:spec": spec}} for name, spec in fields.items()]
    return {"metadata": {"managedFields": entries}, "status": {"readyReplicas": ready}}


@pytest.mark.parametrize(("kind", "plural"), PLURALS.items())
async def test_the_kinds_of_apps(api: KubernetesApi, server: FakeApiServer, kind: str, plural: str) -> None:
    server.objects[f"{ROOT}/{plural}/web"] = workload(argo={"f:replicas": {}}, kubectl={"f:template": {}})
    assert await Workloads(api).look("shop", ref(kind)) == Look(ready=2, managers=("argo",))


@pytest.mark.parametrize(("kind", "api_version"), [("DaemonSet", "apps/v1"), ("Deployment", "shop.example/v1")])
async def test_other_kinds_are_not_asked_for(
    api: KubernetesApi, server: FakeApiServer, kind: str, api_version: str
) -> None:
    assert await Workloads(api).look("shop", ref(kind, api_version)) == UNSEEN
    assert server.calls == []


@pytest.mark.parametrize(("seconds", "now", "looks"), [(30.0, False, 1), (0.0, False, 3), (30.0, True, 3)])
async def test_how_often(api: KubernetesApi, server: FakeApiServer, seconds: float, now: bool, looks: int) -> None:
    workloads = Workloads(api, seconds=seconds)
    server.objects[f"{ROOT}/deployments/web"] = workload()
    for _ in range(3):
        await workloads.look("shop", ref(), now=now)
    assert len(server.calls) == looks


@pytest.mark.parametrize("code", [401, 403, 404, 500])
async def test_what_may_not_be_seen_is_not_known_and_not_asked_for_again_soon(
    api: KubernetesApi, server: FakeApiServer, code: int
) -> None:
    workloads = Workloads(api)
    server.raw["GET", f"{ROOT}/deployments/web"] = lambda: status(code, "no")
    assert [await workloads.look("shop", ref()) for _ in range(3)] == [UNSEEN] * 3
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param({"metadata": {}}, UNSEEN, id="neither status nor managers"),
        pytest.param({"metadata": {"managedFields": None}, "status": {"replicas": 3}}, Look(ready=0), id="none ready"),
        pytest.param({"metadata": {"managedFields": [{"manager": "x"}]}}, UNSEEN, id="an entry without fields"),
    ],
)
async def test_what_is_left_out(
    api: KubernetesApi, server: FakeApiServer, found: dict[str, Any], expected: Look
) -> None:
    server.objects[f"{ROOT}/deployments/web"] = found
    assert await Workloads(api).look("shop", ref()) == expected
