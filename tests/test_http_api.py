"""What a running controller answers, over HTTP on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.core.decide import decide
from controller.http_api import STALLED, UNLISTED, HttpApi
from controller.ledger import Ledger
from controller.metrics import Metrics
from controller.registry import Registry
from tests.builders import FRESH, NOW, body, policy, seen


class World:
    def __init__(self) -> None:
        self.registry, self.ledger, self.metrics = Registry(), Ledger(), Metrics()
        self.alive: datetime | None = NOW
        self.listed: datetime | None = NOW
        api = HttpApi(
            registry=self.registry,
            ledger=self.ledger,
            metrics=self.metrics.registry,
            alive=lambda: self.alive,
            listed=lambda: self.listed,
            clock=lambda: NOW,
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
    async with world.client:
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


async def test_metrics_are_prometheus_text(world: World) -> None:
    world.metrics.count(world.registry)
    async with world.client.get("/metrics") as response:
        assert "predictive_scaler_scalers 0.0" in await response.text()


async def test_scalers_are_listed(world: World) -> None:
    world.registry.put(body("web"))
    items = (await world.json("/api/v1/scalers"))["items"]
    assert items == [{"namespace": "shop", "name": "web", "generation": 1, "error": None, "lastDecision": None}]


async def test_a_refused_spec_shows_its_error(world: World) -> None:
    world.registry.put(body("web", spec={"maxReplicas": 0}))
    assert "maxReplicas" in (await world.json("/api/v1/scalers"))["items"][0]["error"]


async def test_a_scaler_shows_its_decisions_oldest_first(world: World) -> None:
    world.registry.put(body("web"))
    for load in (30, 40):
        world.ledger.add("uid-web", decide(NOW, seen(load), None, 1, policy(), FRESH)[0])
    decisions = (await world.json("/api/v1/scalers/shop/web"))["decisions"]
    assert [decision["demand"] for decision in decisions] == [30, 40]


async def test_a_scaler_that_is_not_there(world: World) -> None:
    assert await world.status("/api/v1/scalers/shop/web") == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/metrics", "/api/v1/scalers", "/api/v1/scalers/shop/web"])
async def test_nothing_can_be_changed(world: World, method: str, path: str) -> None:
    async with world.client.request(method, path) as response:
        assert response.status == 405
