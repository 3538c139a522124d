"""How is something answered over HTTP(S) on loopback? By a thread of this process, for as long as a `with` block lasts.

Must not know what is asked or answered.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

JSON = "application/json"
_LOOK_SECONDS = 0.05  # between looks whether to end; the library's own half a second holds up each end


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A GET, or a POST with its body. `path`: as it was sent, with its query."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back. `kind`: its content type."""

    body: bytes
    kind: str = JSON
    status: int = HTTPStatus.OK


class Serving:
    """An HTTP server on 127.0.0.1 in a thread of its own; `port` 0 takes a free one; `tls`: None is HTTP."""

    def __init__(
        self, answer: Callable[[Request], Answer], *, port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._server = _Server(answer, port, tls)
        serve = partial(self._server.serve_forever, _LOOK_SECONDS)
        self._thread = threading.Thread(target=serve, name="serving", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """At which it listens."""
        return self._server.server_port

    @property
    def address(self) -> str:
        """Where it listens: host:port."""
        return f"127.0.0.1:{self.port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[Request], Answer], port: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self._tls = tls

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """TLS begins when the request is read, by its own thread: who connects and says nothing holds up nobody."""
        connection, client = super().get_request()
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, client


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def handle(self) -> None:
        """One request, of whoever goes on after the handshake."""
        with contextlib.suppress(ssl.SSLError):
            super().handle()

    def do_GET(self) -> None:
        """Of any path."""
        self._answer(b"")

    def do_POST(self) -> None:
        """As GET, with a body."""
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        answer = self.server.answer(Request(path=self.path, headers=dict(self.headers), body=body))
        with contextlib.suppress(ConnectionError):  # who asked has gone, as Prometheus does after a scrape's timeout
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Requests are not worth a line each."""
