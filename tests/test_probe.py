"""What `helm test` says of an installation, with a controller and an API server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from controller.probe import main
from tests.builders import body
from tests.servers.kubernetes import FakeApiServer, status
from tests.servers.loopback import needs_ipv6, serve

LIST = "/apis/predictivescaler.dev/v1alpha1/predictivescalers"
SHOP = "/apis/predictivescaler.dev/v1alpha1/namespaces/shop/predictivescalers"
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Scaling",
    "message": "",
    "lastTransitionTime": "2026-11-21T00:00:00Z",
}

pytestmark = pytest.mark.usefixtures("kubeconfig")


class Service:
    """What its Service leads to; `unready` answers are refusals."""

    def __init__(self) -> None:
        self.unready = 0
        self.asked: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if len(self.asked) <= self.unready:
            return web.Response(text="no list of PredictiveScalers has come from the API server yet\n", status=503)
        return web.Response(text="ok\n")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def address(service: Service) -> AsyncIterator[str]:
    async with serve(service.handle) as address:
        yield address


@needs_ipv6
async def test_a_controller_that_has_ipv6_only(
    server: FakeApiServer, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    server.lists[LIST] = []
    async with serve(service.handle, host="::1") as address:
        assert await probe(address) == 0
    assert f"ok    controller: {address} is ready" in capsys.readouterr().out
    assert address.startswith("http://[::1]:")


async def probe(*arguments: str) -> int:
    return await asyncio.to_thread(main, arguments)


async def test_it_works(server: FakeApiServer, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    server.lists[LIST] = [body("web") | {"status": {"conditions": [READY]}}, body("new")]
    assert await probe(address) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"ok    controller: {address} is ready",
        "ok    scalers: 2 in all namespaces, 1 of them Ready",
        "It works.",
    ]


async def test_only_the_namespaces_that_it_serves_are_asked(
    server: FakeApiServer, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.lists[SHOP] = []
    assert await probe(address, "shop") == 0
    assert "ok    scalers: none in shop yet\n" in capsys.readouterr().out
    assert [call.path for call in server.calls] == [SHOP]


@pytest.mark.slow
async def test_it_waits_for_a_controller_that_starts(server: FakeApiServer, service: Service, address: str) -> None:
    server.lists[LIST] = []
    service.unready = 1
    assert await probe(address, "--patience=30") == 0
    assert service.asked == ["/readyz", "/readyz"]


async def test_a_controller_that_does_not_get_ready(
    server: FakeApiServer, service: Service, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.lists[LIST] = []
    service.unready = 99
    assert await probe(address, "--patience=0") == 1
    first, second, verdict = capsys.readouterr().out.splitlines()
    assert first.startswith(f"FAIL  controller: {address}/readyz answers 503: no list of PredictiveScalers")
    assert (second, verdict) == ("ok    scalers: none in all namespaces yet", "It does not work yet.")


async def test_no_controller_at_all(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await probe("http://127.0.0.1:1", "--patience=0") == 1
    assert "FAIL  controller: http://127.0.0.1:1/readyz does not answer: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (404, "install the CRD (crds.install=true)"),
        (403, "see rbac.create and watchNamespaces"),
        (500, "cannot be listed"),
    ],
)
async def test_scalers_that_cannot_be_listed(
    server: FakeApiServer, address: str, capsys: pytest.CaptureFixture[str], code: int, words: str
) -> None:
    server.raw["GET", LIST] = lambda: status(code, "said the API server")
    assert await probe(address) == 1
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL"))
    assert line.startswith("FAIL  scalers: ")
    assert words in line
    assert line.endswith("said the API server")


async def test_no_way_to_the_api_server(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    assert await probe(address) == 1
    assert "FAIL  scalers: they cannot be listed in all namespaces: no way to the API server" in capsys.readouterr().out
