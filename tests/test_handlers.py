"""kopf against an API server on loopback: every trap that `controller.handlers` names, and what is done about it.

The traps that need no test here, and why: docs/decisions/0002-kopf-keeps-a-registry.md.
"""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kopf
import pytest
from aiohttp import web

from controller import handlers
from controller.handlers import Watch
from controller.spec import GROUP, PLURAL, VERSION
from tests.builders import body
from tests.waiting import PATIENCE

ROOT = f"/apis/{GROUP}/{VERSION}"
LISTS = f"{ROOT}/{PLURAL}"
RUINED = 3
"""So many watches that failed are enough to see what comes of them."""


def _resource(plural: str, kind: str, *, is_namespaced: bool) -> dict[str, Any]:
    verbs = ["get", "list", "watch", "patch"]
    return {"name": plural, "singularName": kind.lower(), "namespaced": is_namespaced, "kind": kind, "verbs": verbs}


_VERSION = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
DISCOVERY: dict[str, Any] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [_resource("namespaces", "Namespace", is_namespaced=False)]},
    "/apis": {"groups": [{"name": GROUP, "versions": [_VERSION], "preferredVersion": _VERSION}]},
    ROOT: {"resources": [_resource(PLURAL, "PredictiveScaler", is_namespaced=True)]},
}
"""What kopf looks up before it lists; it waits for namespaces to be served even where it never lists them."""


def _object(name: str, **changes: Any) -> dict[str, Any]:
    made = body(name, **changes)
    made["metadata"] |= {"resourceVersion": "1"}
    return made | {"apiVersion": f"{GROUP}/{VERSION}", "kind": "PredictiveScaler"}


@dataclass
class Server:
    """Lists and watches; `refusals` lists answer with 403 before the first good one.

    `ruin`: how each watch fails as soon as it has begun: `expired` or `reset`. `ruined`: set once four have.
    """

    items: list[dict[str, Any]] = field(default_factory=list)
    refusals: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    lists: int = 0
    watches: int = 0
    ruin: str = ""
    ruined: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        if request.path.endswith(PLURAL):
            return await (self._watch(request) if "watch" in request.query else self._list())
        return web.json_response(DISCOVERY[request.path])

    async def _list(self) -> web.Response:
        self.lists += 1
        if self.lists <= self.refusals:
            refusal = {"kind": "Status", "status": "Failure", "code": 403, "message": "may not list"}
            return web.json_response(refusal, status=403)
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": self.items})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watches += 1
        if self.watches > RUINED:
            self.ruined.set()
        if self.ruin == "reset":
            assert request.transport is not None
            request.transport.abort()
        elif self.ruin == "expired":
            self.news.put_nowait({"type": "ERROR", "object": EXPIRED})
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(json.dumps(await self.news.get()).encode() + b"\n")


EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}


class Heard:
    """Events as they came from the watch's thread: (type, name)."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.events: asyncio.Queue[tuple[str | None, str]] = asyncio.Queue()
        self.threads: set[str] = set()

    def __call__(self, kind: str | None, object_: Any) -> None:
        self.threads.add(threading.current_thread().name)
        self.loop.call_soon_threadsafe(self.events.put_nowait, (kind, object_["metadata"]["name"]))

    async def next(self) -> tuple[str | None, str]:
        return await asyncio.wait_for(self.events.get(), PATIENCE)


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """An API server on loopback, to which KUBECONFIG leads."""
    server = Server(items=[_object("web")])
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "test", "user": {"token": "secret"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    yield server
    await runner.cleanup()


@pytest.fixture
def refusing(server: Server) -> None:
    """The server refuses lists as often as kopf tries; to end, kopf then takes five seconds of its own."""
    server.refusals = 2


@pytest.fixture
def ruin(server: Server, request: pytest.FixtureRequest) -> None:
    server.ruin = request.param


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    def getpwuid(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", getpwuid)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "POD_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def heard() -> Heard:
    return Heard()


@pytest.fixture
async def watch(server: Server, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watch]:
    """A running watch whose retries and restarts are quick."""
    product_settings = handlers._settings

    def impatient() -> kopf.OperatorSettings:
        settings = product_settings()
        settings.networking.error_backoffs = (0.01,)
        return settings

    monkeypatch.setattr(handlers, "_settings", impatient)
    monkeypatch.setattr(handlers, "RESTART_SECONDS", 0.01)
    watch = Watch(namespaces=(), on_event=heard)
    watch.start()
    yield watch
    await asyncio.to_thread(watch.stop)


@pytest.mark.usefixtures("watch")
async def test_what_was_there_before_arrives_without_a_type(heard: Heard) -> None:
    assert await heard.next() == (None, "web")


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
async def test_changes_arrive_with_their_type(server: Server, heard: Heard, kind: str) -> None:
    await heard.next()
    await server.news.put({"type": kind, "object": _object("api")})
    assert await heard.next() == (kind, "api")


@pytest.mark.usefixtures("watch")
async def test_nothing_is_ever_written(server: Server, heard: Heard) -> None:
    await heard.next()
    for kind in ("ADDED", "MODIFIED"):
        await server.news.put({"type": kind, "object": _object("web", generation=2)})
        await heard.next()
    assert {method for method, _ in server.asked} == {"GET"}


@pytest.mark.usefixtures("watch")
async def test_the_finalizer_of_another_kopf_operator_stays(server: Server, heard: Heard) -> None:
    await heard.next()
    held = _object("held")
    held["metadata"]["finalizers"] = ["kopf.zalando.org/KopfFinalizerMarker"]
    for name in ("held", "after"):
        await server.news.put({"type": "ADDED", "object": held if name == "held" else _object(name)})
        await heard.next()
    assert {method for method, _ in server.asked} == {"GET"}


@pytest.mark.usefixtures("watch")
async def test_only_predictive_scalers_are_asked_for(server: Server, heard: Heard) -> None:
    await heard.next()
    assert {path for _, path in server.asked} == {*DISCOVERY, LISTS}


@pytest.mark.usefixtures("watch")
async def test_events_come_in_a_thread_of_kopfs_own(heard: Heard) -> None:
    await heard.next()
    assert heard.threads == {"kopf"}


@pytest.mark.usefixtures("watch")
async def test_signal_handlers_stay_as_they_were(heard: Heard) -> None:
    await heard.next()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("nameless", "watch")
async def test_a_user_without_a_name_can_watch(heard: Heard) -> None:
    """As 65532 is in an image whose /etc/passwd does not know it, and every user on OpenShift."""
    assert await heard.next() == (None, "web")


@pytest.mark.slow
@pytest.mark.usefixtures("refusing", "watch")
async def test_a_refused_list_does_not_end_the_watch_for_good(heard: Heard) -> None:
    assert await heard.next() == (None, "web")


@pytest.mark.usefixtures("watch")
async def test_an_expired_watch_lists_anew(server: Server, heard: Heard) -> None:
    await heard.next()
    server.items = [_object("other")]
    await server.news.put({"type": "ERROR", "object": EXPIRED})
    assert await heard.next() == (None, "other")


@pytest.mark.usefixtures("ruin", "watch")
@pytest.mark.parametrize("ruin", ["expired", "reset"], indirect=True)
async def test_a_watch_that_always_fails_tells_nothing_but_its_lists(server: Server, heard: Heard) -> None:
    """By which `controller.relist` knows it: an event with a type is of a watch that works."""
    await asyncio.wait_for(server.ruined.wait(), PATIENCE)
    events = [await heard.next()] + [heard.events.get_nowait() for _ in range(heard.events.qsize())]
    assert set(events) == {(None, "web")}


async def test_stopping_ends_the_thread(watch: Watch, heard: Heard) -> None:
    await heard.next()
    await asyncio.to_thread(watch.stop)
    assert not watch._thread.is_alive()


async def test_namespaces_are_watched_one_by_one(server: Server, heard: Heard) -> None:
    watch = Watch(namespaces=("a", "b"), on_event=heard)
    watch.start()
    await heard.next()
    await heard.next()
    await asyncio.to_thread(watch.stop)
    lists = {path for _, path in server.asked if path.endswith(PLURAL)}
    assert lists == {f"{ROOT}/namespaces/a/{PLURAL}", f"{ROOT}/namespaces/b/{PLURAL}"}


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("posting", "enabled", False),  # kopf would post its log lines as events of the object
        ("scanning", "disabled", True),  # else it needs rights on CRDs and namespaces
        ("process", "ultimate_exiting_timeout", None),  # else it kills the process ten minutes after it ended
        ("queueing", "worker_limit", None),  # a limit below the number of objects can end in a deadlock
        ("watching", "chunk_size", 500),
    ],
)
def test_setting(part: str, name: str, value: object) -> None:
    assert getattr(getattr(handlers._settings(), part), name) == value
