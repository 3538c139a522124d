"""Is the floor of an autoscaler raised and lowered within what is its user's, and never over somebody else's change?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.kubernetes_api import KubernetesApi
from controller.ports import TargetError, TargetReason, TargetState
from controller.registry import Scaler
from controller.spec import FloorRef
from controller.targets.claims import Claims, Field
from controller.targets.conflicts import WRITE_ATTEMPTS
from controller.targets.floors import ANNOTATION, Floor
from controller.targets.hpa import FloorTarget
from tests.builders import scaler
from tests.fakes import FakeTarget
from tests.servers.kubernetes import FakeApiServer, status
from tests.targets.autoscalers import PATH, autoscaler

REF = FloorRef(name="web")
KEPT = Floor(scaler="web", uid="uid-web", own=2, set=5)
FAILING = {"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric"}


def serving(_: str, __: FloorRef) -> Scaler:
    return scaler("web")


@pytest.fixture
def below() -> FakeTarget:
    return FakeTarget(sizes={"api": 4}, beside={"api": {"selector": "app=api", "ready": 3}})


@pytest.fixture
def target(api: KubernetesApi, server: FakeApiServer, below: FakeTarget) -> FloorTarget:
    server.objects[PATH] = autoscaler()
    return FloorTarget(api, workloads=below, scaling=serving)


@pytest.mark.parametrize(
    ("found", "replicas", "lowest"),
    [
        pytest.param(autoscaler(2), 2, 2, id="its user's"),
        pytest.param(autoscaler(5, kept=KEPT), 5, 2, id="raised"),
        pytest.param(autoscaler(7, kept=KEPT), 7, 7, id="raised, then changed by its user"),
        pytest.param(autoscaler(0), 1, None, id="one that may scale to zero"),
        pytest.param(autoscaler(5, kept=Floor(scaler="", uid="", own=0, set=5)), 5, None, id="such a one, raised"),
    ],
)
async def test_the_floor_and_its_bounds_are_read(
    target: FloorTarget, server: FakeApiServer, found: dict[str, Any], replicas: int, lowest: int | None
) -> None:
    server.objects[PATH] = found
    state = await target.read("shop", REF)
    assert (state.replicas, state.lowest, state.highest) == (replicas, lowest, 10)


async def test_what_it_scales_tells_its_pods(target: FloorTarget) -> None:
    state = await target.read("shop", REF)
    assert (state.selector, state.ready, state.present, state.note) == ("app=api", 3, 4, "it has 4 replicas")


async def test_what_it_scales_is_looked_at_once_in_a_while_only(target: FloorTarget, below: FakeTarget) -> None:
    for _ in range(5):
        await target.read("shop", REF)
    assert below.calls == ["read"]


async def test_what_it_scales_may_be_unknown(target: FloorTarget, below: FakeTarget) -> None:
    below.read_error = TargetError(TargetReason.NOT_FOUND, 'Deployment "api" does not exist')
    state = await target.read("shop", REF)
    assert (state.replicas, state.selector, state.ready) == (2, "", None)
    assert 'Deployment "api" does not exist' in state.note


@pytest.mark.parametrize(
    ("found", "words"),
    [
        pytest.param(autoscaler(current=1), "it has 1 replica", id="one"),
        pytest.param(autoscaler(current=None), "", id="not yet"),
        pytest.param(autoscaler(current=0, conditions=(FAILING,)), "its target has 0 replicas, at which", id="off"),
        pytest.param(
            autoscaler(conditions=(FAILING,)), "its own metrics fail (FailedGetResourceMetric)", id="without metrics"
        ),
        pytest.param(autoscaler(managers=("argocd-controller",)), "Argo CD", id="kept by Git"),
    ],
)
async def test_what_is_worth_knowing_is_noted(
    target: FloorTarget, server: FakeApiServer, found: dict[str, Any], words: str
) -> None:
    server.objects[PATH] = found
    assert words in (await target.read("shop", REF)).note


async def test_only_what_is_ours_is_applied_and_only_to_what_was_read(
    target: FloorTarget, server: FakeApiServer
) -> None:
    await target.write("shop", REF, await target.read("shop", REF), 7)
    (patch,) = server.of("PATCH")
    assert (patch.path, patch.content_type) == (PATH, "application/apply-patch+yaml")
    assert patch.query == {"fieldManager": "predictive-scaler", "force": "true"}
    text = patch.body["metadata"]["annotations"].pop(ANNOTATION)
    assert json.loads(text) == {"scaler": "web", "uid": "uid-web", "own": 2, "set": 7}
    assert patch.body == {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "resourceVersion": "41", "annotations": {}},
        "spec": {"minReplicas": 7},
    }


@pytest.mark.parametrize(
    ("found", "sizes", "expected"),
    [
        pytest.param(autoscaler(2), [7, 4, 2], (2, 2), id="up, down and back"),
        pytest.param(autoscaler(2), [7], (7, 2), id="up"),
        pytest.param(autoscaler(0), [7], (7, 0), id="one that may scale to zero, up"),
        pytest.param(autoscaler(0), [7, 1], (0, 0), id="and down again"),
        pytest.param(autoscaler(1), [7, 1], (1, 1), id="one of one"),
    ],
)
async def test_what_is_kept_is_its_user_s_after_any_number_of_writes(
    target: FloorTarget, server: FakeApiServer, found: dict[str, Any], sizes: list[int], expected: tuple[int, int]
) -> None:
    server.objects[PATH] = found
    for size in sizes:
        await target.write("shop", REF, await target.read("shop", REF), size)
    floor = Floor.of(server.objects[PATH])
    assert floor is not None
    assert (server.objects[PATH]["spec"]["minReplicas"], floor.own) == expected


async def test_what_its_user_writes_meanwhile_is_kept_from_then_on(target: FloorTarget, server: FakeApiServer) -> None:
    await target.write("shop", REF, await target.read("shop", REF), 7)
    server.objects[PATH]["spec"]["minReplicas"] = 4
    state = await target.read("shop", REF)
    await target.write("shop", REF, state, 9)
    floor = Floor.of(server.objects[PATH])
    assert floor is not None
    assert (state.replicas, state.lowest, floor.own, floor.set) == (4, 4, 4, 9)


@pytest.mark.parametrize("found", [autoscaler(3), autoscaler(2, most=9), autoscaler(2, kept=KEPT, most=8)])
async def test_somebody_else_s_change_is_a_conflict(
    target: FloorTarget, server: FakeApiServer, found: dict[str, Any]
) -> None:
    state = await target.read("shop", REF)
    found["metadata"]["resourceVersion"] = "42"
    server.objects[PATH] = found
    with pytest.raises(TargetError, match="changed by somebody else") as caught:
        await target.write("shop", REF, state, 7)
    assert caught.value.reason == TargetReason.CONFLICT


async def test_a_change_of_its_status_is_no_conflict(target: FloorTarget, server: FakeApiServer) -> None:
    state = await target.read("shop", REF)
    server.objects[PATH]["metadata"]["resourceVersion"] = "42"
    await target.write("shop", REF, state, 7)
    assert server.objects[PATH]["spec"]["minReplicas"] == 7


async def test_an_object_that_never_rests_is_left_for_the_next_tick(target: FloorTarget, server: FakeApiServer) -> None:
    state = await target.read("shop", REF)
    server.raw["PATCH", PATH] = lambda: status(409, "modified")
    with pytest.raises(TargetError) as caught:
        await target.write("shop", REF, state, 7)
    assert (caught.value.reason, len(server.of("PATCH"))) == (TargetReason.CONFLICT, WRITE_ATTEMPTS)


@pytest.mark.parametrize(
    ("replicas", "words"),
    [(11, r"11 is above its maxReplicas, 10; .*lower spec\.minReplicas"), (1, r"1 is below its own minReplicas, 2; ")],
)
async def test_beyond_its_bounds_nothing_is_written(
    target: FloorTarget, server: FakeApiServer, replicas: int, words: str
) -> None:
    with pytest.raises(TargetError, match=words) as caught:
        await target.write("shop", REF, await target.read("shop", REF), replicas)
    assert (caught.value.reason, server.of("PATCH")) == (TargetReason.NOT_SCALABLE, [])


@pytest.mark.parametrize(
    ("code", "reason", "word"),
    [
        (401, TargetReason.FORBIDDEN, r"rbac\.hpa"),
        (403, TargetReason.FORBIDDEN, r"rbac\.hpa"),
        (404, TargetReason.NOT_FOUND, "create it"),
        (500, TargetReason.UNAVAILABLE, "its own words"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_errors_name_the_target_and_the_cure(
    target: FloorTarget, server: FakeApiServer, method: str, code: int, reason: TargetReason, word: str
) -> None:
    server.raw[method, PATH] = lambda: status(code, "its own words")
    state = TargetState(replicas=2, resource_version="41", lowest=2, highest=10)
    call = target.read("shop", REF) if method == "GET" else target.write("shop", REF, state, 7)
    with pytest.raises(TargetError, match=f'HorizontalPodAutoscaler "web" in namespace shop.*{word}') as caught:
        await call
    assert caught.value.reason == reason


async def test_a_floor_that_git_sets_back_is_left_alone(
    api: KubernetesApi, server: FakeApiServer, below: FakeTarget
) -> None:
    server.objects[PATH] = autoscaler()
    claims = Claims()
    target, field = FloorTarget(api, workloads=below, claims=claims), Field.of("shop", REF)
    await target.write("shop", REF, await target.read("shop", REF), 7)
    server.objects[PATH] = autoscaler(managers=("kustomize-controller",), kept=Floor(scaler="", uid="", own=2, set=7))
    assert claims.owner(field, 1) is None
    state = await target.read("shop", REF)
    owner = claims.owner(field, 1)
    assert owner is not None
    assert (state.replicas, state.lowest) == (2, 2)
    assert "it set spec.minReplicas from 7 to 2" in owner.cure
