"""How does a request reach moto? Through the faults, one at a time; `/sandbox/...` sets and tells what the tests need.

GET/POST /sandbox/settings   the settings; JSON of those to change
GET      /sandbox/calls      the calls so far
POST     /sandbox/faults     JSON list of faults, in place of those before
POST     /sandbox/authorization   true: check signatures and IAM policies
POST     /sandbox/reset      everything as at the start: moto's resources, settings, calls, faults
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from moto import settings as moto_settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

from sandbox.aws import autoscaling, cloudwatch
from sandbox.aws.faults import Book, Call, Fault, call_of, told
from sandbox.aws.settings import SETTINGS, SettingError

CONTROL = "/sandbox/"
Environ = dict[str, Any]
Start = Callable[..., Any]


def serve(port: int) -> None:
    """Serve on 127.0.0.1 until the process ends."""
    cloudwatch.install()
    autoscaling.install()
    run_simple("127.0.0.1", port, Endpoint(), threaded=True, request_handler=MotoRequestHandler)


class Endpoint:
    """The WSGI application."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()  # moto's backends are not made for threads
        self._book = Book()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path.startswith(CONTROL):
            return self._control(path.removeprefix(CONTROL), environ, start)
        call = call_of(environ, _body(environ, path), SETTINGS.clock().timestamp())
        fault = self._book.enter(call)
        if fault is not None:
            return _fail(fault, call, environ, start)
        with self._lock:
            return list(self._moto(environ, start))

    def _control(self, what: str, environ: Environ, start: Start) -> Iterable[bytes]:
        given = json.loads(_read(environ) or b"null")
        try:
            with self._lock:
                said = self._done(what, given)
        except (SettingError, TypeError, KeyError) as error:
            return _answer(start, HTTPStatus.BAD_REQUEST, "text/plain", str(error).encode())
        return _answer(start, HTTPStatus.OK, "application/json", json.dumps(said, default=str).encode())

    def _done(self, what: str, given: Any) -> Any:  # noqa: ANN401 - JSON
        match what:
            case "settings":
                SETTINGS.change(given or {})
                return {**asdict(SETTINGS), "clock": SETTINGS.clock().isoformat()}
            case "calls":
                return self._book.as_json()
            case "faults":
                self._book.fail([Fault(**one) for one in given])
                return given
            case "authorization":
                _authorize(is_on=bool(given))
                return given
            case "reset":
                _authorize(is_on=False)
                moto_api_backend.reset()
                SETTINGS.reset()
                self._book.reset()
                return None
            case _:
                raise KeyError(f"there is no {CONTROL}{what}")


def _authorize(*, is_on: bool) -> None:
    moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = 0 if is_on else math.inf
    ActionAuthenticatorMixin.request_count = 0


def _body(environ: Environ, path: str) -> bytes:
    """The body of a call of the JSON and query protocols, which go to "/"; S3's may be large and is left unread."""
    if path != "/" or environ["REQUEST_METHOD"] != "POST":
        return b""
    body = _read(environ)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _read(environ: Environ) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return body


def _fail(fault: Fault, call: Call, environ: Environ, start: Start) -> Iterable[bytes]:
    if fault.kind == "error":
        kind, body = told(fault, call, is_json="HTTP_X_AMZ_TARGET" in environ)
        return _answer(start, fault.http_status, kind, b"" if environ["REQUEST_METHOD"] == "HEAD" else body)
    if fault.kind == "hang":
        time.sleep(fault.seconds)
    with contextlib.suppress(OSError):  # the client may have given up
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return _answer(start, HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"")


def _answer(start: Start, status: int, kind: str, body: bytes) -> Iterable[bytes]:
    start(f"{int(status)} {HTTPStatus(status).phrase}", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
