"""What does the workload's metrics page say right now? Serves counters to Prometheus on loopback.

    with Exporter({Counter(): replay}) as exporter:
        sandbox.prometheus(scrapes=[exporter.scrape(interval)])

A source with nothing to report is left out of the page, so that a gap in a trace is a gap in Prometheus.
"""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from sandbox.prometheus import Scrape
from sandbox.replay import INSTANCE, JOB, Counter, Source

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exporter:
    """An HTTP server on 127.0.0.1 in a thread of its own; `port` 0 takes a free one."""

    def __init__(
        self, sources: Mapping[Counter, Source], *, port: int = 0, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.sources = sources
        self._clock = clock or wall_clock
        self._server = _Server(self.page, port)
        self._thread = threading.Thread(target=self._server.serve_forever, name="exporter", daemon=True)

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
    def address(self) -> str:
        """Where it listens: host:port."""
        return f"127.0.0.1:{self._server.server_port}"

    def scrape(self, interval: timedelta) -> Scrape:
        """How Prometheus has to scrape it so that live series continue those of `replay.write_history`."""
        return Scrape(job=JOB, address=self.address, interval=interval, labels={"instance": INSTANCE})

    def page(self) -> str:
        """The metrics page at this moment."""
        now = self._clock()
        totals = [(counter, source.total(now)) for counter, source in self.sources.items()]
        families = dict.fromkeys(counter.name for counter in self.sources)
        lines = [line for family in families for line in _family(family, totals)]
        return "".join(f"{line}\n" for line in lines)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, page: Callable[[], str], port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.page = page


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Every path is the metrics page."""
        body = self.server.page().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Scrapes are not worth a line each."""


def wall_clock() -> datetime:
    """The time at which Prometheus scrapes."""
    return datetime.now(UTC)  # noqa: TID251 - a live exporter follows the real clock


def _family(name: str, totals: list[tuple[Counter, float | None]]) -> list[str]:
    samples = [counter.line(total) for counter, total in totals if counter.name == name and total is not None]
    return [f"# TYPE {name} counter", *samples]


def address_answers(address: str) -> bool:
    """Whether something serves HTTP on `address` (host:port)."""
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=1):
            return True
    except OSError:
        return False
