"""Is the page whole, safe to open and true to the backtest?"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.training.small import DAY, WINDOW, model, trace
from training.datasets import Dataset
from training.export import ExportError
from training.findings import Findings, autocorrelation, examine
from training.job import Job
from training.report import ahead, page, write_page

pytestmark = pytest.mark.slow

_EVENT = (trace().start, trace().start + DAY, "a <script>festival</script>")


@pytest.fixture(scope="module")
def findings() -> Findings:
    dataset = Dataset(series=trace(), zone=UTC, about="a trace of <b>ours</b>")
    job = Job.of(dataset, WINDOW, trace().end - 8 * DAY)
    judged = model("lightgbm")
    return examine(
        job.judge(judged), judged, dataset, open_loop=job.let_go(judged, timedelta(days=2)), excluded=[_EVENT]
    )


@pytest.fixture(scope="module")
def html(findings: Findings) -> str:
    return page(findings)


class _Parsed(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "br", "path", "use", "rect"}:
            self.open.append(tag)
        self.outside += [
            value for name, value in attrs if name in {"src", "href"} and value and not value.startswith("#")
        ]

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"h1", "h2"}:
            self.headings.append(data)


def test_it_has_a_section_for_everything(html: str) -> None:
    assert _Parsed(html).headings == [
        "lightgbm",
        "In words",
        "Errors beside the naive forecasts",
        "The forecast on the worst, the median and the best day",
        "Error by how far ahead",
        "Do the levels hold?",
        "Error by hour of the day",
        "Error by day of the week",
        "What the model looks at",
        "Is something left in the errors?",
        "Levels, point by point",
        "2 days in one go",
        "The data",
    ]


def test_it_is_one_file_that_loads_nothing(html: str) -> None:
    assert _Parsed(html).outside == []
    assert not re.search(r"<script|@import|url\((?!#)", html)
    assert len(html) < 3_000_000


def test_its_pictures_follow_light_and_dark(html: str) -> None:
    assert html.count("<svg") == 8
    assert "currentColor" in html
    assert "#010203" not in html
    assert "prefers-color-scheme: dark" in html


def test_what_others_wrote_is_escaped(html: str) -> None:
    assert "a trace of &lt;b&gt;ours&lt;/b&gt;" in html
    assert "a &lt;script&gt;festival&lt;/script&gt;" in html


def test_a_name_that_is_markup_stays_text(findings: Findings) -> None:
    named = page(replace(findings, card=replace(findings.card, name="<img src=x>")))

    assert "<img" not in named


def test_the_words_give_the_figures_of_the_scores(findings: Findings, html: str) -> None:
    at = findings.report.model.at(1)

    assert f"1 hour ahead it is off by {at['mae']:.3g} on average (RMSE {at['rmse']:.3g}" in html
    assert f"it saves {findings.report.skill:.0%} of the pinball loss of {findings.report.best_baseline}" in html


def test_no_figure_is_without_its_baselines(findings: Findings, html: str) -> None:
    rows = len(findings.report.steps())

    assert html.count('<td class="left">persistence</td>') == html.count('<td class="left">seasonal-naive</td>') == rows


def test_it_appears_whole_or_not_at_all(findings: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report.html"
    out.write_text("before")

    def broken(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(ExportError, match="No space left"):
        write_page(out, findings)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("report.html", "before")]


def test_the_findings_are_plain_json(findings: Findings) -> None:
    found = json.loads(json.dumps(findings.to_dict(), allow_nan=False))

    assert found["horizons"] == findings.report.to_dict()
    assert len(found["mae_by_hour"]["lightgbm"]) == 24
    assert found["excluded"] == [[_EVENT[0].isoformat(), _EVENT[1].isoformat(), _EVENT[2]]]


def test_days_are_ranked_by_their_loss(findings: Findings) -> None:
    losses = [day.loss for day in findings.days]

    assert losses == sorted(losses, reverse=True)
    assert len(findings.days) == 8


def test_errors_by_hour_are_those_of_the_hour(findings: Findings) -> None:
    came = findings.report.answers.came[:, 0]
    said = findings.report.answers.said[""][:, 0, 3]
    at_noon = np.arange(len(came)) % 24 == 12  # the first value of the test covers midnight to one

    expected = np.nanmean(np.abs(came - said)[at_noon])
    assert findings.hours["lightgbm"][12] == pytest.approx(expected, rel=1e-5)


def test_persistence_looks_at_the_last_step_only() -> None:
    dataset = Dataset(series=trace(), zone=UTC, about="")
    judged = model("persistence")
    found = examine(Job.of(dataset, WINDOW, trace().end - 8 * DAY).judge(judged), judged, dataset).importance

    assert next(iter(found)) == "the last step"
    assert found["the last step"] > 0.5
    assert found["the clock"] == 0


def test_a_repeating_error_is_found_in_its_autocorrelation() -> None:
    errors = np.tile([3.0, 0, -3, 0], 200)
    errors[::37] = np.nan
    found = autocorrelation(errors, 8)

    assert found[0] == pytest.approx(1)
    assert found[4] > 0.9
    assert found[2] < -0.9


@pytest.mark.parametrize("errors", [np.full(10, np.nan), np.zeros(10)])
def test_nothing_to_correlate_is_zero(errors: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    assert not autocorrelation(errors, 3).any()


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(seconds=15), "15 seconds"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(hours=6), "6 hours"),
        (timedelta(days=9), "9 days"),
    ],
)
def test_times_in_words(time: timedelta, words: str) -> None:
    assert ahead(time) == words
