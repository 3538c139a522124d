"""What would a web server with files answer? Entity tags, redirects, refusals, and answers that break off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

Answer = Callable[[web.Request], web.StreamResponse]


@dataclass(slots=True, kw_only=True)
class FileServer:
    """`files`: by path. `tags`: by path, sent as ETag. `raw`: by path, an answer that takes precedence.

    `cut`: only so many bytes of a file are sent before the connection breaks. `hold`: answers wait for it.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    modified: dict[str, str] = field(default_factory=dict)
    raw: dict[str, Answer] = field(default_factory=dict)
    cut: int | None = None
    is_sized: bool = True
    hold: asyncio.Event | None = None
    asked: list[web.Request] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if self.hold:
            await self.hold.wait()
        answer = await self._answer(request)
        self.statuses.append(answer.status)
        return answer

    def put(self, path: str, data: bytes, tag: str = "") -> None:
        self.files[path] = data
        self.tags[path] = tag

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path in self.raw:
            return self.raw[path](request)
        if path not in self.files:
            return web.Response(status=404)
        headers = {"ETag": self.tags[path]} if self.tags.get(path) else {}
        if headers and request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304)
        if modified := self.modified.get(path):
            headers["Last-Modified"] = modified
            if request.headers.get("If-Modified-Since") == modified:
                return web.Response(status=304)
        return await self._send(request, self.files[path], headers)

    async def _send(self, request: web.Request, data: bytes, headers: dict[str, str]) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        if self.is_sized:
            response.content_length = len(data)
        await response.prepare(request)
        await response.write(data if self.cut is None else data[: self.cut])
        if self.cut is not None and request.transport is not None:
            request.transport.abort()
            return response
        await response.write_eof()
        return response


def redirect(location: str, status: int = 307) -> Answer:
    """An answer that leads elsewhere."""
    return lambda _: web.Response(status=status, headers={"Location": location})


def refusal(status: int) -> Answer:
    """An answer without a file."""
    return lambda _: web.Response(status=status)
