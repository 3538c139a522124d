"""What do tests of places have? A web server with files behind TLS, and a client that trusts it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.places.cache import Part
from controller.places.guard import Guard
from controller.places.web import Web
from tests.servers.certificates import Authority
from tests.servers.files import FileServer
from tests.servers.loopback import serve

LIMIT = 64 * 1024


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority(datetime.now(UTC))


@pytest.fixture(scope="session")
def trust(authority: Authority) -> ssl.SSLContext:
    """What a client of `authority` trusts."""
    return ssl.create_default_context(cadata=authority.certificate.decode())


@pytest.fixture(scope="session")
def serving(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """What a server on 127.0.0.1 listens with."""
    return authority.server(authority.pair("127.0.0.1"), tmp_path_factory.mktemp("tls"))


@pytest.fixture
def files() -> FileServer:
    return FileServer()


@pytest.fixture
async def address(files: FileServer, serving: ssl.SSLContext) -> AsyncIterator[str]:
    """Of the server with files, as https://127.0.0.1:PORT."""
    async with serve(files.handle, serving) as address:
        yield address


@pytest.fixture
async def web(address: str, trust: ssl.SSLContext) -> AsyncIterator[Web]:
    """A client that may ask 127.0.0.1, though it is no public address."""
    client = Web(Guard(["https://127.0.0.1/"]), trust=trust)
    yield client
    await client.close()


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Part]:
    """A file on its way, of LIMIT bytes at most."""
    with Part(tmp_path, LIMIT) as part:
        yield part
