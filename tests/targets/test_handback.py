"""Is every floor given back that nobody raises any more, and no other, whatever was missed meanwhile?"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Literal

import pytest
from aiohttp import web

from controller.fence import seconds_left
from controller.kubernetes_api import FIELD_MANAGER, KubernetesApi
from controller.registry import Registry
from controller.spec import GROUP, VERSION
from controller.targets import handback
from controller.targets.floors import ANNOTATION, Floor, lowest
from controller.targets.handback import HandBack
from tests.builders import body
from tests.servers.kubernetes import FakeApiServer, status
from tests.targets.autoscalers import LIST, PATH, autoscaler
from tests.waiting import until

KEPT = Floor(scaler="early", uid="uid-early", own=2, set=7)
SCALER = f"/apis/{GROUP}/{VERSION}/namespaces/shop/predictivescalers/early"
FLOOR = {"targetRef": {"kind": "HorizontalPodAutoscaler", "name": "web"}}


def scaler(name: str = "early", **spec: Any) -> dict[str, Any]:
    return body(name, spec=FLOOR | spec)


def raised(server: FakeApiServer, least: int = 7, kept: Floor = KEPT) -> None:
    found = autoscaler(least, kept=kept, managers=("kubectl", FIELD_MANAGER))
    server.objects[PATH] = found
    server.lists[LIST] = [found]


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def hand_back(api: KubernetesApi, server: FakeApiServer, registry: Registry) -> HandBack:
    raised(server)
    return HandBack(api=api, registry=registry, namespaces=(), is_complete=lambda: True)


def floor(server: FakeApiServer) -> int:
    return lowest(server.objects[PATH])


async def test_of_a_scaler_that_is_gone_nothing_is_left(hand_back: HandBack, server: FakeApiServer) -> None:
    assert await hand_back.once()
    metadata = server.objects[PATH]["metadata"]
    assert (floor(server), metadata["annotations"]) == (2, {"team": "shop"})
    assert [one["manager"] for one in metadata["managedFields"]] == ["kubectl"]


async def test_the_floor_is_given_back_before_it_is_forgotten(hand_back: HandBack, server: FakeApiServer) -> None:
    """So that it may end in between, and the next one goes on."""
    await hand_back.once()
    first, second = server.of("PATCH")
    assert Floor.of(first.body) == Floor(scaler="early", uid="uid-early", own=2, set=2)
    assert {one["path"] for one in second.body} >= {"/metadata/managedFields", "/metadata/resourceVersion"}


async def test_a_floor_that_its_user_has_changed_stays_as_it_is(hand_back: HandBack, server: FakeApiServer) -> None:
    raised(server, 4)
    await hand_back.once()
    (patch,) = server.of("PATCH")
    assert isinstance(patch.body, list)
    assert (floor(server), ANNOTATION in server.objects[PATH]["metadata"]["annotations"]) == (4, False)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, 7, id="acts"),
        pytest.param({"mode": "Experiment", "experiment": {}}, 7, id="experiments"),
        pytest.param({"mode": "Observe"}, 2, id="observes"),
        pytest.param({"mode": "Paused"}, 2, id="paused"),
        pytest.param(
            {"targetRef": {"kind": "HorizontalPodAutoscaler", "name": "other"}}, 2, id="of another autoscaler"
        ),
        pytest.param({"targetRef": {"name": "web"}}, 2, id="of a Deployment of that name"),
        pytest.param({"maxReplicas": 0}, 7, id="refused: the last size stands"),
    ],
)
@pytest.mark.parametrize("is_known", [True, False], ids=["known", "not yet known"])
async def test_what_its_scaler_asks_for_now_decides(
    hand_back: HandBack, server: FakeApiServer, registry: Registry, spec: dict[str, Any], expected: int, is_known: bool
) -> None:
    """What the registry does not know yet, the cluster tells."""
    server.objects[SCALER] = scaler(**spec)
    if is_known:
        registry.put(server.objects[SCALER])
    await hand_back.once()
    assert floor(server) == expected


async def test_another_scaler_may_go_on_with_it(hand_back: HandBack, server: FakeApiServer, registry: Registry) -> None:
    registry.put(scaler("later"))
    await hand_back.once()
    assert (floor(server), server.of("PATCH")) == (7, [])


async def test_one_of_another_namespace_may_not(hand_back: HandBack, server: FakeApiServer, registry: Registry) -> None:
    elsewhere = scaler("later")
    elsewhere["metadata"]["namespace"] = "else"
    registry.put(elsewhere)
    await hand_back.once()
    assert floor(server) == 2


async def test_one_that_is_being_deleted_raises_it_no_more(hand_back: HandBack, server: FakeApiServer) -> None:
    server.objects[SCALER] = scaler()
    server.objects[SCALER]["metadata"]["deletionTimestamp"] = "2026-03-02T09:00:00Z"
    await hand_back.once()
    assert floor(server) == 2


async def test_a_copy_of_the_autoscaler_keeps_its_user_s_floor(hand_back: HandBack, server: FakeApiServer) -> None:
    """As from a backup, with the annotation, in a namespace where no such scaler is."""
    await hand_back.once()
    assert floor(server) == 2


@pytest.mark.parametrize("text", ["{", '{"own": 2}', "[" * 100_000, '{"scaler":"a","uid":"b","own":9,"set":7}'])
async def test_what_cannot_be_ours_is_not_touched(hand_back: HandBack, server: FakeApiServer, text: str) -> None:
    server.objects[PATH]["metadata"]["annotations"][ANNOTATION] = text
    assert await hand_back.once()
    assert (floor(server), server.of("PATCH")) == (7, [])


async def test_whose_floor_has_a_name_that_leads_elsewhere_is_given_back(
    hand_back: HandBack, server: FakeApiServer
) -> None:
    """Anybody who may annotate an autoscaler may write one; it must ask for no other path."""
    raised(server, kept=Floor(scaler="?watch=1", uid="u", own=2, set=7))
    server.lists[SCALER.rpartition("/")[0] + "/"] = [{"metadata": {}}]
    assert await hand_back.once()
    assert (floor(server), [call.path for call in server.of("GET")]) == (2, [LIST, PATH])


async def test_one_that_cannot_be_understood_holds_up_no_other(hand_back: HandBack, server: FakeApiServer) -> None:
    server.objects[SCALER] = {"metadata": {"name": "early"}}
    other = autoscaler(7, kept=Floor(scaler="gone", uid="g", own=3, set=7))
    other["metadata"]["name"] = "other"
    server.lists[LIST].append(other)
    server.objects[PATH.replace("/web", "/other")] = other
    await hand_back.once()
    assert (floor(server), lowest(server.objects[PATH.replace("/web", "/other")])) == (7, 3)


class Minute(asyncio.Event):
    """Set after a minute, in which each wait takes a pulse and no time at all."""

    seconds = 0.0

    async def wait(self) -> Literal[True]:
        await asyncio.sleep(0)
        self.seconds += handback.PULSE_SECONDS
        if self.seconds < 60.0:
            raise TimeoutError
        self.set()
        return True


@pytest.mark.slow
async def test_what_is_refused_for_ever_is_tried_ever_later(
    hand_back: HandBack, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a policy that wants a higher floor: not every second, with a list of all of them each time."""
    minute = Minute()
    tried: list[float] = []

    def refused() -> web.Response:
        tried.append(minute.seconds)
        return status(422, "a policy refuses it")

    monkeypatch.setattr(handback, "_loop_time", lambda: minute.seconds)
    server.raw["PATCH", PATH] = refused
    await hand_back.run(minute)
    assert tried == [0, 1, 3, 7, 15, 31]
    assert len(server.of("GET", LIST)) == len(tried)


@pytest.mark.parametrize(("tries", "seconds"), [(0, 60.0), (1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (10_000, 60.0)])
def test_a_pause_grows_to_that_between_comparisons(tries: int, seconds: float) -> None:
    assert handback._pause(tries) == seconds


async def test_only_who_serves_the_scaler_gives_back(
    api: KubernetesApi, server: FakeApiServer, registry: Registry
) -> None:
    raised(server)
    served: list[tuple[str, str]] = []

    def left(namespace: str, name: str) -> float:
        served.append((namespace, name))
        return 0.0

    idle = HandBack(api=api, registry=registry, namespaces=(), is_complete=lambda: True, left=left)
    assert await idle.once()
    assert (served, server.of("PATCH")) == ([("shop", "early")], [])


async def test_writes_are_permitted_for_as_long_as_it_is_served(
    api: KubernetesApi, server: FakeApiServer, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised(server)
    seen: list[float] = []
    apply = api.apply

    async def noting(path: str, body: dict[str, Any]) -> dict[str, Any]:
        seen.append(seconds_left())
        return await apply(path, body)

    monkeypatch.setattr(api, "apply", noting)
    await HandBack(api=api, registry=registry, namespaces=(), is_complete=lambda: True, left=lambda _, __: 4.5).once()
    assert seen == [4.5]
    assert seconds_left() != math.inf


@pytest.mark.parametrize("code", [409, 422])
async def test_a_change_meanwhile_is_met_again_soon(hand_back: HandBack, server: FakeApiServer, code: int) -> None:
    server.raw["PATCH", PATH] = lambda: status(code, "modified")
    assert not await hand_back.once()


@pytest.mark.parametrize("code", [403, 500])
async def test_what_may_not_be_is_tried_again_later(hand_back: HandBack, server: FakeApiServer, code: int) -> None:
    server.raw["PATCH", PATH] = lambda: status(code, "no")
    assert await hand_back.once()


async def test_an_autoscaler_that_is_gone_needs_nothing(hand_back: HandBack, server: FakeApiServer) -> None:
    del server.objects[PATH]
    assert await hand_back.once()


async def test_a_list_that_fails_is_read_later(hand_back: HandBack, server: FakeApiServer) -> None:
    server.raw["GET", LIST] = lambda: status(500, "no")
    assert await hand_back.once()
    assert server.of("PATCH") == []


async def test_namespaces_that_are_served_are_listed_alone(
    api: KubernetesApi, server: FakeApiServer, registry: Registry
) -> None:
    found = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers"
    server.lists[found] = []
    await HandBack(api=api, registry=registry, namespaces=("shop",), is_complete=lambda: True).once()
    assert [call.path for call in server.calls] == [found]


async def test_nothing_is_given_back_before_all_scalers_are_known(
    api: KubernetesApi, server: FakeApiServer, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handback, "PULSE_SECONDS", 0.01)
    raised(server)
    known, stop = False, asyncio.Event()
    hand_back = HandBack(api=api, registry=registry, namespaces=(), is_complete=lambda: known)
    run = asyncio.create_task(hand_back.run(stop))
    await asyncio.sleep(0.05)
    assert server.calls == []
    known = True
    await until(lambda: floor(server) == 2)
    stop.set()
    await run


async def test_a_scaler_that_ends_is_noticed_at_once(
    hand_back: HandBack, server: FakeApiServer, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the next time that all are compared."""
    monkeypatch.setattr(handback, "PULSE_SECONDS", 0.01)
    server.objects[SCALER] = scaler()
    registry.put(server.objects[SCALER])
    stop = asyncio.Event()
    run = asyncio.create_task(hand_back.run(stop))
    await until(lambda: len(server.of("GET", LIST)) == 1)
    await asyncio.sleep(0.05)
    assert (len(server.of("GET", LIST)), floor(server)) == (1, 7)
    del server.objects[SCALER]
    registry.discard("uid-early")
    await until(lambda: floor(server) == 2)
    stop.set()
    await run


async def test_a_write_that_comes_after_its_scaler_s_end_is_noticed_at_once(
    api: KubernetesApi, server: FakeApiServer, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a tick that was under way; the scaler may have been there for less than a pulse."""
    monkeypatch.setattr(handback, "PULSE_SECONDS", 0.01)
    written: set[tuple[str, str]] = set()
    hand_back = HandBack(api=api, registry=registry, namespaces=(), is_complete=lambda: True, raised=written)
    server.lists[LIST] = []
    stop = asyncio.Event()
    run = asyncio.create_task(hand_back.run(stop))
    await until(lambda: len(server.of("GET", LIST)) == 1)
    raised(server)
    written.add(("shop", "web"))
    await until(lambda: floor(server) == 2)
    stop.set()
    await run
    assert written == set()
