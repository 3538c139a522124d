"""Replicas share the scalers: killed, frozen, stopped or new, each scaler is served by one of them and never by two."""

from __future__ import annotations

import json
import re
import ssl
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from controller.election import RENEW_SECONDS
from controller.fence import REFUSED
from controller.sightings import LEASE_SECONDS
from sandbox.cluster import Sandbox
from sandbox.controller import SETTINGS, Controller
from tests.e2e.driving import Scene, eventually, wall_clock, workload
from tests.e2e.listener import HELD_SECONDS, Listener
from tests.e2e.relay import Relay
from tests.e2e.replicas import Replica, Replicas, replicas, view

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

FAIL_OVER_SECONDS = 15.0
FOLLOWING_SECONDS = 2.0
"""So long it takes on an idle machine until a size follows its load, to where it is scraped and measured as well."""

UNSURE_SECONDS = 3.0
"""So long whoever has lost its Lease is looked at before it can know; it ticks every second."""

SPREADING_SECONDS = 90.0
SCALERS = 30
SHARDS = 6
SCALES = re.compile(r"from (\d+) to (\d+) replicas")


@pytest.fixture
def pair(sandbox: Sandbox, account: Path, models: Path, namespace: str, tmp_path: Path) -> Iterator[Replicas]:
    with replicas(sandbox, models, namespace, tmp_path, count=2, shards=1) as both:
        yield both


@pytest.fixture
def three(sandbox: Sandbox, account: Path, models: Path, namespace: str, tmp_path: Path) -> Iterator[Replicas]:
    with replicas(sandbox, models, namespace, tmp_path, count=3, shards=SHARDS) as all_of_them:
        yield all_of_them


def seconds_since(moment: datetime) -> float:
    return (wall_clock() - moment).total_seconds()


def other(pair: Replicas, one: Replica) -> Replica:
    return next(replica for replica in pair.all if replica is not one)


def writes_of(group: Replicas, replica: Replica, since: datetime) -> list[str]:
    return [
        f"{one.verb} {one.resource}/{one.subresource} {one.name} at {one.time}: {one.code}"
        for one in group.writes()
        if one.credential == replica.credential and one.time >= since
    ]


def chain(scene: Scene) -> list[tuple[int, int]]:
    """The sizes that were written, as (before, after), oldest first."""
    events = scene.get("events")["items"]
    told = sorted((one["eventTime"], one["note"]) for one in events if one["reason"] == "Scaled")
    found = [SCALES.match(note) for _, note in told]
    return [(int(one[1]), int(one[2])) for one in found if one]


def test_one_leads_whatever_becomes_of_the_other(scene: Scene, pair: Replicas) -> None:
    scene.sees(15)
    scene.apply(workload(replicas=2), scene.scaler())
    first = pair.leader()
    second = other(pair, first)
    scene.await_condition("Ready", "True", "Scaling")
    following = follow(scene, 45, 5)
    report("nobody lost: a size was written after", following)
    await_told(scene, 5)
    both_answer(scene, pair, first)
    freeze(scene, pair, first, second, following)
    killed = wall_clock()
    second.controller.kill()
    follow(scene, 25, 3)
    seconds = wrote_after(pair, first, killed)
    report("killed leader: the other wrote after", seconds)
    assert seconds < FAIL_OVER_SECONDS + lateness(pair, first, killed, following)
    assert handover(pair, second, first, killed) >= LEASE_SECONDS
    second.controller.start()
    scene.sees(35)
    await_told(scene, 4)
    stopped = wall_clock()
    first.controller.stop()
    report("stopped leader: the other wrote after", seconds_since(stopped) + follow(scene, 55, 6))
    assert handover(pair, first, second, stopped) < LEASE_SECONDS, "it was to be given up, not to run out"
    each_size_follows_from_the_last(scene, pair, 6)
    assert [one for one in pair.requests() if not one.is_allowed] == []
    assert leases_used(pair) == {"list", "create", "update", "delete"}


def follow(scene: Scene, load: float, size: int) -> float:
    """Wait until a new load has led to its size; the seconds that it took."""
    began = wall_clock()
    scene.sees(load)
    scene.await_replicas(size)
    return seconds_since(began)


def wrote_after(pair: Replicas, replica: Replica, since: datetime) -> float:
    """Seconds from then to the first size that a replica wrote, as the API server received it."""

    def sizes() -> list[datetime]:
        found = (one for one in pair.writes() if one.subresource == "scale" and one.code == HTTPStatus.OK)
        return [one.time for one in found if one.credential == replica.credential and one.time >= since]

    return (min(eventually(sizes)) - since).total_seconds()


def lateness(pair: Replicas, taker: Replica, since: datetime, following: float) -> float:
    """What the machine added to a fail-over, in seconds: a Lease is looked at and taken in rounds, which were longer
    than they are to be, and then a size follows its load, which took longer than on an idle machine before as well."""
    rounds = max(0.0, pair.slowest_round(taker, since) - RENEW_SECONDS)
    return 2 * rounds + max(0.0, following - FOLLOWING_SECONDS)


def handover(group: Replicas, old: Replica, new: Replica, since: datetime) -> float:
    """How long a Lease was nobody's when it went from one to the other; the longest, of several."""
    found = [one for one in group.handovers(since) if (one.old, one.new) == (old.name, new.name)]
    assert found, f"nothing went from {old.name} to {new.name}"
    return max(one.seconds for one in found)


def await_told(scene: Scene, size: int) -> None:
    """The size is written, and its event as well: whoever is ended in between tells of it no more."""
    scene.await_replicas(size)
    eventually(lambda: chain(scene), lambda sizes: sizes and sizes[-1][1] == size)


def both_answer(scene: Scene, pair: Replicas, leader: Replica) -> None:
    """Both are ready, and whoever is asked answers."""
    for one in pair.all:
        eventually(partial(one.controller.get, "/readyz"), lambda answer: answer[0] == HTTPStatus.OK)
        path = f"/api/v1/scalers/{scene.namespace}/web"
        _, text = eventually(partial(one.controller.get, path), lambda answer: answer[0] == HTTPStatus.OK)
        assert json.loads(text)["servedBy"] == leader.name
        assert json.loads(text)["decisions"]


def freeze(scene: Scene, pair: Replicas, first: Replica, second: Replica, following: float) -> None:
    """In the middle of whatever it does, for 20 s, while the load goes on."""
    frozen = wall_clock()
    first.controller.freeze()
    follow(scene, 65, 7)
    seconds = wrote_after(pair, second, frozen)
    report("frozen leader: the other wrote after", seconds)
    assert seconds < FAIL_OVER_SECONDS + lateness(pair, second, frozen, following)
    assert handover(pair, first, second, frozen) >= LEASE_SECONDS
    for load, size in ((85, 9), (45, 5)):
        follow(scene, load, size)
    eventually(lambda: seconds_since(frozen) >= 20.0)
    scene.sees(95)
    thawed = wall_clock()
    first.controller.thaw()
    await_told(scene, 10)
    eventually(lambda: view(first) == {0: second.name})
    eventually(lambda: seconds_since(thawed) >= 4.0)
    assert writes_of(pair, first, thawed) == []
    eventually(lambda: not first.told())


def each_size_follows_from_the_last(scene: Scene, pair: Replicas, last: int) -> None:
    """So that none was decided by two, or by one who had not seen the other's."""
    await_told(scene, last)
    sizes = chain(scene)
    assert [before for before, _ in sizes[1:]] == [after for _, after in sizes[:-1]]
    assert sum(one.subresource == "scale" and one.code == HTTPStatus.OK for one in pair.writes()) == len(sizes)


@pytest.fixture
def relay(sandbox: Sandbox) -> Iterator[Relay]:
    trust = ssl.create_default_context(cafile=sandbox.layout.certificates / "ca.crt")
    with Relay(sandbox.api_server_url, trust) as relay:
        yield relay


@pytest.fixture
def relayed(
    sandbox: Sandbox, account: Path, models: Path, namespace: str, tmp_path: Path, relay: Relay
) -> Iterator[Replicas]:
    """A pair behind a relay, which waits for a load for as long as it takes."""
    more = {f"{SETTINGS}QUERY_TIMEOUT_SECONDS": f"{HELD_SECONDS:g}"}
    with replicas(
        sandbox, models, namespace, tmp_path, count=2, shards=1, relay=relay.address, environment=more
    ) as both:
        yield both


def test_what_was_begun_before_the_lease_ran_out_is_not_written_after(
    scene: Scene, relayed: Replicas, relay: Relay
) -> None:
    """Frozen in the middle of a tick, it goes on with that tick and can not learn what has become of its Lease."""
    scene.sees(45)
    with Listener(scene.prometheus) as listener:
        scene.apply(workload(replicas=2), scene.scaler(metric={"prometheus": {"address": listener.url}}))
        await_told(scene, 5)
        first = relayed.leader()
        second = other(relayed, first)
        held = listener.hold()
        eventually(held.is_here.is_set)
        relay.without_leases = first.name
        first.controller.freeze()
        follow(scene, 85, 9)
        eventually(lambda: view(second) == {0: second.name})

        thawed = wall_clock()
        first.controller.thaw()
        held.may_go.set()
        eventually(lambda: writes_of(relayed, first, thawed) or REFUSED in first.controller.log.read_text())
        eventually(lambda: seconds_since(thawed) >= UNSURE_SECONDS)
        assert writes_of(relayed, first, thawed) == []
        assert view(first) != {0: first.name}
        relay.without_leases = ""
        eventually(lambda: view(first) == {0: second.name})
        follow(scene, 65, 7)
        assert writes_of(relayed, first, thawed) == []


def leases_used(pair: Replicas) -> set[str]:
    """What the chart's Role for Leases grants is used, and nothing else of them is asked."""
    return {one.verb for one in pair.requests() if one.resource == "leases"}


def report(what: str, seconds: float) -> None:
    print(f"\n{what} {seconds:.1f} s")  # noqa: T201  # what it is for


def observer(scene: Scene, number: int) -> dict[str, Any]:
    return scene.scaler(f"web-{number}", mode="Observe", intervalSeconds=3)


def await_spread(group: Replicas, running: int) -> dict[str, set[str]]:
    return eventually(lambda: spread(group, running), seconds=SPREADING_SECONDS) or {}


def spread(group: Replicas, running: int) -> dict[str, set[str]] | None:
    """The scalers that each tells of, once all are served by one each and the shards are even."""
    found = {one.name: one for one in group.all if one.controller.is_running}
    counts = Counter(holder for one in found.values() for holder in view(one).values())
    told = {name: one.told() for name, one in found.items()}
    is_even = counts == dict.fromkeys(found, running * SHARDS // running)
    once = Counter(scaler for names in told.values() for scaler in names)
    is_once = set(once.values()) == {1} and len(once) == SCALERS
    return told if len(found) == running and is_even and is_once else None


def test_shards_go_round_as_replicas_come_and_go(scene: Scene, three: Replicas) -> None:
    scene.sees(45)
    scene.apply(workload(), *(observer(scene, number) for number in range(SCALERS)))
    first = await_spread(three, 3)

    # One dies.
    stays, lost, _ = three.all
    killed = wall_clock()
    lost.controller.kill()
    left = await_spread(three, 2)
    report("one of three killed: all have ticked again after", seconds_since(killed))
    assert all(first[name] <= left[name] for name in left)
    taken = [one for one in three.handovers(killed) if one.old == lost.name]
    late = max(lateness(three, three.named(one.new), killed, 0.0) for one in taken)
    assert all(LEASE_SECONDS <= one.seconds < FAIL_OVER_SECONDS + late for one in taken)

    # It comes back.
    lost.controller.start()
    came = wall_clock()
    again = await_spread(three, 3)
    report("a third one came: all have ticked on three after", seconds_since(came))
    assert all(again[name] <= left[name] for name in left)
    assert given_up(three, killed, new=lost.name)

    # One is restarted, as in a rolling update.
    began = wall_clock()
    stays.controller.stop()
    await_spread(three, 2)
    report("one of three stopped: all have ticked again after", seconds_since(began))
    assert given_up(three, began, old=stays.name)
    stays.controller.start()
    await_spread(three, 3)
    assert served_twice(three, began) == {}
    for one in three.all:
        assert errors(one.controller) == []


def given_up(group: Replicas, since: datetime, *, old: str = "", new: str = "") -> bool:
    """Whether the Leases that one replica left or took were given up for that, and did not run out."""
    found = [one for one in group.handovers(since) if one.old == old or one.new == new]
    assert len(found) == SHARDS // len(group.all), found
    return all(one.seconds < LEASE_SECONDS for one in found)


def served_twice(group: Replicas, since: datetime) -> dict[str, list[str]]:
    """Scalers whose status was written by one, then another and then the first again since then."""
    writers: dict[str, list[str]] = {}
    for one in group.writes():
        if one.subresource == "status" and one.time >= since and one.code == HTTPStatus.OK:
            seen = writers.setdefault(one.name, [])
            if not seen or seen[-1] != one.credential:
                seen.append(one.credential)
    return {name: seen for name, seen in writers.items() if len(seen) > len(set(seen)) + 2}


def errors(controller: Controller) -> list[str]:
    whole, _, _ = controller.log.read_text().rpartition("\n")  # it may be writing another line
    lines = [json.loads(line) for line in whole.splitlines()]
    return [line["message"] for line in lines if line["level"] == "ERROR"]


@pytest.fixture
def releases(sandbox: Sandbox, account: Path, models: Path, namespace: str, tmp_path: Path) -> Iterator[Replicas]:
    """Two controllers that are not replicas of one another, and watch the same namespace."""
    names = ["first", "second"]
    with replicas(sandbox, models, namespace, tmp_path, count=2, shards=1, leases=names) as both:
        yield both


def test_two_releases_tell_of_each_other(scene: Scene, releases: Replicas) -> None:
    scene.sees(15)
    scene.apply(workload(replicas=2), scene.scaler())
    scene.await_condition("Ready", "True", "AnotherController")
    named = {f'"{releases.home}/{name}"' for name in ("first", "second")}
    eventually(lambda: {other for note in told_of(scene) for other in named if other in note}, named.__eq__)
    releases.all[0].controller.stop()
    scene.await_condition("Ready", "True", "Scaling")


def told_of(scene: Scene) -> list[str]:
    """The notes in which a controller tells of another one."""
    return [one["note"] for one in scene.get("events")["items"] if one["reason"] == "AnotherController"]
