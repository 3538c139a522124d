"""Who holds what when something fails? A test for each row of docs/guide/high-availability.md's table, and chance.

Times are true seconds; the clocks of the replicas are far apart.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.election import (
    BELIEF_SECONDS,
    BURY_SECONDS,
    DRAIN_SECONDS,
    TROUBLED_SECONDS,
)
from controller.fence import Left
from controller.kubernetes_api import TimedOutError
from controller.leases import SHARDS
from controller.sightings import LEASE_SECONDS, MOST_LEASE_SECONDS
from tests.builders import NOW
from tests.elections import Replica, Store, World, written
from tests.waiting import PATIENCE

FAIL_OVER = LEASE_SECONDS + 2.0


async def serving(*names: str, shards: int = 1) -> World:
    """A world in which everything is served."""
    world = World.of(*names, shards=shards)
    await world.go(3)
    assert sorted(shard for held in world.served().values() for shard in held) == list(range(shards))
    return world


# The rows of the table


async def test_killed_another_takes_over() -> None:
    world = await serving("a", "b")
    first = world.leader()
    world.frozen.add(first)
    await world.go(LEASE_SECONDS - 2)
    assert world[first].election.left(0, 1) < 0
    assert world.served()[world.others(first)[0].name] == []
    await world.go(4)
    assert world.leader() == world.others(first)[0].name


async def test_frozen_it_may_write_nothing_when_it_goes_on() -> None:
    world = await serving("a", "b")
    first = world[world.leader()]
    term = first.election.term(0)
    assert term is not None
    with first.election.begun(0, term) as left:
        assert left() > 0
        world.frozen.add(first.name)
        await world.go(20)
        assert left() == pytest.approx(-13, abs=1)
        assert first.served() == []
        world.frozen.clear()
        await world.go(4)
        assert left() <= 0
    assert (first.served(), first.heard.passes[-1]) == ([], "lost")


async def test_cut_off_from_the_api_server_it_ends_before_another_begins() -> None:
    world = await serving("a", "b")
    first = world[world.leader()]
    first.line.is_down = True
    held = []
    for _ in range(16):
        await world.go(1)
        held.append([name for name, shards in world.served().items() if shards])
    (other,) = world.others(first.name)
    assert held[5] == [first.name]
    assert [] in held
    assert held[-1] == [other.name]
    first.line.is_down = False
    await world.go(3)
    assert world.leader() == other.name


async def test_the_api_server_away_nobody_serves_and_all_goes_on_when_it_is_back() -> None:
    world = await serving("a", "b", shards=4)
    for one in world.replicas:
        one.line.is_down = True
    await world.go(BELIEF_SECONDS + 1)
    assert world.served() == {"a": [], "b": []}
    await world.go(60)
    for one in world.replicas:
        one.line.is_down = False
    await world.go(4)
    assert [len(shards) for shards in world.served().values()] == [2, 2]


async def test_the_api_server_away_for_a_moment_changes_nothing() -> None:
    world = await serving("a", "b")
    first = world[world.leader()]
    term = first.election.term(0)
    for one in world.replicas:
        one.line.is_down = True
    await world.go(BELIEF_SECONDS - 2)
    for one in world.replicas:
        one.line.is_down = False
    await world.go(2)
    assert first.election.term(0) == term


async def test_belief_that_ended_comes_back_in_another_term_only() -> None:
    """Somebody may have served in between; what was begun before must not be written after."""
    world = await serving("a", "b")
    first = world[world.leader()]
    term = first.election.term(0)
    assert term is not None
    with first.election.begun(0, term) as left:
        for one in world.replicas:
            one.line.is_down = True
        await world.go(BELIEF_SECONDS + 1)
        for one in world.replicas:
            one.line.is_down = False
        await world.go(2)
        assert left() <= 0
    assert first.election.term(0) not in {None, term}


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("jumps", ["a", "b", "ab"])
async def test_clocks_that_jump_do_not_matter(hours: int, jumps: str) -> None:
    """What is written in a Lease does jump, and nobody looks at it: not its holder, not those who wait."""
    world, api, walls = written("a", "b")
    await world.go(3)
    first = world[world.leader()]
    term, before = first.election.term(0), api.times("ps-shard-0")
    for name in jumps:
        walls[name] = NOW + timedelta(hours=hours)
    await world.go(LEASE_SECONDS + 5)
    assert (world.leader(), first.election.term(0), first.heard.passes) == (first.name, term, ["taken"])
    assert (api.times("ps-shard-0") != before) == (first.name in jumps)
    world.frozen.add(first.name)
    await world.go(FAIL_OVER + 1)
    assert world.leader() == world.others(first.name)[0].name


@pytest.mark.parametrize("verbs", [{"list"}, {"create"}, {"list", "create", "update"}])
async def test_who_may_not_use_leases_serves_nothing_and_says_what_to_grant(
    verbs: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    world, api, _ = written("a")
    api.forbidden |= verbs
    await world.go(30)
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert world.served() == {"a": []}
    assert set(told) == {"Leases cannot be read or written; grant list, create, update and delete on leases there"}
    assert len(told) <= len(verbs), "once each, not at each renewal"
    assert "may not" in world["a"].election.trouble()
    api.forbidden.clear()
    await world.go(2)
    assert (world.served(), world["a"].election.trouble()) == ({"a": [0]}, "")


async def test_what_is_no_more_granted_ends_as_if_cut_off() -> None:
    world, api, _ = written("a")
    await world.go(3)
    api.forbidden |= {"list", "create", "update", "delete"}
    await world.go(BELIEF_SECONDS + 1)
    assert (world.served(), world["a"].election.trouble()) == ({"a": []}, "")
    await world.go(TROUBLED_SECONDS)
    assert "grant" in world["a"].election.trouble()


async def test_an_api_server_that_is_slow_for_all_is_as_one_that_is_away() -> None:
    """Each write arrives, and each answer is too late: nobody is sure, so nobody serves, and no two do."""
    world = await serving("a", "b")
    for one in world.replicas:
        one.line.lost_answers = lambda: True
    await world.go(BELIEF_SECONDS + 1)
    assert world.served() == {"a": [], "b": []}
    await world.go(60)
    assert world.served() == {"a": [], "b": []}
    for one in world.replicas:
        one.line.lost_answers = lambda: False
    await world.go(FAIL_OVER)
    assert world.leader()


# What people and other programs do to Leases


async def test_a_holder_taken_out_by_hand_is_waited_for() -> None:
    """It may be sure for some seconds yet; only who gives up says so by the duration as well."""
    world, api, _ = written("a", "b")
    await world.go(3)
    other = world[world.leader()]
    (first,) = world.others(other.name)
    world.frozen.add(other.name)
    await world.go(FAIL_OVER + 1)
    world.frozen.clear()
    await world.go(3)
    assert world.leader() == first.name, "the shard would be the other's if nobody had it"
    api.leases["ps-shard-0"]["spec"]["holderIdentity"] = None
    api.touch("ps-shard-0")
    await other.round()
    await other.round()
    assert (first.served(), other.served()) == ([0], [])
    await world.go(FAIL_OVER + 1)
    assert world.leader()


async def test_what_is_changed_in_a_held_lease_is_written_anew() -> None:
    world, api, _ = written("a")
    await world.go(3)
    for text in ("5", "9" * 5000, "x"):
        api.leases["ps-shard-0"]["metadata"]["annotations"][SHARDS] = text
        api.touch("ps-shard-0")
        await world.go(4)
        assert api.leases["ps-shard-0"]["metadata"]["annotations"][SHARDS] == "1"
    assert (world.leader(), world["a"].heard.passes) == ("a", ["taken"])


async def test_a_duration_of_years_keeps_nobody_out_for_longer_than_a_minute() -> None:
    world, api, _ = written("a")
    api.leases["ps-shard-0"] = api.body("ps-shard-0", "somebody", seconds=2**31 - 1, transitions=2**31 - 1)
    await world.go(MOST_LEASE_SECONDS - 2)
    assert world.served() == {"a": []}
    await world.go(6)
    assert (world.leader(), api.leases["ps-shard-0"]["spec"]["leaseTransitions"]) == ("a", 2**31 - 1)


async def test_a_lease_without_our_label_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """It can be neither made nor seen; without a word nobody would ever serve."""
    world, api, _ = written("a")
    api.leases["ps-shard-0"] = api.body("ps-shard-0", "", seconds=1) | {"kind": "Lease"}
    del api.leases["ps-shard-0"]["metadata"]["labels"]
    await world.go(10)
    assert world.served() == {"a": []}
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "Leases cannot be read or written; delete it"
    ]
    assert "ps-shard-0 is there without the label" in caplog.records[-1].error  # type: ignore[attr-defined]
    del api.leases["ps-shard-0"]
    await world.go(2)
    assert world.leader() == "a"


async def test_a_namespace_that_is_not_there_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """A list of it is empty and no error."""
    world, api, _ = written("a")
    api.is_there = False
    await world.go(10)
    assert world.served() == {"a": []}
    assert {record.message for record in caplog.records if record.levelname == "WARNING"} == {
        "Leases cannot be read or written; create that namespace, or correct LEASE_NAMESPACE"
    }
    assert "LEASE_NAMESPACE" in world["a"].election.trouble()


async def test_a_rolling_update_leaves_no_gap() -> None:
    world = await serving("a", "b", shards=2)
    for old, new in (("a", "c"), ("b", "d")):
        world.replicas.append(Replica(new, world.store, shards=2, offset=77.0))
        await world.go(3)
        await world[old].election._leave()
        world.frozen.add(old)
        await world.go(1)
        assert sorted(shard for held in world.served().values() for shard in held) == [0, 1]
    assert {name for name, shards in world.served().items() if shards} == {"c", "d"}


async def test_a_slow_way_to_the_api_server_costs_one_its_shards_at_worst() -> None:
    """Renewals that come to the store and whose answers are too late: it is not sure, so it does not serve."""
    world = await serving("a", "b", shards=2)
    world["a"].line.lost_answers = lambda: True
    await world.go(BELIEF_SECONDS + 1)
    assert (world.served()["a"], len(world.served()["b"])) == ([], 1)
    world["a"].line.lost_answers = lambda: False
    await world.go(3)
    assert [len(shards) for shards in world.served().values()] == [1, 1]


async def test_another_number_of_shards_waits_until_the_old_ones_have_ended() -> None:
    world = await serving("a", "b", shards=1)
    world.replicas.append(Replica("c", world.store, shards=6, offset=5.0))
    await world.go(20)
    assert world["c"].served() == []
    first = world.leader()
    world.frozen.add(first)
    await world.go(FAIL_OVER + 1)
    assert world.leader() == world.others(first)[0].name, "of the old ones, the one that is left goes on"
    world.frozen.update({"a", "b"})
    await world.go(FAIL_OVER + 3)
    assert world["c"].served() == list(range(6))


async def test_a_lease_that_somebody_deleted_is_taken_when_its_holder_is_sure_to_know() -> None:
    world = await serving("a", "b")
    first = world[world.leader()]
    (other,) = world.others(first.name)
    del world.store.leases["ps-shard-0"]
    await other.round()
    assert other.served() == []
    await world.go(1)
    assert first.served() == []
    await world.go(FAIL_OVER)
    assert world.leader()


async def test_it_is_sure_from_the_start_of_a_renewal_not_from_its_answer() -> None:
    """Others count from the moment when the store took it, which may be just after the start."""
    world = await serving("a")
    term = world["a"].election.term(0)
    assert term is not None
    world["a"].line.seconds = 1.5
    await world["a"].round()
    assert world["a"].election.left(0, term) == BELIEF_SECONDS - 3.0, "one answer for the member, one for the shard"


# Giving up and taking


async def test_who_comes_gets_its_share_once_nothing_runs_for_it_any_more() -> None:
    world = await serving("a", shards=2)
    terms = [world["a"].election.term(shard) for shard in (0, 1)]
    world.replicas.append(Replica("b", world.store, shards=2))
    with world["a"].election.begun(0, terms[0] or 0) as first, world["a"].election.begun(1, terms[1] or 0) as second:
        await world.go(3)
        (given,) = {0, 1} - set(world["a"].served())
        lefts: list[Left] = [first, second]
        assert lefts[given]() > 0, "what runs may still write"
        assert world["b"].served() == []
    await world.go(2)
    assert world["b"].served() == [given]
    assert lefts[given]() <= 0


async def test_what_does_not_end_holds_up_a_shard_for_some_seconds_only() -> None:
    world = await serving("a", shards=2)
    world.replicas.append(Replica("b", world.store, shards=2))
    with (
        world["a"].election.begun(0, world["a"].election.term(0) or 0) as first,
        world["a"].election.begun(1, world["a"].election.term(1) or 0) as second,
    ):
        await world.go(DRAIN_SECONDS + LEASE_SECONDS + 4)
        assert len(world["b"].served()) == 1
        assert [first() > 0, second() > 0].count(True) == 1


async def test_a_shard_begins_only_once_everything_is_known() -> None:
    world = World.of("a")
    world["a"].begins = False
    await world.go(5)
    assert (world.served()["a"], world.store.leases["ps-shard-0"].holder) == ([], "a_1")
    world["a"].begins = True
    await world.go(1)
    assert world.served()["a"] == [0]


async def test_an_answer_that_was_lost_costs_no_time() -> None:
    """The store has taken it: whoever is named there takes it up."""
    world = World.of("a")
    await world["a"].round()
    world.store.leases["ps-shard-0"] = replace(world.store.leases["ps-shard-0"], version="lost")
    world["a"].election._holds.clear()
    await world.go(2)
    assert world.served()["a"] == [0]


async def test_leases_of_the_dead_are_removed_and_those_of_the_living_stay() -> None:
    world = await serving("a", "b", "c")
    world.frozen.add("b")
    await world.go(LEASE_SECONDS + BURY_SECONDS + 5, step=2.0)
    assert sorted(world.store.leases) == ["ps-member-a", "ps-member-c", "ps-shard-0"]


async def test_one_of_the_same_name_takes_the_members_lease_over_at_once() -> None:
    """A container that is started again in its pod."""
    world = await serving("a", "b")
    again = Replica("a", world.store)
    again.election._me = again.election._member = replace(again.election._me, holder="a_2")
    world.frozen.add("a")
    await again.round()
    await again.round()
    assert world.store.leases["ps-member-a"].holder == "a_2"


async def test_who_ends_leaves_at_once() -> None:
    world = await serving("a", "b")
    first = world[world.leader()]
    await first.election._leave()
    world.frozen.add(first.name)
    await world.go(1)
    assert world.leader() == world.others(first.name)[0].name
    assert f"ps-member-{first.name}" not in world.store.leases


async def test_who_is_asked_knows_the_holder_and_its_address() -> None:
    world = await serving("a", "b", shards=2)
    for one in world.replicas:
        held = {shard: member.instance for shard, member in one.election.holders().items()}
        assert held == {shard: name for name, shards in world.served().items() for shard in shards}
        assert [member.address for member in one.election.members()] == ["a:8080", "b:8080"]


async def test_run_renews_until_it_is_stopped_and_then_gives_up() -> None:
    store = Store()
    one, stop = Replica("a", store), asyncio.Event()
    running = asyncio.create_task(one.election.run(stop))
    async with asyncio.timeout(PATIENCE):
        while not one.served():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)
        stop.set()
        await running
    assert (one.served(), store.leases["ps-shard-0"].holder, list(store.leases)) == ([], "", ["ps-shard-0"])


# Chance


class Chance:
    """Replicas whose rounds run at the same time, on ways that are slow, lose answers and are cut, at random."""

    def __init__(self, seed: int, shards: int, count: int) -> None:
        self.random = Random(seed)
        self.store = Store()
        self.replicas = [
            Replica(f"r{number}", self.store, shards=shards, offset=1e4 * number) for number in range(count)
        ]
        self.running: dict[str, asyncio.Task[None]] = {}
        self.store.on_change = self.check
        self.most = 0

    def check(self) -> None:
        """No two are sure of the same shard, at no time."""
        held = Counter(shard for one in self.replicas for shard in one.served())
        assert all(count == 1 for count in held.values()), held
        self.most = max(self.most, len(held))

    async def live(self, seconds: int) -> None:
        for _ in range(seconds * 4):
            self.store.now += 0.25
            self.check()
            for one in self.replicas:
                self._trouble(one)
                task = self.running.get(one.name)
                if (task is None or task.done()) and not one.line.is_frozen:
                    if task is not None and not task.cancelled() and task.exception():
                        raise task.exception() or AssertionError
                    self.running[one.name] = asyncio.create_task(one.round())
            for _ in range(self.random.randrange(1, 12)):
                await asyncio.sleep(0)
                self.check()

    def _trouble(self, one: Replica) -> None:
        if self.random.random() < 0.02:
            one.line.is_down = not one.line.is_down
        if self.random.random() < 0.02:
            one.line.is_frozen = not one.line.is_frozen
        if self.random.random() < 0.02:
            lost = self.random.random() < 0.3
            one.line.lost_answers = lambda: lost

    async def end(self) -> None:
        for one in self.replicas:
            one.line.is_frozen = False
            one.line.is_down, one.line.lost_answers = False, lambda: False
        for _ in range(200):
            self.store.now += 0.25
            self.check()
            await asyncio.gather(*(task for task in self.running.values() if not task.done()))
            self.running = {one.name: asyncio.create_task(one.round()) for one in self.replicas}
            await asyncio.gather(*self.running.values())
        self.check()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 4))
def test_whatever_happens_no_two_are_sure_of_one_shard_and_in_the_end_all_are_served(
    seed: int, shards: int, count: int
) -> None:
    async def story() -> list[int]:
        chance = Chance(seed, shards, count)
        await chance.live(60)
        await chance.end()
        return sorted(shard for one in chance.replicas for shard in one.served())

    assert asyncio.run(story()) == list(range(shards))


async def test_the_check_of_chance_can_fail() -> None:
    """With belief that lasts longer than Leases, two are sure of one shard."""
    world = await serving("a", "b")
    first = world[world.leader()]
    first.election._holds[0].until += 100
    first.line.is_down = True
    await world.go(FAIL_OVER)
    assert list(world.served().values()) == [[0], [0]]


async def test_trouble_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    world = await serving("a")
    world["a"].line.is_down = True
    await world.go(5)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "Leases cannot be read or written"
    ]
    assert isinstance(TimedOutError("x"), Exception)
