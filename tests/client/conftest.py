"""A controller that answers over HTTP on loopback, and an API server whose proxy leads to it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from client import __main__ as command_line
from controller.election import Member
from controller.http_api import HttpApi
from controller.ledger import Ledger
from controller.membership import Membership
from controller.metrics import Metrics
from controller.peers import Peers
from controller.registry import Registry
from controller.shards import Alone
from tests.builders import NOW, body
from tests.servers.kubeconfig import write_kubeconfig
from tests.servers.kubernetes import FakeApiServer, status
from tests.servers.loopback import serve
from tests.waiting import PATIENCE

TOKEN = "first"
SERVICE = {"metadata": {"namespace": "scaler-system", "name": "psc"}}
SERVICES = "/api/v1/services"
PROXY = "/api/v1/namespaces/scaler-system/services/psc:http/proxy"
SCALER = "/apis/predictivescaler.dev/v1alpha1/namespaces/shop/predictivescalers/web"


@dataclass(kw_only=True)
class Cluster:
    """`api`: what the API server holds. `refused`: paths that it forbids. `controller`: where the proxy leads."""

    api: FakeApiServer
    kubeconfig: Path
    controller: str
    registry: Registry
    ledger: Ledger
    refused: set[str] = field(default_factory=set)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """As the API server: what is for the Service goes on to the controller, the rest is its own."""
        if request.path in self.refused:
            return status(403, "forbidden")
        if not request.path.startswith(f"{PROXY}/"):
            return await self.api.handle(request)
        url = self.controller + request.raw_path.removeprefix(PROXY)
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return web.Response(status=answer.status, text=await answer.text(), content_type=answer.content_type)


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)  # reading the system's authorities takes longer than the tests
    monkeypatch.setenv("COLUMNS", "110")
    registry, ledger = Registry(), Ledger()
    registry.put(body("web"))
    me = Member(identity="me_1", instance="me", address="")
    alone = Alone(me)

    async def wait(stop: asyncio.Event) -> None:
        await stop.wait()

    membership = Membership(me=me, shards=1, serving=alone, members=lambda: [me], holders=lambda: {0: me}, run=wait)
    http = HttpApi(
        registry=registry,
        ledger=ledger,
        metrics=Metrics().registry,
        alive=lambda: NOW,
        listed=lambda: NOW,
        membership=membership,
        peers=Peers(alone, me=me),
        clock=lambda: NOW,
    )
    server = FakeApiServer(token=TOKEN, lists={SERVICES: [SERVICE]}, objects={SCALER: body("web")})
    async with TestServer(http.application(), host="127.0.0.1") as controller:
        held = Cluster(
            api=server,
            kubeconfig=tmp_path / "kubeconfig",
            controller=str(controller.make_url("/")).rstrip("/"),
            registry=registry,
            ledger=ledger,
        )
        async with serve(held.handle) as address:
            write_kubeconfig(held.kubeconfig, address, TOKEN)
            monkeypatch.setenv("KUBECONFIG", str(held.kubeconfig))
            yield held


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


Invoke = Callable[..., "asyncio.Future[Ended]"]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    """`predictive-scaler ARGUMENTS`, in a thread, so that the servers of the test can answer it."""

    def run(arguments: tuple[str, ...]) -> Ended:
        command, *rest = arguments
        # The last one counts. By default a check has 10 s, which a busy machine took.
        patient = ["--timeout", f"{PATIENCE:g}"] if command == "doctor" else []
        monkeypatch.setattr(sys, "argv", ["predictive-scaler", command, *patient, *rest])
        code: object = 0
        try:
            command_line.main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return Ended(code=int(str(code or 0)), out=said.out, err=said.err)

    async def invoked(*arguments: str) -> Ended:
        return await asyncio.to_thread(run, arguments)

    return invoked  # type: ignore[return-value]  # a coroutine is awaited as a future is
