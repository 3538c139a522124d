"""Replicas share the scalers: killed, frozen, stopped or new, each scaler is served by one of them and never by two."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from sandbox.cluster import Sandbox
from sandbox.controller import Controller
from tests.e2e.driving import Scene, eventually, wall_clock, workload
from tests.e2e.replicas import Replica, Replicas, replicas, view

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

FAIL_OVER_SECONDS = 15.0
SCALERS = 60
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
    scene.sees(45)
    await_told(scene, 5)
    both_answer(scene, pair, first)
    freeze(scene, pair, first, second)
    killed = wall_clock()
    second.controller.kill()
    scene.sees(25)
    scene.await_replicas(3)
    report("killed leader: the other wrote after", seconds_since(killed), FAIL_OVER_SECONDS)
    second.controller.start()
    scene.sees(35)
    await_told(scene, 4)
    stopped = wall_clock()
    first.controller.stop()
    scene.sees(55)
    scene.await_replicas(6)
    report("stopped leader: the other wrote after", seconds_since(stopped), 8.0)
    each_size_follows_from_the_last(scene, pair, 6)
    assert [one for one in pair.requests() if not one.is_allowed] == []
    assert leases_used(pair) == {"list", "create", "update", "delete"}


def await_told(scene: Scene, size: int) -> None:
    """The size is written, and its event as well: whoever is ended in between tells of it no more."""
    scene.await_replicas(size)
    eventually(lambda: chain(scene), lambda sizes: sizes and sizes[-1][1] == size)


def both_answer(scene: Scene, pair: Replicas, leader: Replica) -> None:
    """Both are ready, and whoever is asked answers."""
    for one in pair.all:
        assert one.controller.get("/readyz")[0] == HTTPStatus.OK
        status, text = one.controller.get(f"/api/v1/scalers/{scene.namespace}/web")
        assert (status, json.loads(text)["servedBy"]) == (HTTPStatus.OK, leader.name)
        assert json.loads(text)["decisions"]


def freeze(scene: Scene, pair: Replicas, first: Replica, second: Replica) -> None:
    """In the middle of whatever it does, for 20 s, while the load goes on."""
    frozen = wall_clock()
    first.controller.freeze()
    scene.sees(65)
    scene.await_replicas(7)
    report("frozen leader: the other wrote after", seconds_since(frozen), FAIL_OVER_SECONDS)
    for load, size in ((85, 9), (45, 5)):
        scene.sees(load)
        scene.await_replicas(size)
    eventually(lambda: seconds_since(frozen) >= 20.0)
    scene.sees(95)
    thawed = wall_clock()
    first.controller.thaw()
    await_told(scene, 10)
    eventually(lambda: view(first) == {0: second.name})
    eventually(lambda: seconds_since(thawed) >= 4.0)
    assert writes_of(pair, first, thawed) == []
    assert first.told() == set()


def each_size_follows_from_the_last(scene: Scene, pair: Replicas, last: int) -> None:
    """So that none was decided by two, or by one who had not seen the other's."""
    await_told(scene, last)
    sizes = chain(scene)
    assert [before for before, _ in sizes[1:]] == [after for _, after in sizes[:-1]]
    assert sum(one.subresource == "scale" and one.code == HTTPStatus.OK for one in pair.writes()) == len(sizes)


def leases_used(pair: Replicas) -> set[str]:
    """What the chart's Role for Leases grants is used, and nothing else of them is asked."""
    return {one.verb for one in pair.requests() if one.resource == "leases"}


def report(what: str, seconds: float, most: float) -> None:
    print(f"\n{what} {seconds:.1f} s")  # noqa: T201  # what it is for
    assert seconds < most


def observer(scene: Scene, number: int) -> dict[str, Any]:
    return scene.scaler(f"web-{number}", mode="Observe", intervalSeconds=2)


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
    first = eventually(lambda: spread(three, 3)) or {}

    # One dies.
    lost = three.all[1]
    killed = wall_clock()
    lost.controller.kill()
    left = eventually(lambda: spread(three, 2)) or {}
    report("one of three killed: all have ticked again after", seconds_since(killed), 20.0)
    assert all(first[name] <= left[name] for name in left)

    # It comes back.
    came = wall_clock()
    lost.controller.start()
    again = eventually(lambda: spread(three, 3)) or {}
    report("a third one came: all have ticked on three after", seconds_since(came), 30.0)
    assert all(again[name] <= left[name] for name in left)

    # One is restarted, as in a rolling update.
    began = wall_clock()
    three.all[0].controller.stop()
    eventually(lambda: spread(three, 2))
    report("one of three stopped: all have ticked again after", seconds_since(began), FAIL_OVER_SECONDS)
    three.all[0].controller.start()
    eventually(lambda: spread(three, 3))
    assert served_twice(three, began) == {}
    for one in three.all:
        assert errors(one.controller) == []


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
    lines = [json.loads(line) for line in controller.log.read_text().splitlines()]
    return [line["message"] for line in lines if line["level"] == "ERROR"]
