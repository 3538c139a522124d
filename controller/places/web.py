"""How is something read over HTTPS? One GET, redirects followed by hand, every host checked, everything bounded.

Must not send credentials to a host that they were not given for, nor go from https to http.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from controller.places.guard import ForbiddenAddressError, Guard, GuardedResolver
from controller.ports import ModelError

MOST_REDIRECTS = 5
CONNECT_SECONDS = 5.0
SILENT_SECONDS = 15.0
"""So long may a server say nothing."""

CHUNK = 2**18
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = {"User-Agent": "predictive-scaler", "Accept-Encoding": "identity"}  # what is digested is what was sent


class Web:
    """A client. Close it when done."""

    def __init__(self, guard: Guard, *, trust: ssl.SSLContext | bool = True) -> None:
        """`trust`: True for the system's own authorities."""
        self._guard = guard
        self._trust = trust
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def get(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, whatever its status, after at most MOST_REDIRECTS. Raises ModelError("download")."""
        try:
            response = await self._follow(method, URL(url, encoded=True), dict(headers or {}))
            try:
                yield response
            finally:
                response.close()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ModelError("download", f"{urlsplit(url).netloc}: {_words(error)}") from error

    async def _follow(self, method: str, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        for _ in range(MOST_REDIRECTS + 1):
            response = await self._once(method, url, headers)
            if response.status not in _REDIRECTS:
                return response
            response.close()
            target = url.join(URL(response.headers.get("Location", ""), encoded=True))
            if url.scheme == "https" and target.scheme != "https":
                raise ModelError("download", f"{url.host} redirects to {target.scheme}://, which is not followed")
            if target.origin() != url.origin():
                headers.pop("Authorization", None)
            url = target
        raise ModelError("download", f"{url.host} redirects more than {MOST_REDIRECTS} times")

    async def _once(self, method: str, url: URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        host = url.host or ""
        if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
            raise ModelError("download", f"{url.scheme}://{host} is not asked, only https:// is")
        if url.user is not None:
            raise ModelError(
                "download", f"{host} redirects to an address with credentials in it, which is not followed"
            )
        self._guard.check_host(host)
        return await self._opened().request(
            method, url, headers=headers, ssl=self._trust, allow_redirects=False, proxy=_proxy(url)
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = GuardedResolver(self._guard, exempt=_proxy_hosts())
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=16, resolver=resolver),
                timeout=timeout,
                headers=_HEADERS,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """A short answer whole. Raises ModelError("size") where it is longer than `most` bytes."""
    found = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        found += chunk
        if len(found) > most:
            raise ModelError("size", f"{response.url.host} answered more than {most} bytes")
    return bytes(found)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by name or address: there alone plain http is spoken, as Docker has it."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_ok(response: aiohttp.ClientResponse) -> bool:
    """200 and nothing else."""
    return response.status == HTTPStatus.OK


def _proxy(url: URL) -> str | None:
    """The one that the environment names for this host, as for curl."""
    proxy = getproxies().get(url.scheme)
    return None if proxy is None or is_loopback(url.host or "") or proxy_bypass(url.host or "") else proxy


def _proxy_hosts() -> frozenset[str]:
    return frozenset(host for proxy in getproxies().values() if (host := urlsplit(proxy).hostname))


def _words(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ForbiddenAddressError):
            return str(cause)
        cause = cause.__cause__
    if isinstance(error, aiohttp.ClientSSLError):
        return f"its certificate is not trusted ({error}); add its authority to the file that SSL_CERT_FILE names"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"it cannot be reached: {error.os_error}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
