"""Where do the servers under test listen? On a free port of 127.0.0.1, for as long as a test runs."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(handler: Handler, trust: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The address of a server that has `handler` answer every request."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=trust)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"{'https' if trust else 'http'}://{host}:{port}"
    finally:
        await runner.cleanup()
