"""Are the pods of a target listed seldom, read for what they tell, and never waited for?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from controller.core.startup import LeadTime, LeadTimeSource, StartUps
from controller.kubernetes_api import PAGE, KubernetesApi
from controller.outcome import Problem, Stage
from controller.ports import LeadTimeReason, TargetState
from controller.registry import Scaler
from controller.spec import ScalerSpec
from controller.targets.looks import LOOKS_AT_ONCE, MIN_GAP, REFRESH
from controller.targets.startup import PODS_PER_MINUTE, PodLeadTimes
from tests.builders import NOW, scaler, seconds
from tests.servers.kubernetes import FakeApiServer, status

PATH = "/api/v1/namespaces/shop/pods"
AUTO = {"forecast": {"leadTime": "auto"}}
TWO_MINUTES = timedelta(minutes=2)
STARTED = NOW - timedelta(hours=1)
SECOND = seconds(1)


def rfc(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def condition(type_: str, status: str, at: datetime, **more: str) -> dict[str, str]:
    return {"type": type_, "status": status, "lastTransitionTime": rfc(at), **more}


def pod(number: int, *, took: float | None = None, at: datetime = STARTED, **changes: Any) -> dict[str, Any]:
    """A pod of a Deployment that was created at `at` and Ready `took` seconds later, or is not Ready."""
    ready = condition("Ready", "False", at) if took is None else condition("Ready", "True", at + seconds(took))
    metadata = {
        "uid": f"{number:08x}-0000",
        "name": f"web-{number}",
        "creationTimestamp": rfc(at),
        "labels": {"app": "web", "pod-template-hash": "5d9f"},
    }
    status = {"phase": "Running", "startTime": rfc(at), "conditions": [ready]}
    return {"metadata": metadata | changes.pop("metadata", {}), "spec": {}, "status": status | changes}


def started(took: Iterable[float], **changes: Any) -> list[dict[str, Any]]:
    return [pod(number, took=one, **changes) for number, one in enumerate(took)]


@dataclass(kw_only=True)
class Ticks:
    """Ticks of scalers whose target is the Deployment "web", version 1, with pods in the API server."""

    lead_times: PodLeadTimes
    server: FakeApiServer
    state: TargetState = field(
        default_factory=lambda: TargetState(replicas=3, resource_version="1", selector="app=web")
    )

    async def tick(self, after: timedelta = timedelta(0), of: Scaler | None = None) -> tuple[LeadTime, Problem | None]:
        """What is told at NOW + `after`, without what is looked at then."""
        one = of or scaler(spec=AUTO)
        assert isinstance(one.spec, ScalerSpec)
        told = self.lead_times.lead_time(one, one.spec, self.state, NOW + after)
        await self.lead_times.settled()
        return told

    async def known(self, after: timedelta = SECOND, of: Scaler | None = None) -> LeadTime:
        """What is told once a look has ended."""
        await self.tick(of=of)
        return (await self.tick(after, of))[0]

    async def problem(self) -> Problem:
        await self.tick()
        problem = (await self.tick(seconds(1)))[1]
        assert problem is not None
        return problem

    def changed(self) -> None:
        version = int(self.state.resource_version) + 1
        self.state = replace(self.state, resource_version=str(version))

    def looks(self) -> int:
        return len(self.server.of("GET", PATH))


@pytest.fixture
def ticks(api: KubernetesApi, server: FakeApiServer) -> Ticks:
    server.lists[PATH] = started([30] * 5)
    return Ticks(lead_times=PodLeadTimes(api), server=server)


async def test_the_pods_tell(ticks: Ticks) -> None:
    lead_time = await ticks.known()
    assert (lead_time.duration, lead_time.source) == (seconds(31), LeadTimeSource.LEARNT)
    assert (lead_time.samples, lead_time.waiting, lead_time.template) == (5, 0, "5d9f")


async def test_no_tick_waits_for_them(ticks: Ticks) -> None:
    lead_time, problem = await ticks.tick()
    assert (lead_time.duration, lead_time.source, problem) == (TWO_MINUTES, LeadTimeSource.DEFAULT, None)


async def test_only_the_targets_pods_that_have_not_ended_are_asked_for(ticks: Ticks) -> None:
    await ticks.tick()
    (call,) = ticks.server.of("GET", PATH)
    assert call.query == {
        "labelSelector": "app=web",
        "fieldSelector": "status.phase!=Succeeded,status.phase!=Failed",
        "limit": str(PAGE),
    }


async def test_a_large_target_is_read_a_page_at_a_time(ticks: Ticks) -> None:
    ticks.server.lists[PATH] = started([30] * (PAGE + 1))
    assert (await ticks.known()).samples == 40
    assert ticks.looks() == 2


@pytest.mark.parametrize(
    ("has_changed", "after", "looks"),
    [
        (False, MIN_GAP, 1),
        (False, REFRESH - seconds(1), 1),
        (False, REFRESH, 2),
        (True, MIN_GAP - seconds(1), 1),
        (True, MIN_GAP, 2),
        (False, -seconds(1), 2),
    ],
    ids=["calm", "calm for long", "calm for very long", "changed just now", "changed", "the clock was put back"],
)
async def test_when_one_looks_again(ticks: Ticks, has_changed: bool, after: timedelta, looks: int) -> None:
    await ticks.tick()
    if has_changed:
        ticks.changed()
    await ticks.tick(after)
    assert ticks.looks() == looks


@pytest.mark.parametrize(("pods", "gap"), [(PODS_PER_MINUTE, 1), (3 * PODS_PER_MINUTE, 3), (16 * PODS_PER_MINUTE, 15)])
async def test_a_large_target_is_looked_at_less_often(ticks: Ticks, pods: int, gap: float) -> None:
    ticks.server.lists[PATH] = [pod(1, took=1)] * pods
    await ticks.tick()
    ticks.changed()
    before = ticks.looks()
    await ticks.tick(timedelta(minutes=gap) - seconds(1))
    assert ticks.looks() == before
    await ticks.tick(timedelta(minutes=gap))
    assert ticks.looks() > before


def scalers(count: int) -> Sequence[Scaler]:
    return [scaler(f"web-{number}", spec=AUTO) for number in range(count)]


@pytest.mark.slow
async def test_a_thousand_scalers_that_rest_ask_once_in_a_quarter_of_an_hour(
    ticks: Ticks, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 ticks of 15 seconds, that is 60,000: a thousand lists, and with the next tick a thousand more."""
    asked = 0

    async def count(*_: object, **__: object) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"metadata": {}, "items": []}

    async def tick_all(after: timedelta) -> int:
        for one in many:
            assert isinstance(one.spec, ScalerSpec)
            ticks.lead_times.lead_time(one, one.spec, ticks.state, NOW + after)
        await ticks.lead_times.settled()
        return asked

    monkeypatch.setattr(api, "get", count)
    many = scalers(1000)
    counts = [await tick_all(tick * seconds(15)) for tick in range(61)]
    assert (set(counts[:-1]), counts[-1]) == ({1000}, 2000)


async def test_a_target_that_changes_all_the_time_is_asked_once_a_minute(ticks: Ticks) -> None:
    for tick in range(0, 600, 15):
        ticks.changed()
        await ticks.tick(seconds(tick))
    assert ticks.looks() == 10


async def test_few_lists_run_at_once(ticks: Ticks, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0

    async def slow(*_: object, **__: object) -> dict[str, Any]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return {"metadata": {}, "items": []}

    monkeypatch.setattr(api, "get", slow)
    for one in scalers(50):
        assert isinstance(one.spec, ScalerSpec)
        ticks.lead_times.lead_time(one, one.spec, ticks.state, NOW)
    await ticks.lead_times.settled()
    assert most == LOOKS_AT_ONCE


async def test_while_a_look_is_under_way_none_begins(
    ticks: Ticks, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def hanging(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    monkeypatch.setattr(api, "get", hanging)
    one = scaler(spec=AUTO)
    assert isinstance(one.spec, ScalerSpec)
    for tick in range(4):
        ticks.lead_times.lead_time(one, one.spec, ticks.state, NOW + tick * REFRESH)
        await asyncio.sleep(0)
    await ticks.lead_times.aclose()
    assert asked == 1


@pytest.mark.parametrize("label", ["pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash"])
async def test_the_template_is_that_of_the_youngest_pod(ticks: Ticks, label: str) -> None:
    old = pod(1, took=20, metadata={"labels": {label: "zz"}})
    new = pod(2, took=20, at=STARTED + seconds(1), metadata={"labels": {label: "aa"}})
    ticks.server.lists[PATH] = [new, old]
    lead_time = await ticks.known()
    assert (lead_time.template, lead_time.samples) == ("aa", 1)


@pytest.mark.parametrize("labels", [None, {}, {"pod-template-hash": ""}])
async def test_pods_of_no_known_template_are_of_one(ticks: Ticks, labels: dict[str, str] | None) -> None:
    ticks.server.lists[PATH] = started([30] * 5, metadata={"labels": labels})
    lead_time = await ticks.known()
    assert (lead_time.template, lead_time.duration) == ("", seconds(31))


WAITS = NOW - seconds(300)


@pytest.mark.parametrize(
    ("found", "waiting"),
    [
        pytest.param(pod(9, at=WAITS), 1, id="starting"),
        pytest.param(pod(9, at=WAITS, conditions=[], startTime=None), 1, id="not scheduled"),
        pytest.param(
            pod(9, at=WAITS, conditions=[condition("PodScheduled", "False", WAITS, reason="Unschedulable")]),
            1,
            id="no room",
        ),
        pytest.param(
            pod(9, at=WAITS, conditions=[condition("PodScheduled", "False", WAITS, reason="SchedulingGated")]),
            0,
            id="gated",
        ),
        pytest.param(pod(9, at=WAITS, metadata={"deletionTimestamp": rfc(NOW)}), 0, id="ending"),
        pytest.param(pod(9, at=WAITS, conditions=[condition("Ready", "False", NOW)]), 0, id="lost Ready"),
        pytest.param(
            pod(9, at=WAITS, conditions=[condition("Ready", "False", WAITS + seconds(20))]), 1, id="a slow kubelet"
        ),
        pytest.param(pod(9, at=WAITS, took=20), 0, id="Ready"),
        pytest.param(
            pod(9, at=WAITS, took=20, metadata={"deletionTimestamp": rfc(NOW)}), 0, id="Ready until a moment ago"
        ),
    ],
)
async def test_who_waits(ticks: Ticks, found: dict[str, Any], waiting: int) -> None:
    ticks.server.lists[PATH] = [found]
    assert (await ticks.known()).waiting == waiting


async def test_a_pod_that_is_ready_while_it_ends_still_tells(ticks: Ticks) -> None:
    ticks.server.lists[PATH] = [pod(9, took=200, metadata={"deletionTimestamp": rfc(NOW)})]
    assert (await ticks.known()).duration == seconds(201)


async def test_who_waits_lengthens_the_lead_time_without_another_look(ticks: Ticks) -> None:
    ticks.server.lists[PATH] = [pod(9, at=NOW - seconds(100))]
    assert (await ticks.known(seconds(200))).duration == seconds(300)
    assert ticks.looks() == 1


async def test_no_pods_are_nothing_new(ticks: Ticks) -> None:
    ticks.server.lists[PATH] = []
    assert (await ticks.known()).source is LeadTimeSource.DEFAULT


def refused(code: int) -> Any:
    return lambda: status(code, f"code {code}")


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (403, LeadTimeReason.FORBIDDEN, "grant list on pods by RBAC, or set forecast.leadTime: code 403"),
        (401, LeadTimeReason.FORBIDDEN, "grant list on pods by RBAC, or set forecast.leadTime: code 401"),
        (500, LeadTimeReason.UNAVAILABLE, "cannot list the pods in namespace shop to learn the lead time: code 500"),
        (410, LeadTimeReason.UNAVAILABLE, "code 410"),
    ],
)
async def test_what_fails_is_told_and_leaves_what_is_known(ticks: Ticks, code: int, reason: str, words: str) -> None:
    before = await ticks.known()
    ticks.changed()
    ticks.server.raw["GET", PATH] = refused(code)
    await ticks.tick(MIN_GAP)
    lead_time, problem = await ticks.tick(MIN_GAP + seconds(1))
    assert problem is not None
    assert (problem.stage, problem.reason) == (Stage.LEAD_TIME, reason)
    assert words in problem.message
    assert lead_time.duration == before.duration


async def test_what_fails_is_tried_again_after_a_minute(ticks: Ticks) -> None:
    ticks.server.raw["GET", PATH] = refused(403)
    await ticks.tick()
    del ticks.server.raw["GET", PATH]
    await ticks.tick(MIN_GAP - seconds(1))
    assert ticks.looks() == 1
    await ticks.tick(MIN_GAP)
    lead_time, problem = await ticks.tick(MIN_GAP + seconds(1))
    assert (lead_time.duration, problem) == (seconds(31), None)


@pytest.mark.parametrize("items", [[{"metadata": {}}], None], ids=["no uid", "no list"])
async def test_an_answer_that_is_no_list_of_pods_is_told(
    ticks: Ticks, items: object, caplog: pytest.LogCaptureFixture
) -> None:
    answer = {"metadata": {}, "items": items}
    ticks.server.raw["GET", PATH] = lambda: web.json_response(answer)
    with caplog.at_level(logging.CRITICAL):
        problem = await ticks.problem()
    assert problem.reason == LeadTimeReason.UNAVAILABLE
    assert problem.message.startswith("cannot read the pods: ")


async def test_a_kind_that_tells_no_selector_is_named_and_nothing_is_asked(ticks: Ticks) -> None:
    ticks.state = replace(ticks.state, selector="")
    problem = await ticks.problem()
    assert (problem.reason, ticks.looks()) == (LeadTimeReason.UNKNOWN, 0)
    assert problem.message == (
        "Deployment apps/v1 tells no selector in its scale subresource, so its pods are not known; "
        "set forecast.leadTime to a duration"
    )


async def test_a_restart_goes_on_from_the_status(ticks: Ticks, api: KubernetesApi) -> None:
    lead_time = await ticks.known()
    assert lead_time.start_ups is not None
    restarted = replace(ticks, lead_times=PodLeadTimes(api))
    stored = {"leadTime": {"memory": lead_time.start_ups.to_json()}}
    told, problem = await restarted.tick(of=scaler(spec=AUTO, status=stored))
    assert (told, problem) == (lead_time, None)


async def test_a_status_that_cannot_be_read_is_told_until_one_has_looked(ticks: Ticks) -> None:
    broken = scaler(spec=AUTO, status={"leadTime": {"memory": {"version": 99}}})
    told, problem = await ticks.tick(of=broken)
    assert problem is not None
    assert (told.source, problem.reason) == (LeadTimeSource.DEFAULT, LeadTimeReason.MALFORMED)
    assert (await ticks.tick(seconds(1), broken))[1] is None


async def test_a_status_of_a_lead_time_of_the_spec_is_no_status(ticks: Ticks) -> None:
    told, problem = await ticks.tick(of=scaler(spec=AUTO, status={"leadTime": {"seconds": 30, "source": "Spec"}}))
    assert (told.start_ups, problem) == (StartUps(), None)


async def test_another_target_is_learnt_from_nothing(ticks: Ticks) -> None:
    await ticks.known()
    ticks.server.lists[PATH] = []
    other = scaler(spec=AUTO | {"targetRef": {"name": "api"}}, generation=2)
    assert (await ticks.known(of=other)).source is LeadTimeSource.DEFAULT


async def test_what_is_forgotten_is_learnt_anew(ticks: Ticks) -> None:
    await ticks.known()
    ticks.lead_times.forget("uid-web")
    assert (await ticks.tick())[0].source is LeadTimeSource.DEFAULT
    assert ticks.looks() == 2


@pytest.mark.parametrize("ending", ["forget", "aclose"])
async def test_a_look_under_way_ends_with_its_scaler_and_with_the_process(
    ticks: Ticks, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    asked, was_ended = asyncio.Event(), asyncio.Event()

    async def hanging(*_: object, **__: object) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            was_ended.set()

    monkeypatch.setattr(api, "get", hanging)
    one = scaler(spec=AUTO)
    assert isinstance(one.spec, ScalerSpec)
    ticks.lead_times.lead_time(one, one.spec, ticks.state, NOW)
    await asked.wait()
    if ending == "forget":
        ticks.lead_times.forget(one.uid)
        await ticks.lead_times.settled()
    else:
        await ticks.lead_times.aclose()
    assert was_ended.is_set()
