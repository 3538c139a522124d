"""What of the API server reaches a replica? All, or all but Leases: a relay between them, on loopback."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import urllib.parse
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

PIECE = 65_536
_ASKED = ("Accept", "Authorization", "Content-Type", "User-Agent")
_NO_LEASES = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no Leases for now", "code": 503}


class Relay:
    """Passes on what is asked under `/NAME/`, watches as well, which end with it.

    `url`, `trust`: the API server's, and whom to trust for it. `without_leases`: the name of whoever is told that
    Leases can be neither read nor written for now.
    """

    def __init__(self, url: str, trust: ssl.SSLContext) -> None:
        self.without_leases = ""
        self._to = urllib.parse.urlsplit(url).netloc
        self._trust = trust
        self._open: set[socket.socket] = set()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        for watch in list(self._open):
            with contextlib.suppress(OSError):  # it has ended by itself
                socket.socket.shutdown(watch, socket.SHUT_RDWR)  # below TLS, whose own goodbye would be waited for
        self._server.server_close()  # joins the threads of all requests

    @property
    def address(self) -> str:
        """What a kubeconfig takes for its server, but for the name."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """One request, for as long as its answer goes on."""
        name, _, path = request.path.removeprefix("/").partition("/")
        if name == self.without_leases and "/leases" in path:
            _send(request, HTTPStatus.SERVICE_UNAVAILABLE, "application/json")
            request.wfile.write(json.dumps(_NO_LEASES).encode())
            return
        connection = HTTPSConnection(self._to, context=self._trust)
        with contextlib.closing(connection), contextlib.suppress(OSError, HTTPException):  # one of both has gone
            connection.connect()
            self._open.add(opened := connection.sock)
            try:
                _pass_on(request, connection, f"/{path}")
            finally:
                self._open.discard(opened)


def _pass_on(request: BaseHTTPRequestHandler, connection: HTTPSConnection, path: str) -> None:
    headers = {name: request.headers[name] for name in _ASKED if name in request.headers}
    body = request.rfile.read(int(request.headers.get("Content-Length", 0))) or None
    connection.request(request.command, path, body, headers)
    with connection.getresponse() as answer:
        _send(request, answer.status, answer.headers.get("Content-Type", "application/json"))
        _stream(answer, request)


def _send(request: BaseHTTPRequestHandler, status: int, kind: str) -> None:
    """The head; the end of the connection, as HTTP/1.0 has it, is the end of the body."""
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.end_headers()


def _stream(answer: HTTPResponse, request: BaseHTTPRequestHandler) -> None:
    while part := answer.read1(PIECE):
        request.wfile.write(part)


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, relay: Relay) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.relay = relay


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Of any path."""
        self.server.relay.answer(self)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names that the base class looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Requests are not worth a line each."""
