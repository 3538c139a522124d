"""Does the client find the API server, keep its credentials fresh, and say what went wrong?"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from aiohttp import web

from controller.kubernetes_api import (
    ApiError,
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    KubernetesApi,
    NotFoundError,
    TimedOutError,
    UnauthorizedError,
    UnavailableError,
)
from controller.ports import SecretError
from tests.servers.kubeconfig import write_kubeconfig
from tests.servers.kubernetes import FakeApiServer, status

SCALE = "/apis/apps/v1/namespaces/web/deployments/api/scale"
SECRET = "/api/v1/namespaces/web/secrets/prometheus"


def move(kubeconfig: Path, place: Path) -> None:
    place.parent.mkdir()
    kubeconfig.rename(place)


def change_token(kubeconfig: Path, token: str) -> None:
    config = json.loads(kubeconfig.read_text())
    write_kubeconfig(kubeconfig, config["clusters"][0]["cluster"]["server"], token)


# Finding it


async def test_a_kubeconfig_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    with pytest.raises(ConfigurationError, match=r"/nowhere/config does not exist; set KUBECONFIG"):
        await KubernetesApi.connect()


async def test_in_a_cluster_the_service_account_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with pytest.raises(ConfigurationError, match="token"):  # which exists in a Pod only
        await KubernetesApi.connect()


async def test_without_anything_the_home_folder_is_looked_into(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: FakeApiServer, kubeconfig: Path
) -> None:
    move(kubeconfig, tmp_path / ".kube" / "config")
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    server.objects["/version"] = {"gitVersion": "v1"}
    async with await KubernetesApi.connect() as api:
        assert await api.get("/version") == {"gitVersion": "v1"}


@pytest.mark.slow
def test_no_typed_api_is_imported() -> None:
    code = "import sys, controller.kubernetes_api; print([m for m in sys.modules if 'aio.client.api.' in m])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


# Credentials


async def test_a_refused_token_is_read_again_once_for_all(
    api: KubernetesApi, server: FakeApiServer, kubeconfig: Path
) -> None:
    server.objects["/version"] = {}
    server.token = "second"
    change_token(kubeconfig, "second")
    reload = api._reload = AsyncMock(wraps=api._reload)
    await asyncio.gather(*(api.get("/version") for _ in range(5)))
    assert server.calls[-1].authorization == "Bearer second"
    assert reload.await_count == 1


async def test_a_token_that_stays_refused_is_tried_once(api: KubernetesApi, server: FakeApiServer) -> None:
    server.token = "second"
    with pytest.raises(UnauthorizedError):
        await api.get("/version")
    assert len(server.calls) == 1


# What went wrong


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, InvalidError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (422, InvalidError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
    ],
)
async def test_errors_by_what_they_mean(
    api: KubernetesApi, server: FakeApiServer, code: int, kind: type[ApiError]
) -> None:
    server.raw["GET", SCALE] = lambda: status(code, "its own words")
    with pytest.raises(ApiError, match="its own words") as caught:
        await api.get(SCALE)
    assert type(caught.value) is kind


async def test_an_error_that_is_not_json_is_quoted(api: KubernetesApi, server: FakeApiServer) -> None:
    server.raw["GET", SCALE] = lambda: web.Response(status=404, text="404 page not found\n")
    with pytest.raises(NotFoundError, match=r"^404 page not found$"):
        await api.get(SCALE)


@pytest.mark.parametrize("text", ["<html>", "null", "[]"])
async def test_an_answer_that_is_no_object(api: KubernetesApi, server: FakeApiServer, text: str) -> None:
    server.raw["GET", SCALE] = lambda: web.Response(text=text)
    with pytest.raises(UnavailableError, match="JSON object"):
        await api.get(SCALE)


async def test_a_refused_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1", "token")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    async with await KubernetesApi.connect() as api:
        with pytest.raises(UnavailableError, match="no connection"):
            await api.get("/version")


async def test_a_server_that_does_not_answer_in_time(server: FakeApiServer, kubeconfig: Path) -> None:
    async with await KubernetesApi.connect(call_seconds=1e-6) as api:
        with pytest.raises(TimedOutError, match="did not answer"):
            await api.get("/version")


# Lists


@pytest.mark.parametrize(("count", "calls"), [(0, 1), (2, 1), (3, 2), (5, 3)])
async def test_a_list_is_read_in_pages(api: KubernetesApi, server: FakeApiServer, count: int, calls: int) -> None:
    server.lists["/api/v1/pods"] = [{"number": number} for number in range(count)]
    listing = await api.list_all("/api/v1/pods", {"labelSelector": "a=b"}, page=2)
    assert [item["number"] for item in listing.items] == [*range(count)]
    assert listing.resource_version == "7"
    assert [call.query["labelSelector"] for call in server.calls] == ["a=b"] * calls


async def test_a_list_that_grew_too_old_is_begun_once_more(api: KubernetesApi, server: FakeApiServer) -> None:
    listing = {"metadata": {"resourceVersion": "1"}, "items": [{}]}
    answers = iter([status(410, "too old"), web.json_response(listing)])
    server.raw["GET", "/api/v1/pods"] = lambda: next(answers)
    assert len((await api.list_all("/api/v1/pods")).items) == 1


async def test_a_list_that_stays_too_old_fails(api: KubernetesApi, server: FakeApiServer) -> None:
    server.raw["GET", "/api/v1/pods"] = lambda: status(410, "too old")
    with pytest.raises(GoneError):
        await api.list_all("/api/v1/pods")


# Writing


async def test_patches_say_who_writes_and_how(api: KubernetesApi, server: FakeApiServer) -> None:
    server.objects[SCALE] = {"metadata": {"resourceVersion": "1"}, "spec": {}}
    await api.merge_patch(SCALE, {"spec": {"replicas": 2}})
    await api.json_patch(SCALE, [{"op": "add", "path": "/spec/replicas", "value": 3}])
    kinds = [(call.content_type, call.query) for call in server.calls]
    manager = {"fieldManager": "predictive-scaler"}
    assert kinds == [("application/merge-patch+json", manager), ("application/json-patch+json", manager)]


async def test_a_merge_patch_may_be_tried_only_and_by_another_writer(api: KubernetesApi, server: FakeApiServer) -> None:
    server.objects[SCALE] = {"metadata": {"resourceVersion": "1"}, "spec": {}}
    await api.merge_patch(SCALE, {"spec": {}}, {"dryRun": "All", "fieldManager": "somebody"})
    assert server.calls[-1].query == {"dryRun": "All", "fieldManager": "somebody"}


async def test_an_object_is_created(api: KubernetesApi, server: FakeApiServer) -> None:
    assert await api.post("/api/v1/namespaces", {"kind": "Namespace"}) == {"kind": "Namespace"}


# Secrets


async def test_a_secret_is_decoded(api: KubernetesApi, server: FakeApiServer) -> None:
    server.objects[SECRET] = {"data": {"token": base64.b64encode(b"t0ken").decode()}}
    assert await api.read_secret("web", "prometheus") == {"token": b"t0ken"}


async def test_a_secret_may_be_empty(api: KubernetesApi, server: FakeApiServer) -> None:
    server.objects[SECRET] = {"data": None}
    assert await api.read_secret("web", "prometheus") == {}


@pytest.mark.parametrize(
    ("code", "word", "is_transient"), [(404, "create it", False), (403, "grant", False), (500, "could not", True)]
)
async def test_a_secret_that_cannot_be_read_is_named(
    api: KubernetesApi, server: FakeApiServer, code: int, word: str, is_transient: bool
) -> None:
    server.raw["GET", SECRET] = lambda: status(code, "no")
    with pytest.raises(SecretError, match=f"Secret web/prometheus .*{word}") as caught:
        await api.read_secret("web", "prometheus")
    assert caught.value.is_transient is is_transient
