"""The metrics page shows each counter at this moment, and leaves out what has nothing to report."""

from __future__ import annotations

import urllib.request
from datetime import UTC, datetime, timedelta

from sandbox.exporter import Exporter, address_answers
from sandbox.processes import free_port
from sandbox.replay import Counter, Dial

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
WEB, API = Counter(), Counter(labels=(("app", "api"),))


class Silent:
    def total(self, now: datetime) -> float | None:
        return None


def page(exporter: Exporter) -> str:
    with urllib.request.urlopen(f"http://{exporter.address}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_the_page_follows_the_clock() -> None:
    with Exporter({WEB: Dial(2.0, NOW)}, clock=lambda: NOW + timedelta(seconds=10)) as exporter:
        assert page(exporter) == '# TYPE http_requests_total counter\nhttp_requests_total{app="web"} 20.000000\n'


def test_a_source_without_a_value_is_left_out() -> None:
    with Exporter({WEB: Silent(), API: Dial(1.0, NOW)}, clock=lambda: NOW) as exporter:
        assert page(exporter) == '# TYPE http_requests_total counter\nhttp_requests_total{app="api"} 0.000000\n'


def test_the_scrape_sets_the_labels_of_the_history() -> None:
    with Exporter({}) as exporter:
        scrape = exporter.scrape(timedelta(seconds=1))
    assert (scrape.job, scrape.labels, scrape.address) == ("traffic", {"instance": "sandbox"}, exporter.address)


def test_it_listens_on_loopback_while_it_is_open() -> None:
    with Exporter({}) as exporter:
        assert address_answers(exporter.address)
    assert not address_answers(exporter.address)


def test_nothing_answers_on_a_free_port() -> None:
    assert not address_answers(f"127.0.0.1:{free_port()}")
