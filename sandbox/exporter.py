"""What does the workload's metrics page say right now? Serves counters to Prometheus on loopback.

    with Exporter({Counter(): replay}) as exporter:
        sandbox.prometheus(scrapes=[exporter.scrape(interval)])

A source with nothing to report is left out of the page, so that a gap in a trace is a gap in Prometheus.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from sandbox.prometheus import Scrape
from sandbox.replay import INSTANCE, JOB, Counter, Source
from sandbox.serving import Answer, Request, Serving

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exporter(Serving):
    """Every path is the metrics page. `port` 0 takes a free one."""

    def __init__(
        self, sources: Mapping[Counter, Source], *, port: int = 0, clock: Callable[[], datetime] | None = None
    ) -> None:
        super().__init__(self._answered, port=port)
        self.sources = sources
        self._clock = clock or wall_clock

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

    def _answered(self, _: Request) -> Answer:
        return Answer(body=self.page().encode(), kind=CONTENT_TYPE)


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
