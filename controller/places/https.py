"""How is a model read from a web server? Without credentials, and again only when it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

import aiohttp

from controller.places.cache import Part
from controller.places.place import HttpsPlace
from controller.places.web import CHUNK, Web, is_ok
from controller.ports import ModelError

_MODIFIED = "modified "
_CURES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "https:// is read without credentials; use s3:// or oci:// for files that need them",
    HTTPStatus.FORBIDDEN: "https:// is read without credentials; use s3:// or oci:// for files that need them",
    HTTPStatus.NOT_FOUND: "there is no such file; correct forecast.model, or put the file there",
    HTTPStatus.GONE: "there is no such file any more; correct forecast.model",
}


class Https:
    """A fetcher of HttpsPlace."""

    def __init__(self, web: Web) -> None:
        self._web = web

    async def fetch(self, place: HttpsPlace, known: str, part: Part) -> str | None:
        """Write the file into `part`; its validator. None where it is what `known` marks. Raises ModelError."""
        async with self._web.get(place.url, _conditions(known)) as response:
            if response.status == HTTPStatus.NOT_MODIFIED and known:
                return None
            if not is_ok(response):
                cure = _CURES.get(response.status, "tried again later")
                raise ModelError("download", f"the server answered {response.status}; {cure}")
            await receive(response, part)
            return _validator(response)


async def receive(response: aiohttp.ClientResponse, part: Part) -> None:
    """Write the body of an answer into `part`. Raises ModelError."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ModelError("download", f"{response.url.host} packs the file though it was asked not to")
    part.expect(response.content_length)
    async for chunk in response.content.iter_chunked(CHUNK):
        await asyncio.to_thread(part.write, chunk)


def _conditions(known: str) -> dict[str, str]:
    if not known:
        return {}
    if known.startswith(_MODIFIED):
        return {"If-Modified-Since": known.removeprefix(_MODIFIED)}
    return {"If-None-Match": known}


def _validator(response: aiohttp.ClientResponse) -> str:
    modified = response.headers.get("Last-Modified")
    return response.headers.get("ETag") or (f"{_MODIFIED}{modified}" if modified else "")
