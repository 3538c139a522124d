"""What comes of a tick is written under the permit that the scaler had when the tick began."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from controller import fence
from controller.cycle import Cycle
from controller.fence import Left
from controller.outcome import Outcome
from controller.ports import TargetState
from controller.registry import Registry, Scaler
from controller.spec import AnyTarget
from tests.builders import NOW, body, seen
from tests.fakes import FakeLeadTimes, FakeModels, FakeOwners, FakeReporter, FakeSource, FakeTarget


@dataclass(kw_only=True)
class AskingTarget(FakeTarget):
    """Knows for how long each write was permitted, by name."""

    lefts: dict[str, float] = field(default_factory=dict)

    async def write(self, namespace: str, ref: AnyTarget, state: TargetState, replicas: int) -> None:
        self.lefts[ref.name] = fence.seconds_left()
        await super().write(namespace, ref, state, replicas)


@dataclass(kw_only=True)
class AskingReporter(FakeReporter):
    """As the target, of each report."""

    lefts: dict[str, float] = field(default_factory=dict)

    async def report(self, scaler: Scaler, outcome: Outcome) -> None:
        self.lefts[scaler.name] = fence.seconds_left()
        await super().report(scaler, outcome)


class World:
    """`lefts`: of each scaler's permit, by name. `open`: whose ticks have begun and not ended."""

    def __init__(self, lefts: Mapping[str, float]) -> None:
        self.lefts = dict(lefts)
        self.open: list[str] = []
        self.target, self.reporter, self.registry = AskingTarget(), AskingReporter(), Registry()
        self.source = FakeSource(answer=seen(1000))
        self.cycle = Cycle(
            source=self.source,
            models=FakeModels(),
            target=self.target,
            owners=FakeOwners(),
            lead_times=FakeLeadTimes(),
            reporter=self.reporter,
            registry=self.registry,
            begun=self.begun,
        )

    @contextmanager
    def begun(self, scaler: Scaler) -> Iterator[Left]:
        self.open.append(scaler.name)
        try:
            yield lambda: self.lefts[scaler.name]
        finally:
            self.open.remove(scaler.name)

    async def tick(self, now: datetime = NOW) -> None:
        await self.cycle.tick(now, self.registry.all())


def world(lefts: Mapping[str, float], **specs: dict[str, Any]) -> World:
    made = World(lefts)
    for name in lefts:
        made.registry.put(body(name, spec=specs.get(name)))
    return made


async def test_each_scaler_of_a_batch_writes_under_its_own() -> None:
    made = world({"web": 3.0, "api": 5.0})
    await made.tick()
    assert made.target.lefts == made.reporter.lefts == {"web": 3.0, "api": 5.0}


async def test_one_that_is_paused_or_refused_reports_under_its_own() -> None:
    made = world({"web": 3.0, "api": 5.0}, web={"mode": "Paused"}, api={"maxReplicas": 0})
    await made.tick()
    assert (made.target.lefts, made.reporter.lefts) == ({}, {"web": 3.0, "api": 5.0})


async def test_what_ends_in_the_middle_of_a_tick_has_ended_for_its_writes() -> None:
    made = world({"web": math.inf})
    made.source.answer = RuntimeError("whatever is waited for")
    made.lefts["web"] = 0.0
    await made.tick()
    assert made.reporter.lefts == {"web": 0.0}


async def test_outside_of_a_tick_nothing_is_permitted() -> None:
    made = world({"web": 3.0})
    await made.tick()
    assert fence.seconds_left() == 0.0


@pytest.mark.parametrize("error", [None, RuntimeError("of the source")], ids=["well", "not-well"])
async def test_what_was_begun_ends_with_the_tick_whatever_happens(error: Exception | None) -> None:
    made = world({"web": 3.0, "api": 5.0})
    if error is not None:
        made.source.answer = error
    await made.tick()
    assert made.open == []
