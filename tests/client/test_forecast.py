"""Does `forecast` draw what was recorded, or what the status has where nobody can be asked, and fit the terminal?"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from client.commands import clock
from tests.builders import NOW, STEP, account, body, forecast, seconds
from tests.client.conftest import PROXY, SCALER, SERVICES, Cluster, Invoke
from tests.servers.kubernetes import status
from tests.servers.loopback import serve

DECISIONS = "/api/v1/scalers/shop/web/decisions"
POINTS = [{"time": (NOW + count * STEP).isoformat(), "median": 80.0, "upper": 99.0} for count in range(12, 60, 12)]
STATUS: dict[str, Any] = {
    "currentReplicas": 5,
    "desiredReplicas": 10,
    "target": {"ready": 4},
    "lastDecision": {"time": NOW.isoformat(), "source": "Forecast", "demand": 95.0, "seen": 45.0, "steps": []},
    "forecast": {"origin": NOW.isoformat(), "quantile": 0.9, "points": POINTS},
}
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def _now(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(clock, "now", lambda: NOW + seconds(75))


@pytest.fixture
def busy(cluster: Cluster) -> Cluster:
    """Five ticks, one each 15 s until a quarter of a minute ago; the load is their number times ten."""
    for tick in range(5):
        cluster.ledger.add(
            "uid-web", account(10 * tick, at=NOW + seconds(15 * tick), ahead=forecast(99, 99), current=5)
        )
    cluster.api.objects[SCALER] = body("web", spec={"intervalSeconds": 15}, status=STATUS)
    return cluster


async def test_a_chart_of_what_was_recorded(busy: Cluster, invoke: Invoke) -> None:
    ended = await invoke("forecast", "web", "-n", "shop")
    assert (ended.code, ended.err) == (0, "")
    words = " ".join(ended.out.split())
    assert words.startswith(
        "shop/web, 2026-03-02 12:01:15 UTC: 5 replicas asked for, 4 ready, 10 wanted; each serves 10"
    )
    assert "last decided 15s ago. " in words
    assert "load, 40 at 12:01:00" in words
    assert "to be ready for 99 until 12:06:15 (forecast)" in words
    assert max(map(len, ended.out.splitlines())) <= 80
    assert "\x1b" not in ended.out


async def test_numbers_for_programs(busy: Cluster, invoke: Invoke) -> None:
    told = json.loads((await invoke("forecast", "web", "-n", "shop", "-o", "json")).out)
    assert [one["load"] for one in told["seen"]] == [0, 10, 20, 30, 40]
    assert (told["from"], told["demand"]["load"]) == ("records", 99)
    assert [one["upper"] for one in told["forecast"]["points"]] == [99] * 5  # two of the record, three of the status


@pytest.mark.parametrize(("back", "limit"), [("1h", "241"), ("1m", "5"), ("6h", "1000")])
async def test_no_more_is_asked_for_than_is_drawn(busy: Cluster, invoke: Invoke, back: str, limit: str) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.query["limit"])
        return web.json_response({"items": []})

    async with serve(answer) as address:
        await invoke("forecast", "web", "-n", "shop", "--back", back, "--controller", address)
    assert asked == [limit]


async def test_how_far_back_and_ahead(busy: Cluster, invoke: Invoke) -> None:
    told = json.loads(
        (await invoke("forecast", "web", "-n", "shop", "-o", "json", "--back", "40s", "--ahead", "4m")).out
    )
    assert [one["load"] for one in told["seen"]] == [30, 40]
    assert len(told["forecast"]["points"]) == 1


async def test_at_the_width_of_the_terminal_in_colour(
    busy: Cluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("LINES", "30")
    out = (await invoke("forecast", "web", "-n", "shop")).out
    assert "\x1b[38;5;" in out
    widths = [len(ANSI.sub("", line)) for line in out.splitlines()]
    assert max(widths) == 140
    assert len(widths) <= 30


async def test_without_colour_where_none_is_wanted(
    busy: Cluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "38;5" not in (await invoke("forecast", "web", "-n", "shop")).out


def _no_service(cluster: Cluster) -> None:
    cluster.api.lists[SERVICES] = []


def _not_held(cluster: Cluster) -> None:
    """As a replica answers in the seconds in which nobody serves the scaler."""
    cluster.api.lists[SERVICES] = [{"metadata": {"namespace": "team-a", "name": "psc"}}]
    path = f"/api/v1/namespaces/team-a/services/psc:http/proxy{DECISIONS}"
    words = "no replica serves shop/web at this moment; ask again in some seconds"
    cluster.api.raw["GET", path] = lambda: web.json_response({"error": words}, status=503)


def _no_rights(cluster: Cluster) -> None:
    cluster.refused.add(f"{PROXY}{DECISIONS}")


def _nothing_yet(cluster: Cluster) -> None:
    cluster.ledger.forget("uid-web")


def _another_release(cluster: Cluster) -> None:
    cluster.api.lists[SERVICES] = [{"metadata": {"namespace": "team-a", "name": "psc"}}]
    path = f"/api/v1/namespaces/team-a/services/psc:http/proxy{DECISIONS}"
    record = {"version": 99, "release": "9.9", "record": None}
    cluster.api.raw["GET", path] = lambda: web.json_response({"items": [record]})


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (_no_service, "no Service in any namespace is labelled app.kubernetes.io/name=predictive-scaler"),
        (_not_held, "the Service team-a/psc gives no answer: no replica serves shop/web at this moment"),
        (_no_rights, "you may not get services/proxy in scaler-system"),
        (_nothing_yet, "no tick of shop/web is recorded yet"),
        (_another_release, "its records cannot be read: its version is 99, of release 9.9; this one reads 1"),
    ],
)
async def test_the_status_alone_makes_a_chart(busy: Cluster, invoke: Invoke, broken: Any, words: str) -> None:
    broken(busy)
    ended = await invoke("forecast", "web", "-n", "shop")
    assert ended.code == 0
    assert ended.err.count("\n") == 1
    assert "only the status is shown" in ended.err
    assert words in ended.err
    assert "load, 45 at 12:00:00" in ended.out
    assert "forecast, from its median (the line) to its 0.9 quantile" in ended.out


async def test_its_address_alone_is_enough(
    busy: Cluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    ended = await invoke("forecast", "web", "-n", "shop", "--controller", busy.controller)
    assert (ended.code, ended.err) == (0, "")
    assert "5 replicas asked for, 10 wanted" in " ".join(ended.out.split())


@pytest.mark.parametrize(("current", "words"), [(1, "1 replica"), (0, "0 replicas"), (None, "? replicas")])
async def test_one_replica_is_told_as_one(cluster: Cluster, invoke: Invoke, current: int | None, words: str) -> None:
    cluster.api.objects[SCALER] = body("web", status=STATUS | {"currentReplicas": current})
    ended = await invoke("forecast", "web", "-n", "shop")
    assert f"UTC: {words} asked for, 4 ready, 10 wanted" in " ".join(ended.out.split())


async def test_a_clock_that_is_late_loses_no_record(
    busy: Cluster, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW - timedelta(hours=2))
    told = json.loads((await invoke("forecast", "web", "-n", "shop", "-o", "json")).out)
    assert (told["time"], len(told["seen"])) == ("2026-03-02T12:01:00Z", 5)


async def test_nothing_is_known_yet(cluster: Cluster, invoke: Invoke) -> None:
    ended = await invoke("forecast", "web", "-n", "shop")
    assert ended.code == 0
    assert "Neither a load nor a forecast is known: kubectl predictivescaler doctor tells what is missing." in ended.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lost"], "there is no PredictiveScaler shop/lost"),
        (["web", "--controller", "here"], "--controller: 'here' is no address such as http://127.0.0.1:8080"),
    ],
)
async def test_what_cannot_be_drawn_is_one_line(
    cluster: Cluster, invoke: Invoke, arguments: list[str], words: str
) -> None:
    ended = await invoke("forecast", *arguments, "-n", "shop")
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("text", ["soon", "0s", "-1h"])
async def test_a_duration_that_is_none(cluster: Cluster, invoke: Invoke, text: str) -> None:
    ended = await invoke("forecast", "web", "-n", "shop", f"--back={text}")
    assert ended.code == 2
    assert "--back" in ended.err


async def test_an_api_server_that_is_away(busy: Cluster, invoke: Invoke) -> None:
    busy.api.raw["GET", SCALER] = lambda: status(503, "away")
    ended = await invoke("forecast", "web", "-n", "shop")
    assert (ended.code, ended.err) == (2, "error: the PredictiveScaler shop/web cannot be read: away\n")
