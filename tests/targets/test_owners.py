"""Is another autoscaler on the target found, and named so that a user finds it too?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.kubernetes_api import KubernetesApi
from controller.ports import TargetError, TargetReason
from controller.spec import FloorRef, TargetRef
from controller.targets.claims import Claims, Field
from controller.targets.floors import ANNOTATION, Floor
from controller.targets.owners import AutoscalerOwners
from tests.servers.kubernetes import FakeApiServer, status

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PATH = "/apis/autoscaling/v2/horizontalpodautoscalers"
API = TargetRef(api_version="apps/v1", kind="Deployment", name="api")


def autoscaler(name: str, *, target: str = "api", namespace: str = "web", **labels: str) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    metadata = {"name": name, "namespace": namespace, "labels": labels or None}
    return {"metadata": metadata, "spec": {"scaleTargetRef": reference}}


@pytest.fixture
def owners(api: KubernetesApi, server: FakeApiServer) -> AutoscalerOwners:
    server.lists[PATH] = [autoscaler("hpa")]
    return AutoscalerOwners(api)


async def test_the_owner_is_named(owners: AutoscalerOwners) -> None:
    owner = await owners.owner("web", API, NOW)
    assert owner is not None
    assert owner.words == 'HorizontalPodAutoscaler "hpa"'


async def test_keda_is_named_by_what_its_user_wrote(owners: AutoscalerOwners, server: FakeApiServer) -> None:
    server.lists[PATH] = [autoscaler("keda-hpa-api", **{"scaledobject.keda.sh/name": "queue"})]
    owner = await owners.owner("web", API, NOW)
    assert owner is not None
    assert owner.words == 'KEDA\'s ScaledObject "queue" (through HorizontalPodAutoscaler "keda-hpa-api")'
    assert "make this PredictiveScaler a trigger of it" in owner.cure


async def test_an_autoscaler_is_told_how_to_be_lived_beside(owners: AutoscalerOwners) -> None:
    owner = await owners.owner("web", API, NOW)
    assert owner is not None
    assert "targetRef: {kind: HorizontalPodAutoscaler, name: hpa}" in owner.cure


async def test_of_an_autoscaler_whose_floor_is_raised_it_is_told_by_whom(
    owners: AutoscalerOwners, server: FakeApiServer
) -> None:
    floor = Floor(scaler="early", uid="1", own=2, set=5)
    server.lists[PATH][0]["metadata"]["annotations"] = {ANNOTATION: floor.text()}
    owner = await owners.owner("web", API, NOW)
    assert owner is not None
    assert owner.cure.startswith('PredictiveScaler "early" raises its floor already')


@pytest.mark.parametrize(("labels", "is_owned"), [({}, False), ({"scaledobject.keda.sh/name": "queue"}, True)])
async def test_the_floor_of_an_autoscaler_is_keda_s_where_keda_made_it(
    owners: AutoscalerOwners, server: FakeApiServer, labels: dict[str, str], is_owned: bool
) -> None:
    server.lists[PATH] = [autoscaler("hpa", **labels)]
    owner = await owners.owner("web", FloorRef(name="hpa"), NOW)
    assert (owner is not None) is is_owned
    assert owner is None or owner.words == 'KEDA\'s ScaledObject "queue"'


async def test_who_sets_back_what_was_written_owns_the_target(api: KubernetesApi, server: FakeApiServer) -> None:
    server.lists[PATH] = []
    claims, field = Claims(lambda: 0.0), Field.of("web", API)
    owners = AutoscalerOwners(api, claims=claims)
    claims.wrote(field, 7)
    assert await owners.owner("web", API, NOW, generation=1) is None
    claims.saw(field, 3, ["argocd-controller"])
    owner = await owners.owner("web", API, NOW, generation=1)
    assert owner is not None
    assert "Argo CD" in owner.words


@pytest.mark.parametrize(
    ("namespace", "api_version", "kind", "name", "is_owned"),
    [
        pytest.param("web", "apps/v1", "Deployment", "api", True, id="the same"),
        pytest.param("web", "apps/v1beta2", "Deployment", "api", True, id="another version of it"),
        pytest.param("shop", "apps/v1", "Deployment", "api", False, id="another namespace"),
        pytest.param("web", "extensions/v1", "Deployment", "api", False, id="another group"),
        pytest.param("web", "v1", "Deployment", "api", False, id="the core group"),
        pytest.param("web", "apps/v1", "StatefulSet", "api", False, id="another kind"),
        pytest.param("web", "apps/v1", "Deployment", "other", False, id="another name"),
    ],
)
async def test_what_counts_as_the_same_target(
    owners: AutoscalerOwners, namespace: str, api_version: str, kind: str, name: str, is_owned: bool
) -> None:
    owner = await owners.owner(namespace, TargetRef(api_version=api_version, kind=kind, name=name), NOW)
    assert (owner is not None) is is_owned


@pytest.mark.parametrize(("seconds", "lists"), [(0, 1), (29, 1), (30, 2), (-1, 2)])
async def test_the_list_is_read_every_half_minute(
    owners: AutoscalerOwners, server: FakeApiServer, seconds: int, lists: int
) -> None:
    await asyncio.gather(*(owners.owner("web", API, NOW) for _ in range(10)))
    await owners.owner("web", API, NOW + timedelta(seconds=seconds))
    assert len(server.of("GET", PATH)) == lists


async def test_some_namespaces_may_be_enough(api: KubernetesApi, server: FakeApiServer) -> None:
    for namespace in ("web", "shop"):
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
        server.lists[path] = [autoscaler("hpa", namespace=namespace)]
    owners = AutoscalerOwners(api, namespaces=["web", "shop"])
    assert [await owners.owner(namespace, API, NOW) is not None for namespace in ("web", "shop", "else")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("code", "reason"),
    [(401, TargetReason.FORBIDDEN), (403, TargetReason.FORBIDDEN), (500, TargetReason.UNAVAILABLE)],
)
async def test_not_knowing_is_an_error(
    owners: AutoscalerOwners, server: FakeApiServer, code: int, reason: TargetReason
) -> None:
    server.raw["GET", PATH] = lambda: status(code, "no")
    with pytest.raises(TargetError, match="whether another autoscaler owns the target") as caught:
        await owners.owner("web", API, NOW)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("seconds", "lists"), [(0, 1), (1, 2)])
async def test_a_failed_list_is_not_tried_again_for_the_same_moment(
    owners: AutoscalerOwners, server: FakeApiServer, seconds: int, lists: int
) -> None:
    server.raw["GET", PATH] = lambda: status(500, "no")
    for now in (NOW, NOW + timedelta(seconds=seconds)):
        with pytest.raises(TargetError):
            await owners.owner("web", API, now)
    assert len(server.of("GET", PATH)) == lists
