"""Who ticks when, with a clock turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.election import Member
from controller.registry import Registry, Scaler
from controller.scheduler import Scheduler
from controller.shards import Alone
from tests.builders import NOW, body, seconds


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


DEFAULT_ADDRESS = "http://default:9090"


@dataclass
class Ticks:
    """Batches as (time, names); one whose names meet `hanging` waits until `release`, but for those in `quick`."""

    batches: list[tuple[datetime, list[str]]] = field(default_factory=list)
    hanging: set[str] = field(default_factory=set)
    quick: set[str] = field(default_factory=set)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    slow: set[str] = field(default_factory=set)
    error: Exception | None = None

    def is_slow(self, uid: str) -> bool:
        return uid in self.slow

    async def tick(self, now: datetime, scalers: Sequence[Scaler], done: Callable[[Scaler], None]) -> None:
        names = [scaler.name for scaler in scalers]
        self.batches.append((now, names))
        for scaler in scalers:
            if scaler.name in self.quick:
                done(scaler)
        if self.hanging.intersection(names):
            await self.release.wait()
        if self.error is not None:
            raise self.error

    def times(self, name: str = "web") -> list[float]:
        """Seconds since NOW of the ticks of one scaler."""
        return [(time - NOW).total_seconds() for time, names in self.batches if name in names]


class Terms(Alone):
    """Serves all in term 1, but for what is named otherwise."""

    def __init__(self) -> None:
        super().__init__(Member(identity="me", instance="me", address=""))
        self.by_name: dict[str, int | None] = {}
        self.forgotten: list[str] = []

    def term(self, scaler: Scaler) -> int | None:
        return self.by_name.get(scaler.name, 1)

    def forget(self, uid: str) -> None:
        self.forgotten.append(uid)


class World:
    def __init__(self) -> None:
        self.clock, self.ticks, self.registry = Clock(), Ticks(), Registry()
        self.gone: list[str] = []
        self.lost: list[str] = []
        self.serving = Terms()
        self.lags: list[float] = []
        self.scheduler = Scheduler(
            registry=self.registry,
            cycle=self.ticks,
            default_address=DEFAULT_ADDRESS,
            serving=self.serving,
            on_gone=self.gone.append,
            on_lost=self.lost.append,
            on_lag=lambda lag: self.lags.append(lag.total_seconds()),
            clock=self.clock,
        )

    def add(self, name: str = "web", **changes: Any) -> None:
        self.registry.put(body(name, **changes))

    async def at(self, *moments: float) -> None:
        """A pulse at each of these seconds since NOW, and time for its ticks to begin."""
        for moment in moments:
            self.clock.now = NOW + timedelta(seconds=moment)
            self.scheduler.pulse()
            for _ in range(3):
                await asyncio.sleep(0)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_new_scaler_ticks_at_once_and_then_at_multiples_of_its_interval(world: World) -> None:
    world.add()
    await world.at(7, 8, 14, 15, 16, 29, 30, 31)
    assert world.ticks.times() == [7, 15, 30]


@pytest.mark.parametrize(("interval", "times"), [(1, [0, 1, 2, 3]), (2, [0, 2]), (60, [0])])
async def test_ticks_by_interval(world: World, interval: int, times: list[float]) -> None:
    world.add(spec={"intervalSeconds": interval})
    await world.at(0, 1, 2, 3)
    assert world.ticks.times() == times


async def test_a_refused_spec_is_told_again_once_a_minute(world: World) -> None:
    world.add(spec={"maxReplicas": 0})
    await world.at(0, 15, 30, 59, 60)
    assert world.ticks.times() == [0, 60]


async def test_missed_multiples_are_not_made_up_for(world: World) -> None:
    world.add()
    await world.at(0, 100, 101, 105)
    assert world.ticks.times() == [0, 100, 105]


async def test_a_clock_that_is_put_back_stops_no_ticks(world: World) -> None:
    world.add()
    await world.at(86_400, 7, 8, 15)
    assert world.ticks.times() == [86_400, 7, 15]


async def test_a_changed_scaler_ticks_at_once(world: World) -> None:
    world.add()
    await world.at(0)
    world.add(generation=2, spec={"maxReplicas": 20})
    await world.at(1, 2)
    assert world.ticks.times() == [0, 1]


async def test_a_status_change_is_no_reason_to_tick(world: World) -> None:
    world.add()
    await world.at(0)
    world.add(status={"desiredReplicas": 3})
    await world.at(1)
    assert world.ticks.times() == [0]


async def test_a_tick_is_stamped_with_the_whole_second(world: World) -> None:
    world.add()
    await world.at(0.08, 15.02)
    assert world.ticks.times() == [0, 15]


async def test_scalers_of_one_address_make_one_batch(world: World) -> None:
    world.add("api")
    world.add("web")
    await world.at(0)
    assert [names for _, names in world.ticks.batches] == [["api", "web"]]


async def test_another_address_makes_another_batch(world: World) -> None:
    world.add("api", spec={"metric": {"prometheus": {"address": "http://other:9090"}}})
    world.add("web")
    await world.at(0)
    assert sorted(names for _, names in world.ticks.batches) == [["api"], ["web"]]


async def test_the_default_address_and_its_name_make_one_batch(world: World) -> None:
    world.add("api", spec={"metric": {"prometheus": {"address": DEFAULT_ADDRESS}}})
    world.add("web", spec={"metric": {"prometheus": {"address": None}}})
    await world.at(0)
    assert [names for _, names in world.ticks.batches] == [["api", "web"]]


async def test_a_slow_query_makes_a_batch_of_its_own(world: World) -> None:
    world.add("api")
    world.add("web")
    world.ticks.slow = {"uid-api"}
    await world.at(0)
    assert sorted(names for _, names in world.ticks.batches) == [["api"], ["web"]]


async def test_a_busy_scaler_is_not_due(world: World) -> None:
    world.add()
    world.ticks.hanging = {"web"}
    await world.at(0, 15, 30)
    assert world.ticks.times() == [0]


async def test_a_scaler_ticks_again_after_a_tick_that_hung(world: World) -> None:
    world.add()
    world.ticks.hanging = {"web"}
    await world.at(0, 15)
    world.ticks.release.set()
    await world.at(16, 17)
    assert world.ticks.times() == [0, 17]


async def test_a_batch_that_hangs_does_not_hold_up_another_address(world: World) -> None:
    world.add("slow", spec={"metric": {"prometheus": {"address": "http://slow:9090"}}})
    world.add("web")
    world.ticks.hanging = {"slow"}
    await world.at(0, 15, 30)
    assert world.ticks.times("web") == [0, 15, 30]


async def test_a_scaler_that_hangs_does_not_hold_up_another_of_its_batch(world: World) -> None:
    world.add("slow")
    world.add("web")
    world.ticks.hanging, world.ticks.quick = {"slow"}, {"web"}
    await world.at(0, 15, 30)
    assert (world.ticks.times("web"), world.ticks.times("slow")) == ([0, 15, 30], [0])


async def test_the_end_of_a_batch_is_not_the_end_of_a_later_tick(world: World) -> None:
    world.add("slow")
    world.add("web")
    world.ticks.hanging, world.ticks.quick = {"slow"}, {"web"}
    await world.at(0)
    first, world.ticks.release = world.ticks.release, asyncio.Event()
    world.ticks.hanging, world.ticks.quick = {"web"}, set()
    await world.at(15)
    first.set()
    await world.at(30, 31)
    assert (world.ticks.times("web"), world.ticks.times("slow")) == ([0, 15], [0, 31])


async def test_a_tick_that_fails_is_followed_by_the_next(world: World) -> None:
    world.add()
    world.ticks.error = RuntimeError("boom")
    await world.at(0, 15)
    assert world.ticks.times() == [0, 15]


async def test_what_is_gone_is_forgotten_once(world: World) -> None:
    world.add()
    await world.at(0)
    world.registry.discard("uid-web")
    await world.at(1, 2)
    assert world.gone == ["uid-web"]


async def test_what_is_gone_is_not_forgotten_before_its_tick_ends(world: World) -> None:
    world.add()
    world.ticks.hanging = {"web"}
    await world.at(0)
    world.registry.discard("uid-web")
    await world.at(1)
    assert world.gone == []


async def test_a_re_created_scaler_is_a_new_one(world: World) -> None:
    world.add()
    await world.at(0)
    world.registry.discard("uid-web")
    world.add(uid="second")
    await world.at(1)
    assert world.ticks.times() == [0, 1]


async def test_lag_is_the_time_since_the_multiple(world: World) -> None:
    world.add()
    await world.at(0, 17.5)
    assert world.lags == [2.5]


async def test_a_change_is_not_late(world: World) -> None:
    world.add()
    await world.at(0)
    world.add(generation=2, spec={"maxReplicas": 20})
    await world.at(9)
    assert world.lags == []


async def test_a_pulse_shows_that_the_scheduler_lives(world: World) -> None:
    await world.at(42)
    assert world.scheduler.alive == NOW + seconds(42)


async def test_stopping_waits_for_the_ticks_that_run(world: World) -> None:
    world.add()
    world.ticks.hanging = {"web"}
    await world.at(0)
    stop = asyncio.Event()
    stop.set()
    running = asyncio.create_task(world.scheduler.run(stop))
    await asyncio.sleep(0)
    has_ended_early = running.done()
    world.ticks.release.set()
    await running
    assert not has_ended_early


# Served elsewhere


async def test_what_another_replica_serves_does_not_tick(world: World) -> None:
    world.add("web")
    world.add("api")
    world.serving.by_name["api"] = None
    await world.at(0, 15)
    assert (world.ticks.times("web"), world.ticks.times("api")) == ([0, 15], [])


async def test_what_is_taken_over_ticks_at_once(world: World) -> None:
    world.add()
    world.serving.by_name["web"] = None
    await world.at(0, 7)
    world.serving.by_name["web"] = 4
    await world.at(8, 9)
    assert world.ticks.times() == [8]


async def test_what_is_lost_is_forgotten_and_is_not_gone(world: World) -> None:
    world.add()
    await world.at(0)
    world.serving.by_name["web"] = None
    await world.at(1, 2)
    assert (world.lost, world.gone, world.serving.forgotten) == (["uid-web"], [], [])


async def test_what_is_lost_first_and_deleted_then_is_gone(world: World) -> None:
    world.add()
    await world.at(0)
    world.serving.by_name["web"] = None
    await world.at(1)
    world.registry.discard("uid-web")
    await world.at(2, 3)
    assert (world.lost, world.gone, world.serving.forgotten) == (["uid-web"], ["uid-web"], ["uid-web"])


async def test_what_comes_back_in_another_term_begins_anew(world: World) -> None:
    """It was served elsewhere in between, though nobody looked just then."""
    world.add()
    await world.at(0)
    world.serving.by_name["web"] = 2
    await world.at(1)
    assert (world.lost, world.ticks.times()) == (["uid-web"], [0, 1])


async def test_what_is_lost_in_the_middle_of_a_tick_is_forgotten_after_it(world: World) -> None:
    world.add()
    world.ticks.hanging = {"web"}
    await world.at(0)
    world.serving.by_name["web"] = 2
    await world.at(1)
    before = (list(world.lost), world.ticks.times())
    world.ticks.release.set()
    await world.at(2, 3)
    assert (before, world.lost, world.ticks.times()) == (([], [0]), ["uid-web"], [0, 3])
