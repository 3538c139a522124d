"""Where do the servers under test listen? On a free port of 127.0.0.1 or ::1, for as long as a test runs."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from controller.settings import bracketed

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1: IPv6 is off")


@asynccontextmanager
async def serve(handler: Handler, trust: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """The address of a server that has `handler` answer every request."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0, ssl_context=trust)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"{'https' if trust else 'http'}://{bracketed(f'{host}:{port}')}"
    finally:
        await runner.cleanup()
