"""Nodes and the pods on them through the whole cycle: who is asked first, who waits, and what is told of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.startup import LeadTime
from controller.cycle import PARTNER_SECONDS, Cycle
from controller.outcome import Outcome, Problem
from controller.ports import TargetError, TargetState
from controller.registry import Registry
from controller.spec import AnyTarget
from tests import waiting
from tests.builders import NOW, STEP, body, forecast, seconds, seen, series
from tests.fakes import FakeLeadTimes, FakeModels, FakeOwners, FakeReporter, FakeSource, FakeTarget

TICK = seconds(15)
START = seconds(120)
"""So long an instance takes here."""

PATIENCE = START + TICK
"""So long pods wait for one."""

AT_ONCE: dict[str, Any] = {
    "scaleUp": {"policies": [{"type": "Percent", "value": 10_000, "periodSeconds": 15}], "tolerance": 0},
    "scaleDown": {"stabilizationWindowSeconds": 0, "tolerance": 0},
}
WEB: dict[str, Any] = {"maxReplicas": 400, "forecast": {"leadTime": "45s"}, "behavior": AT_ONCE}
NODES: dict[str, Any] = {
    "targetRef": {"kind": "AutoScalingGroup", "name": "workers", "region": "eu-central-1"},
    "maxReplicas": 100,
    "metric": {"targetPerReplica": 400},
    "forecast": {"leadTime": "120s"},
    "behavior": AT_ONCE,
    "coordination": {"scaler": "web", "replicasPerUnit": 4},
}


@dataclass(kw_only=True)
class Workers(FakeTarget):
    """A group whose units serve once they have started, beside pods that are there at once."""

    now: datetime = NOW
    starting: list[tuple[datetime, int]] = field(default_factory=list)
    fails: bool = False

    async def read(self, namespace: str, ref: AnyTarget) -> TargetState:
        state = await super().read(namespace, ref)
        if ref.name != "workers":
            return state
        return TargetState(replicas=state.replicas, resource_version="7", ready=self.ready, highest=50)

    @property
    def ready(self) -> int:
        ready = self.sizes["workers"]
        return ready - sum(count for since, count in self.starting if self.fails or self.now - since < START)

    async def write(self, namespace: str, ref: AnyTarget, state: TargetState, replicas: int) -> None:
        if ref.name == "workers":
            self.starting = [(since, count) for since, count in self.starting if self.now - since < START or self.fails]
            if replicas > state.replicas:
                self.starting.append((self.now, replicas - state.replicas))
            else:
                self.starting = []
        await super().write(namespace, ref, state, replicas)


class World:
    """ "web" serves 100 a pod, its nodes hold four of them each; both follow the same load."""

    def __init__(self, load: float = 800, **changes: Any) -> None:
        self.source = FakeSource(answer=seen(load))
        self.models = FakeModels()
        self.target = Workers(sizes={"web": 8, "workers": 2})
        self.owners = FakeOwners()
        self.lead_times = FakeLeadTimes()
        self.reporter = FakeReporter()
        self.registry = Registry()
        self.target.calls = self.reporter.calls
        self.cycle = Cycle(
            source=self.source,
            models=self.models,
            target=self.target,
            owners=self.owners,
            lead_times=self.lead_times,
            reporter=self.reporter,
            registry=self.registry,
        )
        self.registry.put(body("web", spec=WEB))
        self.registry.put(body("nodes", spec=NODES | changes))

    async def tick(self, load: float, now: datetime, *names: str) -> dict[str, Outcome]:
        self.target.now = now
        self.source.answer = seen(load, at=now, history=series([load], end=now))
        self.models.answer = lambda asked: forecast(load, load, load, origin=asked.history.end)
        scalers = [one for one in self.registry.all() if not names or one.name in names]
        await self.cycle.tick(now, scalers)
        return self.reporter.outcomes

    @property
    def sizes(self) -> tuple[int, int]:
        """Pods and units asked for."""
        return self.target.sizes["web"], self.target.sizes["workers"]


async def test_nodes_are_asked_before_the_pods_that_need_them() -> None:
    world = World()
    await world.tick(800, NOW)
    await world.tick(2000, NOW + TICK)
    assert (world.sizes, world.target.written) == ((8, 5), [("workers", 5)])


async def test_pods_whose_tick_comes_first_wait_for_the_groups() -> None:
    """With another interval, or another source, the group decides later."""
    world = World()
    await world.tick(800, NOW)
    await world.tick(2000, NOW + TICK, "web")
    alone = world.sizes
    await world.tick(2000, NOW + TICK + seconds(5), "nodes")
    await world.tick(2000, NOW + 2 * TICK, "web")
    starting = world.sizes
    await world.tick(2000, NOW + 2 * TICK + START, "nodes")
    await world.tick(2000, NOW + 2 * TICK + START, "web")
    assert (alone, starting, world.sizes) == ((8, 2), (8, 5), (20, 5))


async def test_pods_are_asked_for_once_their_nodes_serve() -> None:
    world = World()
    await world.tick(800, NOW)
    await world.tick(2000, NOW + TICK)
    await world.tick(2000, NOW + TICK + START - seconds(1))
    before = world.sizes
    await world.tick(2000, NOW + TICK + START)
    assert (before, world.sizes) == ((8, 5), (20, 5))


async def test_pods_go_before_the_nodes_on_the_way_down() -> None:
    """In the tick in which the load falls, the group still sees the pods that are about to go."""
    world = World()
    world.target.sizes |= {"web": 20, "workers": 5}
    await world.tick(400, NOW)
    first = world.sizes
    await world.tick(400, NOW + TICK)
    assert (first, world.sizes) == ((4, 5), (4, 1))


async def test_nodes_that_never_come_hold_up_pods_for_their_lead_time_and_an_interval_only() -> None:
    world = World()
    world.target.fails = True
    await world.tick(800, NOW)
    sizes = []
    for number in range(1, 12):
        await world.tick(2000, NOW + number * TICK)
        sizes.append(world.sizes[0])
    assert sizes == [8] * 9 + [20, 20]  # 120 s and 15 s after the first wish


async def test_a_limit_is_part_of_what_is_recorded() -> None:
    world = World()
    await world.tick(800, NOW)
    outcomes = await world.tick(2000, NOW + TICK)
    record = outcomes["web"].record
    assert record is not None
    assert [str(limit.why) for limit in record.inputs.policy.limits] == [
        '2 of the 5 units of AutoScalingGroup "workers" serve, with room for 8'
    ]
    assert record.decision.message.endswith(
        'Coordination 20 -> 8: 2 of the 5 units of AutoScalingGroup "workers" serve, with room for 8'
    )
    assert record.replayed().decision == record.decision


async def test_the_group_looks_ahead_by_the_lead_time_of_the_pods_as_well() -> None:
    world = World()
    outcomes = await world.tick(800, NOW)
    lead_time, record = outcomes["nodes"].lead_time, outcomes["nodes"].record
    assert lead_time is not None
    assert record is not None
    assert (lead_time.duration, lead_time.of_pods) == (seconds(165), seconds(45))
    assert record.inputs.policy.lead_time == seconds(165)


async def test_the_patience_of_pods_is_the_lead_time_of_the_units_alone() -> None:
    """What the pods take themselves is no part of what they wait for."""
    world = World()
    await world.tick(800, NOW)
    group = world.registry.named("shop", "nodes")
    assert group is not None
    known = world.cycle._held[group.uid].known
    assert known is not None
    assert known.lead_time == START


@pytest.mark.parametrize(
    ("spec", "own", "pods"),
    [({"leadTime": "auto"}, 300, 45), ({"leadTime": "120s"}, 120, 45)],
    ids=["learnt", "of-the-spec"],
)
async def test_both_lead_times_count_whoever_names_them(spec: dict[str, Any], own: int, pods: int) -> None:
    world = World(forecast=spec)
    world.lead_times.answer = LeadTime.given(STEP)
    outcomes = await world.tick(800, NOW)
    lead_time = outcomes["nodes"].lead_time
    assert lead_time is not None
    assert (lead_time.duration, lead_time.of_pods) == (seconds(own + pods), seconds(pods))


async def test_the_pods_decide_after_the_group_also_when_they_were_first_in_line() -> None:
    world = World()
    await world.tick(800, NOW)
    world.reporter.calls.clear()
    await world.tick(2000, NOW + TICK)
    assert world.reporter.reported[-2:] == ["nodes", "web"]


@pytest.mark.slow
async def test_a_group_that_hangs_holds_up_its_pods_for_a_moment_only() -> None:
    world = World()
    world.target.hanging = "workers"
    began = asyncio.get_running_loop().time()
    ticking = asyncio.create_task(world.tick(2000, NOW))
    await asyncio.wait_for(world.reporter.told.wait(), waiting.PATIENCE)  # else they wait for the group
    assert world.reporter.reported == ["web"]
    assert asyncio.get_running_loop().time() - began >= PARTNER_SECONDS
    world.target.release.set()
    await ticking


async def test_pods_that_are_due_alone_wait_for_the_units_that_were_asked_for_before() -> None:
    world = World()
    await world.tick(2000, NOW, "nodes")
    await world.tick(2000, NOW + TICK, "web")
    assert world.sizes == (8, 5)


async def test_units_of_which_nothing_is_known_hold_up_no_pods() -> None:
    world = World()
    await world.tick(2000, NOW, "web")
    assert world.sizes == (20, 2)


@pytest.mark.parametrize("mode", ["Observe", "Paused"])
async def test_a_group_that_does_not_act_holds_up_no_pods(mode: str) -> None:
    world = World(mode=mode)
    world.target.sizes["workers"], world.target.starting = 5, [(NOW, 3)]
    await world.tick(800, NOW)
    await world.tick(2000, NOW + TICK)
    assert world.sizes == (20, 5)


async def test_pods_that_only_observe_are_what_they_would_be_without_a_group() -> None:
    """The pods that there are follow somebody else, whose waiting is not theirs."""
    world = World()
    world.registry.put(body("web", generation=2, spec=WEB | {"mode": "Observe"}))
    await world.tick(800, NOW)
    outcomes = await world.tick(2000, NOW + TICK)
    assert outcomes["web"].decision is not None
    assert outcomes["web"].decision.replicas == 20


@pytest.mark.parametrize("mode", ["Observe", "Paused"])
async def test_units_are_kept_for_pods_that_others_scale(mode: str) -> None:
    world = World()
    world.registry.put(body("web", generation=2, spec=WEB | {"mode": mode}))
    world.target.sizes |= {"web": 18, "workers": 9}
    outcomes = await world.tick(100, NOW)
    assert outcomes["nodes"].problems == ()
    assert world.sizes == (18, 5)


def _refuse(world: World) -> None:
    world.registry.put(body("web", generation=2, spec=WEB | {"maxReplicas": 0}))


def _remove(world: World) -> None:
    world.registry.discard("uid-web")


def _lose(world: World) -> None:
    world.target.failing, world.target.read_error = "web", TargetError("TargetNotFound", "there is none")


@pytest.mark.parametrize("break_", [_refuse, _remove, _lose], ids=["refused", "gone", "unreadable"])
async def test_no_unit_is_released_while_the_pods_are_not_known(break_: Any) -> None:
    world = World()
    world.target.sizes |= {"web": 4, "workers": 5}
    break_(world)
    outcomes = await world.tick(100, NOW)
    (problem,) = outcomes["nodes"].problems
    assert isinstance(problem, Problem)
    assert (problem.reason, world.target.sizes["workers"]) == ("CoordinationUnknown", 5)
    assert problem.message.endswith("until then no unit is released")


async def test_a_group_grows_also_while_the_pods_are_not_known() -> None:
    world = World()
    _remove(world)
    await world.tick(2000, NOW)
    assert world.target.sizes["workers"] == 5


async def test_pods_beyond_the_forecast_take_the_group_along() -> None:
    """Somebody scaled them by hand, or their fallback did: they are there, and wait for a place."""
    world = World()
    world.registry.put(body("web", generation=2, spec=WEB | {"mode": "Paused"}))
    world.target.sizes["web"] = 30
    await world.tick(800, NOW)
    assert world.target.sizes["workers"] == 8


@pytest.mark.parametrize(("present", "units"), [(None, 2), (5, 2), (24, 6)])
async def test_pods_of_an_autoscaler_count_as_there_are_and_not_as_its_floor_says(
    present: int | None, units: int
) -> None:
    """A floor of 8 needs two units; the 24 above it need six."""
    world = World()
    world.target.sizes["workers"] = 6
    world.target.beside["web"] = {"present": present}
    await world.tick(800, NOW)
    assert world.target.sizes["workers"] == units


async def test_the_targets_own_maximum_is_told_where_it_limits() -> None:
    world = World()
    outcomes = await world.tick(30_000, NOW, "nodes")
    decision = outcomes["nodes"].decision
    assert decision is not None
    assert str(decision.steps[-1]) == "TargetBounds 75 -> 50: the AutoScalingGroup's own maximum is 50"
    assert world.target.sizes["workers"] == 50


async def test_rules_stay_one_object_from_tick_to_tick() -> None:
    """So that a record writes them once."""
    world = World()
    rules = []
    for number in range(3):
        outcomes = await world.tick(800, NOW + number * TICK)
        records = [outcomes[name].record for name in ("web", "nodes")]
        assert all(record is not None for record in records)
        rules.append([record.inputs.policy for record in records if record is not None])
    assert all(later[at] is rules[0][at] for later in rules[1:] for at in (0, 1))


@settings(max_examples=40, deadline=None)
@given(loads=st.lists(st.integers(1, 4000), min_size=1, max_size=25), fails=st.booleans())
def test_whatever_the_load_every_pod_has_a_place_or_has_waited_for_it(loads: list[int], fails: bool) -> None:
    """Both are due together here. Pods beyond the room of their units: only after the patience, never for good."""
    asyncio.run(_live(loads, fails=fails))


async def _live(loads: list[int], *, fails: bool) -> None:
    world = World(load=800)
    world.target.fails = fails
    past: list[tuple[datetime, int]] = []
    await world.tick(800, NOW)
    for number, load in enumerate(loads, start=1):
        now = NOW + number * TICK
        before, _ = world.sizes
        await world.tick(load, now)
        pods, units = world.sizes
        wish = -(-load // 100)
        waited = [one for time, one in past if time >= now - PATIENCE]
        overdue = min(waited) if past and past[0][0] <= now - PATIENCE else 0
        assert units * 4 >= min(pods, 200)  # no unit is released that a pod is on
        assert pods <= max(before, world.target.ready * 4, overdue)  # nodes first
        assert pods >= min(wish, overdue)  # and no wait without end
        past.append((now, wish))
