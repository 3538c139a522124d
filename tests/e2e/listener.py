"""Who asks Prometheus what? A listener between the controller and a real Prometheus."""

from __future__ import annotations

import threading
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from sandbox.prometheus import Prometheus


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question that a client put to Prometheus. `time`: the moment that it asks about, for instant queries."""

    path: str
    query: str
    time: float | None


class Listener:
    """Passes queries on to a Prometheus and remembers them. `token`: refuse whoever does not bear it."""

    def __init__(self, prometheus: Prometheus, *, token: str | None = None) -> None:
        self.asked: list[Asked] = []
        self._server = _ListenerServer(self.asked, prometheus.url, token)
        self._thread = threading.Thread(target=self._server.serve_forever, name="listener", daemon=True)

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
    def url(self) -> str:
        """What a PredictiveScaler takes for its Prometheus."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def instants(self, query: str) -> list[Asked]:
        """The instant queries so far that asked this."""
        return [one for one in self.asked if one.query == query and one.time is not None]


class _ListenerServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, asked: list[Asked], prometheus: str, token: str | None) -> None:
        super().__init__(("127.0.0.1", 0), _ListenerHandler)
        self.asked = asked
        self.prometheus = prometheus
        self.authorization = token and f"Bearer {token}"


class _ListenerHandler(BaseHTTPRequestHandler):
    server: _ListenerServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = dict(urllib.parse.parse_qsl(body.decode()))
        time_ = float(form["time"]) if "time" in form else None
        self.server.asked.append(Asked(path=self.path, query=form["query"], time=time_))
        if self.server.authorization not in {None, self.headers["Authorization"]}:
            self._answer(401, b"Unauthorized")
            return
        request = urllib.request.Request(self.server.prometheus + self.path, data=body, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            self._answer(answer.status, answer.read())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """The questions are remembered, not printed."""
