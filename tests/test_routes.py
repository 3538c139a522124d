"""Each question goes to the adapter of its kind, and the answers come back in order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.core.startup import LeadTime
from controller.ports import MetricError, MetricRequest, Owner, TargetState
from controller.routes import AllLeadTimes, AllOwners, Sources, Targets
from controller.spec import AnyTarget, FloorRef, Metric, ScalerSpec, parse
from tests.builders import NOW, scaler, seen
from tests.contracts.specs import full_specs
from tests.fakes import FakeLeadTimes, FakeOwners, FakeSource, FakeTarget
from tests.waiting import PATIENCE

PROMETHEUS, CLOUDWATCH = (parse(full_specs()[number]) for number in (0, 2))
WORKLOAD, GROUP = PROMETHEUS.target, CLOUDWATCH.target
FLOOR = FloorRef(name="floor")
STATE = TargetState(replicas=3, resource_version="7")


def _request(metric: Metric) -> MetricRequest[Metric]:
    return MetricRequest(
        namespace="shop", metric=metric, step=timedelta(minutes=5), context=4, max_age=timedelta(minutes=3)
    )


def _sources(prometheus: FakeSource, cloudwatch: FakeSource) -> Sources:
    return Sources(prometheus=prometheus, cloudwatch=cloudwatch)


async def test_answers_come_in_the_order_of_the_questions() -> None:
    known, lost = seen(1), MetricError("MetricThrottled", "later")
    sources = _sources(FakeSource(answer=known), FakeSource(answer=lost))
    requests = [_request(one) for one in (CLOUDWATCH.metric, PROMETHEUS.metric, PROMETHEUS.metric, CLOUDWATCH.metric)]
    assert await sources.observe(requests, NOW) == [lost, known, known, lost]


async def test_each_source_is_asked_once_for_what_is_its_own() -> None:
    prometheus, cloudwatch = FakeSource(answer=seen(1)), FakeSource(answer=seen(2))
    await _sources(prometheus, cloudwatch).observe(
        [_request(PROMETHEUS.metric), _request(CLOUDWATCH.metric), _request(PROMETHEUS.metric)], NOW
    )
    assert [len(batch) for batch in prometheus.batches] == [2]
    assert [len(batch) for batch in cloudwatch.batches] == [1]


@dataclass(kw_only=True)
class _Meeting(FakeSource):
    """Answers once the other one was asked as well."""

    mine: asyncio.Event = field(default_factory=asyncio.Event)
    other: asyncio.Event = field(default_factory=asyncio.Event)

    async def observe(self, requests: Any, now: datetime) -> Any:
        self.mine.set()
        await self.other.wait()
        return await super().observe(requests, now)


async def test_no_source_waits_for_the_other() -> None:
    one = _Meeting(answer=seen(1))
    two = _Meeting(answer=seen(2), mine=one.other, other=one.mine)
    requests = [_request(PROMETHEUS.metric), _request(CLOUDWATCH.metric)]
    answers = await asyncio.wait_for(_sources(one, two).observe(requests, NOW), timeout=PATIENCE)
    assert answers == [one.answer, two.answer]


@pytest.mark.parametrize(("ref", "size"), [(WORKLOAD, 1), (GROUP, 2), (FLOOR, 3)], ids=["workload", "group", "floor"])
async def test_a_target_is_read_and_written_by_its_own_adapter(ref: AnyTarget, size: int) -> None:
    adapters = [FakeTarget(sizes={one.name: count}) for count, one in enumerate((WORKLOAD, GROUP, FLOOR), start=1)]
    workloads, groups, floors = adapters
    targets = Targets(workloads=workloads, floors=floors, groups=groups)
    state = await targets.read("shop", ref)
    await targets.write("shop", ref, state, 9)
    own = adapters.pop(size - 1)
    assert (state.replicas, own.written) == (size, [(ref.name, 9)])
    assert [other.calls for other in adapters] == [[], []]


@pytest.mark.parametrize(
    ("ref", "owner"), [(WORKLOAD, "an HPA"), (FLOOR, "KEDA"), (GROUP, "a policy")], ids=["workload", "floor", "group"]
)
async def test_the_owner_is_told_by_the_adapter_of_the_kind(ref: AnyTarget, owner: str) -> None:
    owners = AllOwners(
        workloads=FakeOwners(owners={WORKLOAD.name: "an HPA", FLOOR.name: "KEDA", GROUP.name: "no"}),
        groups=FakeOwners(owners={GROUP.name: "a policy", WORKLOAD.name: "no"}),
    )
    assert await owners.owner("shop", ref, NOW) == Owner(words=owner)


@pytest.mark.parametrize(("spec", "seconds"), [(PROMETHEUS, 1), (CLOUDWATCH, 2)], ids=["workload", "group"])
def test_a_lead_time_is_told_by_the_adapter_of_the_kind(spec: ScalerSpec, seconds: int) -> None:
    one, two = (LeadTime.given(timedelta(seconds=count)) for count in (1, 2))
    lead_times = AllLeadTimes(workloads=FakeLeadTimes(answer=one), groups=FakeLeadTimes(answer=two))
    assert lead_times.lead_time(scaler(), spec, STATE, NOW)[0].duration == timedelta(seconds=seconds)


def test_both_forget_a_scaler_that_is_gone() -> None:
    """Its kind of target may have been another one before."""
    workloads, groups = FakeLeadTimes(), FakeLeadTimes()
    AllLeadTimes(workloads=workloads, groups=groups).forget("uid-web")
    assert workloads.forgotten == groups.forgotten == ["uid-web"]
