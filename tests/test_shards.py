"""Which scalers go together, where they are, and for how long a tick of theirs may write."""

from __future__ import annotations

import math
from typing import Any

from controller.core.assignment import shard_of
from controller.election import Member
from controller.registry import Registry, Scaler
from controller.shards import Alone, Shards, key_of
from controller.sightings import LEASE_SECONDS
from tests.builders import body, scaler
from tests.elections import World

NODES: dict[str, Any] = {
    "targetRef": {"kind": "AutoScalingGroup", "name": "nodes", "region": "eu-central-1"},
    "coordination": {"scaler": "web", "replicasPerUnit": 4},
}
SHARDS = 5


async def shards_of(world: World, name: str = "a") -> Shards:
    await world.go(3)
    return Shards(world[name].election, lambda: world.store.now)


def test_a_scaler_is_with_the_one_it_coordinates_with() -> None:
    assert key_of(scaler("nodes", spec=NODES)) == key_of(scaler("web")) == "shop/web"


def test_one_that_is_refused_is_by_itself() -> None:
    assert key_of(scaler("nodes", spec=NODES | {"maxReplicas": 0})) == "shop/nodes"


async def test_each_scaler_is_served_by_one_of_all() -> None:
    world = World.of("a", "b", "c", shards=SHARDS)
    await world.go(6)
    views = [Shards(one.election, lambda: world.store.now) for one in world.replicas]
    for number in range(100):
        one = scaler(f"web-{number}")
        terms = [view.term(one) for view in views]
        assert sum(term is not None for term in terms) == 1
        (server,) = [replica.name for replica, term in zip(world.replicas, terms, strict=True) if term is not None]
        assert {holder.instance for view in views if (holder := view.holder(one))} == {server}


async def test_what_is_begun_may_write_while_the_shard_is_held_in_the_same_term() -> None:
    world = World.of("a")
    shards = await shards_of(world)
    with shards.begun(scaler()) as left:
        assert left() > 0
        world["a"].election._holds[0].term = 99
        assert left() <= 0


async def test_what_is_not_served_here_may_write_nothing() -> None:
    world = World.of("a", "b")
    await world.go(3)
    (standby,) = world.others(world.leader())
    shards = Shards(standby.election, lambda: world.store.now)
    with shards.begun(scaler()) as left:
        assert left() == 0
    assert (shards.term(scaler()), shards.left("shop", "web")) == (None, 0)


async def test_by_its_name_alone_it_may_be_written_for_when_it_is_gone() -> None:
    world = World.of("a")
    shards = await shards_of(world)
    assert shards.left("shop", "gone") > 0
    world["a"].line.is_down = True
    await world.go(10)
    assert shards.left("shop", "gone") <= 0


def moving() -> tuple[Scaler, Scaler]:
    """A group before and after it was told to coordinate, which moves it to another shard."""
    registry = Registry()
    alone = NODES | {"coordination": None}
    registry.put(body("nodes", spec=alone))
    before = registry.all()[0]
    registry.put(body("nodes", generation=2, spec=NODES))
    return before, registry.all()[0]


async def test_one_that_changes_its_shard_waits_until_its_last_server_knows() -> None:
    world = World.of("a", shards=SHARDS)
    shards = await shards_of(world)
    before, after = moving()
    assert shard_of("shop/nodes", SHARDS) != shard_of("shop/web", SHARDS)
    assert shards.term(before) is not None
    assert shards.term(after) is None
    await world.go(LEASE_SECONDS)
    assert shards.term(after) is not None


async def test_a_change_that_moves_nothing_waits_for_nothing() -> None:
    world = World.of("a", shards=SHARDS)
    shards = await shards_of(world)
    registry = Registry()
    registry.put(body())
    assert shards.term(registry.all()[0]) is not None
    registry.put(body(generation=2, spec={"maxReplicas": 20}))
    assert shards.term(registry.all()[0]) is not None


async def test_one_that_is_gone_is_forgotten() -> None:
    world = World.of("a")
    shards = await shards_of(world)
    assert shards.term(scaler()) is not None
    shards.forget("uid-web")
    assert shards._places == {}


def test_alone_everything_is_served_here_and_always() -> None:
    me = Member(identity="me_1", instance="me", address="")
    alone = Alone(me)
    with alone.begun(scaler()) as left:
        assert left() == math.inf
    told = (alone.term(scaler()), alone.left("shop", "web"), alone.holder(scaler()), alone.shard(scaler()))
    assert told == (0, math.inf, me, 0)
    alone.forget("uid-web")
