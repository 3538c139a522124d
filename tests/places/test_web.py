"""Where a request may be led, with what, and what a failed one is told as."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web as http

from controller.places import web as web_module
from controller.places.guard import Guard
from controller.places.web import MOST_REDIRECTS, Web, body
from controller.ports import ModelError
from controller.settings import ALL_PLACES
from tests.servers.files import FileServer, redirect
from tests.servers.loopback import serve

BEARER = {"Authorization": "Bearer of-the-first-host"}


async def read(web: Web, url: str, headers: dict[str, str] | None = None) -> bytes:
    async with web.get(url, headers) as response:
        return await body(response, 1000)


@asynccontextmanager
async def another(serving: ssl.SSLContext) -> AsyncIterator[tuple[FileServer, str]]:
    files = FileServer()
    async with serve(files.handle, serving) as address:
        yield files, address


async def test_redirects_are_followed(web: Web, files: FileServer, address: str) -> None:
    files.put("/there", b"found")
    files.raw["/relative"] = redirect("/there", 302)
    files.raw["/absolute"] = redirect(f"{address}/relative", 308)
    assert await read(web, f"{address}/absolute") == b"found"


@pytest.mark.parametrize(("count", "is_followed"), [(MOST_REDIRECTS, True), (MOST_REDIRECTS + 1, False)])
async def test_redirects_end(web: Web, files: FileServer, address: str, count: int, is_followed: bool) -> None:
    files.put(f"/{count}", b"found")
    files.raw |= {f"/{index}": redirect(f"/{index + 1}") for index in range(count)}
    if is_followed:
        assert await read(web, f"{address}/0") == b"found"
        return
    with pytest.raises(ModelError, match=r"redirects more than 5 times"):
        await read(web, f"{address}/0")


async def test_a_redirect_keeps_credentials_on_its_host(web: Web, files: FileServer, address: str) -> None:
    files.put("/there", b"found")
    files.raw["/here"] = redirect("/there")
    await read(web, f"{address}/here", BEARER)
    assert [one.headers.get("Authorization") for one in files.asked] == [BEARER["Authorization"]] * 2


async def test_credentials_never_reach_another_host(
    web: Web, files: FileServer, address: str, serving: ssl.SSLContext
) -> None:
    """Nor come back by it."""
    async with another(serving) as (others, elsewhere):
        files.put("/there", b"found")
        files.raw["/here"] = redirect(f"{elsewhere}/back")
        others.raw["/back"] = redirect(f"{address}/there")
        assert await read(web, f"{address}/here", BEARER) == b"found"
    assert [one.headers.get("Authorization") for one in others.asked] == [None]
    assert [one.headers.get("Authorization") for one in files.asked] == [BEARER["Authorization"], None]


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://127.0.0.1:1/model", "redirects to http://, which is not followed"),
        ("file:///etc/passwd", "redirects to file://"),
        ("https://169.254.169.254/latest/meta-data/", "169.254.169.254 is an address of the machine itself"),
        ("https://[fd00:ec2::254]/latest/", "is an address of the machine itself"),
        ("https://10.0.0.7/model", "10.0.0.7 is no public address; .*PREDICTIVE_SCALER_MODEL_PLACES"),
        ("https://localhost/model", r"localhost \(.*\) is no public address"),
        ("https://user:secret@127.0.0.1/model", "credentials in it"),
        ("https://2130706433/model", "2130706433"),
    ],
)
async def test_where_no_redirect_leads(web: Web, files: FileServer, address: str, location: str, words: str) -> None:
    files.raw["/here"] = redirect(location)
    with pytest.raises(ModelError, match=words) as caught:
        await read(web, f"{address}/here")
    assert "secret" not in str(caught.value)


async def test_a_private_address_is_not_asked_by_default(
    files: FileServer, address: str, trust: ssl.SSLContext
) -> None:
    client = Web(Guard(ALL_PLACES), trust=trust)
    with pytest.raises(ModelError, match="no public address"):
        await read(client, f"{address}/there")
    assert files.asked == []


async def test_plain_http_is_spoken_to_this_machine_only(web: Web) -> None:
    with pytest.raises(ModelError, match=r"http://1\.1\.1\.1 is not asked, only https:// is"):
        await read(web, "http://1.1.1.1/there")


async def test_an_unknown_authority_is_told_with_its_cure(files: FileServer, address: str) -> None:
    client = Web(Guard(["https://127.0.0.1/"]))
    with pytest.raises(ModelError, match=r"certificate is not trusted .*SSL_CERT_FILE"):
        await read(client, f"{address}/there")
    await client.close()
    assert files.asked == []


async def test_a_host_that_is_not_there_is_told(web: Web) -> None:
    with pytest.raises(ModelError, match=r"^download: 127.0.0.1:1: it cannot be reached: "):
        await read(web, "https://127.0.0.1:1/there")


async def test_a_silent_server_is_left(
    web: Web, files: FileServer, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_module, "SILENT_SECONDS", 0.2)
    files.hold = asyncio.Event()
    with pytest.raises(ModelError, match="no answer in time"):
        await read(web, f"{address}/there")
    files.hold.set()


async def test_a_short_answer_must_be_short(web: Web, files: FileServer, address: str) -> None:
    files.put("/long", bytes(2000))
    with pytest.raises(ModelError, match=r"^size: "):
        await read(web, f"{address}/long")


async def test_cookies_are_not_kept(web: Web, files: FileServer, address: str) -> None:
    files.raw["/here"] = lambda _: http.Response(headers={"Set-Cookie": "id=1"})
    await read(web, f"{address}/here")
    await read(web, f"{address}/here")
    assert [one.headers.get("Cookie") for one in files.asked] == [None, None]


async def test_a_proxy_is_used_where_the_environment_names_one(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands where no place could, and resolves the host itself: `.example` is no name that anybody has."""
    async with serve(FileServer().handle) as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        monkeypatch.setenv("no_proxy", "")
        with pytest.raises(ModelError, match=rf"404, message='Not Found', url='{proxy}'"):
            await read(web, "https://models.example/there")
