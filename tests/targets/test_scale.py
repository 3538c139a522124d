"""Is a workload's size read and written through `/scale`, whatever its kind, and never over somebody else's change?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from controller.kubernetes_api import KubernetesApi
from controller.ports import TargetError, TargetReason, TargetState
from controller.spec import TargetRef
from controller.targets import scale as product
from controller.targets.claims import Claims, Field
from controller.targets.conflicts import WRITE_ATTEMPTS
from controller.targets.scale import ScaleTarget
from tests.servers.kubernetes import FakeApiServer, status
from tests.waiting import PATIENCE

DEPLOYMENT = TargetRef(api_version="apps/v1", kind="Deployment", name="api")
OBJECT = "/apis/apps/v1/namespaces/web/deployments/api"
SCALE = f"{OBJECT}/scale"
SCALE_KIND = {"apiVersion": "autoscaling/v1", "kind": "Scale"}


def served(kinds: dict[str, str], *, scalable: Sequence[str], is_namespaced: bool = True) -> dict[str, Any]:
    """A discovery document. `kinds`: plural -> kind; `scalable`: the plurals that have `/scale`."""
    names = {**kinds, **{f"{plural}/status": kind for plural, kind in kinds.items()}}
    names |= {f"{plural}/scale": "Scale" for plural in scalable}
    return {"resources": [{"name": name, "kind": kind, "namespaced": is_namespaced} for name, kind in names.items()]}


def scale(replicas: int | None, version: str = "41") -> dict[str, Any]:
    spec = {} if replicas is None else {"replicas": replicas}
    return {"kind": "Scale", "metadata": {"resourceVersion": version}, "spec": spec, "status": {"replicas": 2}}


@pytest.fixture
def target(api: KubernetesApi, server: FakeApiServer) -> ScaleTarget:
    kinds = {"deployments": "Deployment", "statefulsets": "StatefulSet", "daemonsets": "DaemonSet"}
    server.objects["/apis/apps/v1"] = served(kinds, scalable=["deployments", "statefulsets"])
    server.objects[SCALE] = scale(3)
    return ScaleTarget(api, doubt_seconds=-1)


@pytest.mark.parametrize(("replicas", "expected"), [(3, 3), (None, 0)], ids=["three", "zero is left out"])
async def test_the_size_asked_for_is_read(
    target: ScaleTarget, server: FakeApiServer, replicas: int | None, expected: int
) -> None:
    server.objects[SCALE] = scale(replicas)
    assert await target.read("web", DEPLOYMENT) == TargetState(replicas=expected, resource_version="41")


@pytest.mark.parametrize(
    ("api_version", "kind", "root", "plural"),
    [
        ("v1", "ReplicationController", "/api/v1", "replicationcontrollers"),
        ("shop.example/v1beta1", "Till", "/apis/shop.example/v1beta1", "tills"),
    ],
)
async def test_any_kind_with_scale(
    target: ScaleTarget, server: FakeApiServer, api_version: str, kind: str, root: str, plural: str
) -> None:
    server.objects[root] = served({plural: kind}, scalable=[plural])
    server.objects[f"{root}/namespaces/web/{plural}/api/scale"] = scale(5)
    state = await target.read("web", TargetRef(api_version=api_version, kind=kind, name="api"))
    assert state.replicas == 5


async def test_only_the_replicas_are_written_and_only_to_what_was_read(
    target: ScaleTarget, server: FakeApiServer
) -> None:
    await target.write("web", DEPLOYMENT, await target.read("web", DEPLOYMENT), 7)
    (patch,) = server.of("PATCH")
    assert (patch.path, patch.content_type) == (SCALE, "application/apply-patch+yaml")
    assert patch.query == {"fieldManager": "predictive-scaler", "force": "true"}
    assert patch.body == {**SCALE_KIND, "metadata": {"name": "api", "resourceVersion": "41"}, "spec": {"replicas": 7}}


async def test_a_custom_resource_is_merged_into_since_it_takes_no_apply(
    target: ScaleTarget, server: FakeApiServer
) -> None:
    ref = TargetRef(api_version="shop.example/v1", kind="Till", name="api")
    where = "/apis/shop.example/v1/namespaces/web/tills/api/scale"
    server.objects["/apis/shop.example/v1"] = served({"tills": "Till"}, scalable=["tills"])
    server.objects[where] = scale(3)
    await target.write("web", ref, await target.read("web", ref), 7)
    (patch,) = server.of("PATCH")
    assert (patch.path, patch.content_type) == (where, "application/merge-patch+json")
    assert patch.query == {"fieldManager": "predictive-scaler"}
    assert patch.body["metadata"]["resourceVersion"] == "41"


async def test_somebody_elses_change_is_a_conflict(target: ScaleTarget, server: FakeApiServer) -> None:
    state = await target.read("web", DEPLOYMENT)
    server.objects[SCALE] = scale(9, version="42")
    with pytest.raises(TargetError, match="changed by somebody else") as caught:
        await target.write("web", DEPLOYMENT, state, 7)
    assert caught.value.reason == TargetReason.CONFLICT
    assert server.objects[SCALE] == scale(9, version="42")


async def test_a_change_of_anything_but_the_size_is_no_conflict(target: ScaleTarget, server: FakeApiServer) -> None:
    state = await target.read("web", DEPLOYMENT)
    server.objects[SCALE] = scale(state.replicas, version="42")
    await target.write("web", DEPLOYMENT, state, 7)
    assert server.objects[SCALE]["spec"] == {"replicas": 7}


async def test_an_object_that_never_rests_is_left_for_the_next_tick(target: ScaleTarget, server: FakeApiServer) -> None:
    state = await target.read("web", DEPLOYMENT)
    server.raw["PATCH", SCALE] = lambda: status(409, "modified")
    with pytest.raises(TargetError) as caught:
        await target.write("web", DEPLOYMENT, state, 7)
    assert (caught.value.reason, len(server.of("PATCH"))) == (TargetReason.CONFLICT, WRITE_ATTEMPTS)


@pytest.mark.parametrize(
    ("code", "reason", "word"),
    [
        (401, TargetReason.FORBIDDEN, "RBAC"),
        (403, TargetReason.FORBIDDEN, "RBAC"),
        (404, TargetReason.NOT_FOUND, "create it"),
        (429, TargetReason.UNAVAILABLE, "its own words"),
        (500, TargetReason.UNAVAILABLE, "its own words"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_errors_name_the_target_and_the_cure(
    target: ScaleTarget, server: FakeApiServer, method: str, code: int, reason: TargetReason, word: str
) -> None:
    server.raw[method, SCALE] = lambda: status(code, "its own words")
    state = TargetState(replicas=3, resource_version="41")
    call = target.read("web", DEPLOYMENT) if method == "GET" else target.write("web", DEPLOYMENT, state, 7)
    with pytest.raises(TargetError, match=f'Deployment "api" in namespace web.*{word}') as caught:
        await call
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("api_version", "kind", "word"),
    [
        ("apps/v1", "DaemonSet", "those that have are Deployment, StatefulSet"),
        ("apps/v1", "Nonsense", "those that have are Deployment, StatefulSet"),
        ("apps/v9", "Deployment", "nothing in apps/v9"),
    ],
)
async def test_a_kind_without_scale(target: ScaleTarget, api_version: str, kind: str, word: str) -> None:
    with pytest.raises(TargetError, match=word) as caught:
        await target.read("web", TargetRef(api_version=api_version, kind=kind, name="api"))
    assert caught.value.reason == TargetReason.NOT_SCALABLE


async def test_a_kind_outside_namespaces_is_not_scaled(target: ScaleTarget, server: FakeApiServer) -> None:
    server.objects["/apis/shop.example/v1"] = served({"malls": "Mall"}, scalable=["malls"], is_namespaced=False)
    with pytest.raises(TargetError, match=r"nothing in shop\.example/v1"):
        await target.read("web", TargetRef(api_version="shop.example/v1", kind="Mall", name="api"))


async def test_discovery_that_fails_is_not_a_missing_kind(target: ScaleTarget, server: FakeApiServer) -> None:
    server.raw["GET", "/apis/apps/v1"] = lambda: status(503, "starting")
    with pytest.raises(TargetError, match="starting") as caught:
        await target.read("web", DEPLOYMENT)
    assert caught.value.reason == TargetReason.UNAVAILABLE


async def test_discovery_that_fails_fails_for_all_who_wait(
    target: ScaleTarget, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product, "FAILURE_SECONDS", PATIENCE)
    server.raw["GET", "/apis/apps/v1"] = lambda: status(503, "starting")
    results = await asyncio.gather(*(target.read("web", DEPLOYMENT) for _ in range(20)), return_exceptions=True)
    assert [type(result) for result in results] == [TargetError] * 20
    assert len(server.calls) == 1


async def test_discovery_is_asked_once_for_many(target: ScaleTarget, server: FakeApiServer) -> None:
    await asyncio.gather(*(target.read("web", DEPLOYMENT) for _ in range(20)))
    assert len(server.of("GET", "/apis/apps/v1")) == 1


async def test_discovery_is_asked_again_when_it_is_old(
    api: KubernetesApi, target: ScaleTarget, server: FakeApiServer
) -> None:
    aged = ScaleTarget(api, discovery_seconds=-1)
    await aged.read("web", DEPLOYMENT)
    await aged.read("web", DEPLOYMENT)
    assert len(server.of("GET", "/apis/apps/v1")) == 2


async def test_a_kind_that_was_made_scalable_is_noticed(target: ScaleTarget, server: FakeApiServer) -> None:
    till = TargetRef(api_version="shop.example/v1", kind="Till", name="api")
    with pytest.raises(TargetError):
        await target.read("web", till)
    server.objects["/apis/shop.example/v1"] = served({"tills": "Till"}, scalable=["tills"])
    server.objects["/apis/shop.example/v1/namespaces/web/tills/api/scale"] = scale(1)
    assert (await target.read("web", till)).replicas == 1


async def test_a_kind_that_moved_is_found_after_its_404(target: ScaleTarget, server: FakeApiServer) -> None:
    await target.read("web", DEPLOYMENT)
    server.objects["/apis/apps/v1"] = served({"rollouts": "Deployment"}, scalable=["rollouts"])
    server.objects["/apis/apps/v1/namespaces/web/rollouts/api/scale"] = server.objects.pop(SCALE)
    with pytest.raises(TargetError):
        await target.read("web", DEPLOYMENT)
    assert (await target.read("web", DEPLOYMENT)).replicas == 3


async def test_many_missing_targets_ask_discovery_once(
    api: KubernetesApi, target: ScaleTarget, server: FakeApiServer
) -> None:
    believing = ScaleTarget(api)
    for name in ("a", "b", "c"):
        with pytest.raises(TargetError):
            await believing.read("web", TargetRef(api_version="apps/v1", kind="Deployment", name=name))
    assert len(server.of("GET", "/apis/apps/v1")) == 1


def deployment(*managers: str, ready: int | None = None) -> dict[str, Any]:
    """The object itself, of which `managers` wrote the size, one after the other."""
    fields = [{"manager": one, "fieldsV1": {"f:spec": {"f:replicas": {}}}} for one in managers]
    told = {"replicas": 3} if ready is None else {"replicas": 3, "readyReplicas": ready}
    return {"metadata": {"managedFields": fields}, "status": told}


@pytest.mark.parametrize(("ready", "expected"), [(2, 2), (None, 0)], ids=["two", "none is left out"])
async def test_ready_replicas_are_those_of_the_object(
    target: ScaleTarget, server: FakeApiServer, ready: int | None, expected: int
) -> None:
    server.objects[OBJECT] = deployment(ready=ready)
    assert (await target.read("web", DEPLOYMENT)).ready == expected


async def test_an_object_that_may_not_be_seen_leaves_its_size_known(target: ScaleTarget, server: FakeApiServer) -> None:
    server.raw["GET", OBJECT] = lambda: status(403, "no")
    state = await target.read("web", DEPLOYMENT)
    assert (state.replicas, state.ready, state.note) == (3, None, "")


async def test_the_object_is_looked_at_once_in_a_while_only(target: ScaleTarget, server: FakeApiServer) -> None:
    server.objects[OBJECT] = deployment(ready=3)
    for _ in range(5):
        await target.read("web", DEPLOYMENT)
    assert (len(server.of("GET", SCALE)), len(server.of("GET", OBJECT))) == (5, 1)


async def test_what_git_owns_is_noted_before_the_first_write(target: ScaleTarget, server: FakeApiServer) -> None:
    server.objects[OBJECT] = deployment("argocd-controller", ready=3)
    state = await target.read("web", DEPLOYMENT)
    assert state.note.startswith('Argo CD (field manager "argocd-controller") owns spec.replicas as well')


async def test_a_size_that_was_set_back_is_noticed_by_the_next_read(api: KubernetesApi, server: FakeApiServer) -> None:
    server.objects["/apis/apps/v1"] = served({"deployments": "Deployment"}, scalable=["deployments"])
    server.objects |= {SCALE: scale(3), OBJECT: deployment("argocd-controller")}
    claims = Claims()
    target, field = ScaleTarget(api, claims=claims), Field.of("web", DEPLOYMENT)
    await target.write("web", DEPLOYMENT, await target.read("web", DEPLOYMENT), 7)
    server.objects[OBJECT] = deployment("predictive-scaler")
    await target.read("web", DEPLOYMENT)
    assert claims.owner(field, 1) is None
    server.objects |= {SCALE: scale(3), OBJECT: deployment("argocd-controller")}
    await target.read("web", DEPLOYMENT)
    assert claims.owner(field, 1) is not None
