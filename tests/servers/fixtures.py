"""The API server on loopback and the real client connected to it, for the tests that ask for them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.kubernetes_api import KubernetesApi
from tests.servers.kubeconfig import write_kubeconfig
from tests.servers.kubernetes import FakeApiServer
from tests.servers.loopback import serve

TOKEN = "first"


@pytest.fixture
def server() -> FakeApiServer:
    return FakeApiServer(token=TOKEN)


@pytest.fixture
async def kubeconfig(server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)  # reading the system's authorities takes longer than the tests
    path = tmp_path / "kubeconfig"
    async with serve(server.handle) as address:
        write_kubeconfig(path, address, TOKEN)
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield path


@pytest.fixture
async def api(kubeconfig: Path) -> AsyncIterator[KubernetesApi]:
    async with await KubernetesApi.connect() as api:
        yield api
