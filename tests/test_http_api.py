"""What a running controller answers, over HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from controller.election import Member
from controller.http_api import STALLED, UNLISTED, HttpApi
from controller.ledger import Ledger
from controller.membership import Membership
from controller.metrics import Metrics
from controller.peers import HEADER, Peers
from controller.registry import Registry, Scaler
from controller.shards import Alone
from tests.builders import NOW, account, body, seconds
from tests.servers.loopback import needs_ipv6, serve


class Shared(Alone):
    """Serves all but what is `elsewhere`, by name; `other` serves that."""

    def __init__(self, me: Member) -> None:
        super().__init__(me)
        self.elsewhere: set[str] = set()
        self.other = Member(identity="other_1", instance="other", address="")
        self.is_known = True

    def shard(self, scaler: Scaler) -> int:
        return int(scaler.name in self.elsewhere)

    def term(self, scaler: Scaler) -> int | None:
        return None if scaler.name in self.elsewhere else 1

    def holder(self, scaler: Scaler) -> Member | None:
        if scaler.name not in self.elsewhere:
            return super().holder(scaler)
        return self.other if self.is_known else None


class World:
    def __init__(self) -> None:
        self.trouble = ""
        self.registry, self.ledger, self.metrics = Registry(), Ledger(), Metrics()
        self.alive: datetime | None = NOW
        self.listed: datetime | None = NOW
        self.silent: list[str] = []
        self.me = Member(identity="me_1", instance="me", address="127.0.0.1:1")
        self.serving = Shared(self.me)
        self.peers = Peers(self.serving, me=self.me)
        membership = Membership(
            me=self.me,
            shards=2,
            serving=self.serving,
            members=lambda: [self.me, self.serving.other],
            holders=lambda: {0: self.me},
            run=asyncio.Event.wait,
            trouble=lambda: self.trouble,
        )
        api = HttpApi(
            registry=self.registry,
            ledger=self.ledger,
            metrics=self.metrics.registry,
            alive=lambda: self.alive,
            listed=lambda: self.listed,
            membership=membership,
            peers=self.peers,
            clock=lambda: NOW,
            silent=lambda: self.silent,
        )
        self.client: TestClient[Any, Any] = TestClient(TestServer(api.application(), host="127.0.0.1"))

    async def status(self, path: str) -> int:
        async with self.client.get(path) as response:
            return response.status

    async def json(self, path: str) -> Any:
        async with self.client.get(path) as response:
            return await response.json()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with world.client, aclosing(world.peers):
        yield world


TICK = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("alive", "status"), [(NOW, 200), (NOW - STALLED, 200), (NOW - STALLED - TICK, 503), (None, 503)]
)
async def test_healthz_by_when_the_scheduler_last_looked(world: World, alive: datetime | None, status: int) -> None:
    world.alive = alive
    assert await world.status("/healthz") == status


@pytest.mark.parametrize(
    ("listed", "status"), [(NOW, 200), (NOW - UNLISTED, 200), (NOW - UNLISTED - TICK, 503), (None, 503)]
)
async def test_readyz_by_when_a_list_last_came(world: World, listed: datetime | None, status: int) -> None:
    world.listed = listed
    assert await world.status("/readyz") == status


@pytest.mark.parametrize(
    ("listed", "words"), [(None, "API server yet"), (NOW - 2 * UNLISTED, "since 2026-03-02T11:50")]
)
async def test_readyz_says_what_is_missing(world: World, listed: datetime | None, words: str) -> None:
    world.listed = listed
    async with world.client.get("/readyz") as response:
        assert words in await response.text()


OK = "ok\n"
SILENT = "ok, but the watch tells nothing: changes take up to a minute to be seen; the log says more\n"


@pytest.mark.parametrize(
    ("can_watch", "can_list", "status", "words"),
    [
        (True, True, 200, OK),
        (False, True, 200, SILENT),  # a minute late it sees all, and takes over with a fresh list
        (True, False, 503, "no list of PredictiveScalers has come"),  # what was deleted may live on in it
        (False, False, 503, "no list of PredictiveScalers has come"),
    ],
)
async def test_readiness_by_what_comes_from_the_api_server(
    world: World, *, can_watch: bool, can_list: bool, status: int, words: str
) -> None:
    world.silent = [] if can_watch else [""]
    world.listed = NOW if can_list else NOW - UNLISTED - TICK
    async with world.client.get("/readyz") as response:
        assert (response.status, words in await response.text()) == (status, True)
    assert await world.status("/healthz") == 200, "starting it again would mend nothing"


async def test_metrics_are_prometheus_text(world: World) -> None:
    world.metrics.count(world.registry)
    async with world.client.get("/metrics") as response:
        assert "predictive_scaler_scalers 0.0" in await response.text()


async def test_scalers_are_listed(world: World) -> None:
    world.registry.put(body("web"))
    items = (await world.json("/api/v1/scalers"))["items"]
    rest = {"error": None, "lastDecision": None, "servedBy": "me"}
    assert items == [{"namespace": "shop", "name": "web", "generation": 1, **rest}]


async def test_a_refused_spec_shows_its_error(world: World) -> None:
    world.registry.put(body("web", spec={"maxReplicas": 0}))
    assert "maxReplicas" in (await world.json("/api/v1/scalers"))["items"][0]["error"]


async def test_a_scaler_shows_its_decisions_oldest_first(world: World) -> None:
    world.registry.put(body("web"))
    for load in (30, None, 40):
        world.ledger.add("uid-web", account(load))
    decisions = (await world.json("/api/v1/scalers/shop/web"))["decisions"]
    assert [decision["demand"] for decision in decisions] == [30, 40]


async def test_the_newest_decision_is_in_the_list(world: World) -> None:
    world.registry.put(body("web"))
    world.ledger.add("uid-web", account(30))
    assert (await world.json("/api/v1/scalers"))["items"][0]["lastDecision"]["demand"] == 30


@pytest.fixture
def busy(world: World) -> World:
    """Five ticks, one each 15 s from NOW on; the load is their number times ten."""
    world.registry.put(body("web"))
    for tick in range(5):
        world.ledger.add("uid-web", account(10 * tick, at=NOW + seconds(15 * tick)))
    return world


DECISIONS = "/api/v1/scalers/shop/web/decisions"


@pytest.mark.parametrize(
    ("query", "loads"),
    [
        ("", [40]),
        ("?limit=3", [20, 30, 40]),
        ("?limit=1000", [0, 10, 20, 30, 40]),
        ("?at=2026-03-02T12:00:31Z", [20]),
        ("?at=2026-03-02T13:00:30%2B01:00&limit=2", [10, 20]),
    ],
)
async def test_records_by_time_and_number(busy: World, query: str, loads: list[float]) -> None:
    items = (await busy.json(DECISIONS + query))["items"]
    assert [item["record"]["decision"]["demand"]["seen"] for item in items] == loads


async def test_a_record_is_told_as_it_was_made(busy: World) -> None:
    async with busy.client.get(DECISIONS) as response:
        text = await response.text()
    assert account(40, at=NOW + seconds(60)).to_text() in text


async def test_from_when_till_when_records_are_kept(busy: World) -> None:
    assert (await busy.json(DECISIONS))["kept"] == {
        "count": 5,
        "oldest": "2026-03-02T12:00:00+00:00",
        "newest": "2026-03-02T12:01:00+00:00",
    }


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        (
            "?at=yesterday",
            400,
            "with a zone, such as 2026-11-21T03:12:00Z, not 'yesterday'",
        ),
        ("?at=2026-03-02T12:00:00", 400, "at must be an ISO 8601 time with a zone"),
        ("?limit=0", 400, "limit must be a number from 1 to 1000, not '0'"),
        ("?limit=1001", 400, "limit must be a number from 1 to 1000"),
        ("?limit=-1", 400, "limit must be a number from 1 to 1000"),
        ("?limit=%D9%A3", 400, "limit must be a number from 1 to 1000"),
        ("?at=2026-03-02T11:59:59Z", 404, "the oldest record of shop/web is of 2026-03-02T12:00:00+00:00"),
    ],
)
async def test_questions_that_cannot_be_answered(busy: World, query: str, status: int, words: str) -> None:
    async with busy.client.get(DECISIONS + query) as response:
        assert response.status == status
        assert words in (await response.json())["error"]


async def test_a_scaler_without_a_tick(world: World) -> None:
    world.registry.put(body("web"))
    async with world.client.get(DECISIONS) as response:
        assert response.status == 404
        assert (await response.json())["error"] == "no tick of shop/web is recorded yet"


@pytest.mark.parametrize("path", ["/api/v1/scalers/shop/web", DECISIONS])
async def test_a_scaler_that_is_not_there(world: World, path: str) -> None:
    async with world.client.get(path) as response:
        assert response.status == 404
        assert (await response.json())["error"] == "there is no PredictiveScaler shop/web"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/metrics", "/api/v1/scalers", "/api/v1/scalers/shop/web", "/api/v1/scalers/shop/web/decisions"]
)
async def test_nothing_can_be_changed(world: World, method: str, path: str) -> None:
    async with world.client.request(method, path) as response:
        assert response.status == 405


# Served elsewhere

PATH = "/api/v1/scalers/shop/web"
in_both_ways = pytest.mark.parametrize("path", [PATH, f"{PATH}/decisions?limit=2&at=2026-03-02T12:00:00%2B00:00"])


class Peer:
    """Another replica: what it was asked, and what it answers."""

    def __init__(self, status: int = 200) -> None:
        self.asked: list[web.Request] = []
        self.status = status

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        return web.json_response({"from": "other"}, status=self.status)


def give_away(world: World, address: str = "", name: str = "web") -> None:
    world.registry.put(body(name, status={"lastDecision": {"time": "then"}}))
    world.serving.elsewhere.add(name)
    world.serving.other = replace(world.serving.other, address=address.removeprefix("http://"))


@in_both_ways
@pytest.mark.parametrize("status", [200, 404, 400])
async def test_what_another_replica_serves_is_asked_of_it(world: World, path: str, status: int) -> None:
    peer = Peer(status)
    async with serve(peer.handle) as address:
        give_away(world, address)
        async with world.client.get(path) as response:
            assert (response.status, await response.json()) == (status, {"from": "other"})
    assert [(one.path_qs, one.headers[HEADER]) for one in peer.asked] == [(path, "me")]


@in_both_ways
async def test_what_was_passed_on_is_not_passed_on_again(world: World, path: str) -> None:
    """Two replicas that each take the other for the holder ask each other once."""
    peer = Peer()
    async with serve(peer.handle) as address:
        give_away(world, address)
        async with world.client.get(path, headers={HEADER: "third"}) as response:
            assert response.status == 503
            assert "ask again in some seconds" in json.loads(await response.text())["error"]
    assert peer.asked == []


async def refused(world: World) -> str:
    async with world.client.get(PATH) as response:
        assert response.status == 503
        return str((await response.json())["error"])


async def test_who_serves_it_may_not_be_known_yet(world: World) -> None:
    give_away(world)
    world.serving.is_known = False
    assert await refused(world) == "no replica serves shop/web at this moment; ask again in some seconds"


@pytest.mark.parametrize("address", ["", "10.0.0.7", "10.0.0.7:0", "10.0.0.7:99999", "evil/x?@10.0.0.7:80", "a b:80"])
async def test_a_peer_without_an_address_cannot_be_asked(world: World, address: str) -> None:
    give_away(world, address)
    assert await refused(world) == "other serves shop/web, and how to reach it is not known; set its PEER_ADDRESS"


@pytest.mark.parametrize("host", ["::1", "[::1]"])
async def test_a_peer_of_ipv6_is_asked_with_and_without_brackets(world: World, host: str) -> None:
    """A replica of an earlier release wrote its address without."""
    give_away(world, f"{host}:1")
    assert "Cannot connect to host ::1:1 " in await refused(world)


@needs_ipv6
@pytest.mark.parametrize("is_bracketed", [False, True])
async def test_a_peer_of_ipv6_answers(world: World, *, is_bracketed: bool) -> None:
    peer = Peer()
    async with serve(peer.handle, host="::1") as address:
        give_away(world, address if is_bracketed else address.replace("[", "").replace("]", ""))
        assert await world.json(PATH) == {"from": "other"}


async def test_a_peer_that_is_away(world: World) -> None:
    give_away(world, "127.0.0.1:1")
    assert (await refused(world)).startswith("other serves shop/web and does not answer: ")


async def test_the_list_tells_of_all_whoever_serves_them(world: World) -> None:
    give_away(world)
    world.registry.put(body("api"))
    items = (await world.json("/api/v1/scalers"))["items"]
    assert [(one["name"], one["servedBy"], one["lastDecision"]) for one in items] == [
        ("web", "other", {"time": "then"}),
        ("api", "me", None),
    ]


async def test_who_is_there_and_who_serves_what(world: World) -> None:
    give_away(world)
    for name in ("api", "shop"):
        world.registry.put(body(name))
    assert await world.json("/api/v1/shards") == {
        "instance": "me",
        "members": [{"instance": "me", "address": "127.0.0.1:1"}, {"instance": "other", "address": ""}],
        "shards": [{"shard": 0, "holder": "me", "scalers": 2}, {"shard": 1, "holder": None, "scalers": 1}],
    }


async def test_readyz_is_not_for_who_could_take_nothing_over(world: World) -> None:
    """An update that made all replicas such would else be through."""
    world.trouble = "may not list leases"
    async with world.client.get("/readyz") as response:
        assert (response.status, await response.text()) == (503, "Leases: may not list leases\n")
