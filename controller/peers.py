"""Who can answer for a scaler that another replica serves? That replica, which is asked once, on the caller's behalf.

Must not change what it says.
"""

from __future__ import annotations

import json

import aiohttp
from aiohttp import web

from controller.election import Member
from controller.registry import Scaler
from controller.settings import bracketed
from controller.shards import Serving

HEADER = "Predictive-Scaler-Forwarded"
"""Names who passed a request on; such a request is not passed on again."""

SECONDS = 5.0
_MAX_PORT = 65535


class Peers:
    """Passes requests on. Close it when done."""

    def __init__(self, serving: Serving, *, me: Member) -> None:
        self._serving = serving
        self._me = me
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def is_here(self, scaler: Scaler) -> bool:
        """Whether this process is the one to answer."""
        return self._serving.term(scaler) is not None

    async def answer(self, request: web.Request, scaler: Scaler) -> web.Response:
        """What the replica that serves the scaler answers; 503 with the reason where none can be asked."""
        holder = self._serving.holder(scaler)
        if holder is None or holder.identity == self._me.identity or HEADER in request.headers:
            return _unavailable(f"no replica serves {scaler.key} at this moment; ask again in some seconds")
        if not _is_address(holder.address):
            return _unavailable(
                f"{holder.instance} serves {scaler.key}, and how to reach it is not known; set its PEER_ADDRESS"
            )
        try:
            return await self._asked(request, holder)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            words = str(error) or type(error).__name__
            return _unavailable(f"{holder.instance} serves {scaler.key} and does not answer: {words}")

    async def _asked(self, request: web.Request, holder: Member) -> web.Response:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS))
        url = f"http://{bracketed(holder.address)}{request.rel_url}"
        headers = {HEADER: self._me.instance, "Accept": "application/json"}
        async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)


def _is_address(text: str) -> bool:
    """HOST:PORT and nothing else: it was read from the cluster."""
    host, _, port = text.rpartition(":")
    plain = host.removeprefix("[").removesuffix("]")
    is_host = bool(plain) and all(letter.isascii() and (letter.isalnum() or letter in ".-:") for letter in plain)
    return is_host and port.isascii() and port.isdecimal() and 0 < int(port) <= _MAX_PORT


def _unavailable(words: str) -> web.Response:
    return web.Response(text=json.dumps({"error": words}), status=503, content_type="application/json")
