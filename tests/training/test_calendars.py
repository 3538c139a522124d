"""Do events stay out of the fit, come into the forecast at the right moment, and say what is wrong with them?"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.core.series import Series
from controller.forecaster import FloatArray, Model, Session, load_model, local_seconds
from tests.training.small import DAY, END, FAMILIES, HOUR, WINDOW, trace
from training.__main__ import main
from training.calendars.applying import applied
from training.calendars.effects import effects, learned, without_events
from training.calendars.event import Calendar, CalendarError, Event, Impact, Span
from training.calendars.reading import Reach, read
from training.export import ExportError, draft
from training.families.family import LEVELS, Examples, Fitted
from training.generated import generate
from training.graph import Graph
from training.windows import Window, futures, histories, origins

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
BERLIN = ZoneInfo("Europe/Berlin")
REACH = Reach(zone=BERLIN, since=datetime(2024, 1, 1, tzinfo=UTC), until=datetime(2024, 4, 10, tzinfo=UTC))


def _event(*spans: tuple[datetime, timedelta], impact: Impact = "high", multiplier: float | None = 2.5) -> Event:
    placed = tuple(Span(start=start, end=start + length) for start, length in spans)
    return Event(name="sale", impact=impact, multiplier=multiplier, spans=placed)


def _calendar(*events: Event, until: datetime = END + 300 * DAY) -> Calendar:
    return Calendar(name="test.yaml", until=until, events=events)


def _yaml(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text("\n".join(["events:", "  - name: sale", *(f"    {line}" for line in lines)]))
    return path


# Reading


def test_both_formats_say_the_same() -> None:
    from_yaml, from_ics = (read(EXAMPLES / f"calendar.{suffix}", REACH) for suffix in ("yaml", "ics"))

    assert from_yaml.events == from_ics.events
    assert (from_yaml.left_out, from_ics.left_out) == (0, 1)  # lunch says nothing about load


def test_a_rule_keeps_its_wall_clock_and_its_exceptions() -> None:
    sale = read(EXAMPLES / "calendar.yaml", REACH).events[0]
    starts = [span.start for span in sale.spans]

    assert starts[0] == datetime(2024, 1, 5, 17, tzinfo=UTC)
    assert starts[-1] == datetime(2024, 4, 5, 16, tzinfo=UTC)  # summer time
    assert datetime(2024, 1, 19, 17, tzinfo=UTC) not in starts
    assert len(starts) == 13


def test_whole_days_are_those_of_the_load() -> None:
    holiday = read(EXAMPLES / "calendar.ics", REACH).events[-1]

    assert holiday.spans == (
        Span(start=datetime(2024, 3, 28, 23, tzinfo=UTC), end=datetime(2024, 4, 1, 22, tzinfo=UTC)),
    )


def test_a_moved_occurrence_happens_once(tmp_path: Path) -> None:
    text = (EXAMPLES / "calendar.ics").read_text()
    moved = (
        "BEGIN:VEVENT\nUID:sale@example.org\nRECURRENCE-ID;TZID=Europe/Berlin:20240112T180000\nCATEGORIES:high\n"
        "DTSTART;TZID=Europe/Berlin:20240113T180000\nDTEND;TZID=Europe/Berlin:20240113T200000\n"
        "X-PREDICTIVE-SCALER-MULTIPLIER:3\nSUMMARY:weekly sale\nEND:VEVENT\nEND:VCALENDAR"
    )
    path = tmp_path / "c.ics"
    path.write_text(text.replace("END:VCALENDAR", moved))
    events = read(path, REACH).events

    assert datetime(2024, 1, 12, 17, tzinfo=UTC) not in [span.start for span in events[0].spans]
    assert events[-1] == Event(
        name="weekly sale",
        impact="high",
        multiplier=3.0,
        spans=(Span(start=datetime(2024, 1, 13, 17, tzinfo=UTC), end=datetime(2024, 1, 13, 19, tzinfo=UTC)),),
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["end: 2024-01-02", "impact: high"], r"c\.yaml, event 1 \(sale\): start is missing"),
        (["start: 2024-01-02", "impact: high"], r"\(sale\): end or duration must be given"),
        (["start: soon", "end: 2024-01-02", "impact: high"], r"start 'soon' is not a time"),
        (["start: 2024-01-02", "duration: 4h", "impact: high"], r"duration needs a start with a time of day"),
        (["start: 2024-01-02T10:00", "duration: long", "impact: high"], r"duration: 'long' is not a duration"),
        (["start: 2024-01-02", "end: 2024-01-03"], r"impact is missing; choose from high, low, outage"),
        (["start: 2024-01-02", "end: 2024-01-03", "impact: huge"], r"event sale: impact: must be one of high.*'huge'"),
        (["start: 2024-01-02", "end: 2024-01-03", "multiplier: -1"], r"multiplier: must be from 0\.01 .*'-1'"),
        (["start: 2024-01-02", "end: 2024-01-03", "multiplier: lots"], r"multiplier: must be from 0\.01 .*'lots'"),
        (["start: 2024-01-02", "end: 2024-01-01", "impact: low"], r"event sale: DTEND: is not after DTSTART"),
        (["start: 2024-01-02", "end: 2024-01-03", "rule: FREQ=OFTEN", "impact: low"], r"rule is not an RRULE"),
        (["start: 2024-01-02", "end: 2024-01-03", "rule: FREQ=SECONDLY", "impact: low"], r"FREQ must be one of DAILY"),
        (["start: 2024-01-02", "end: 2024-01-03", "when: later", "impact: low"], r"when is not known; there are"),
        (["start: 2024-01-02", "end: 2024-01-03", "time_zone: Mars", "impact: low"], r"time_zone: 'Mars' is not"),
        (["start: 2024-01-02T10:00", "end: 2024-01-02T10:00Z", "impact: low", "except: x"], r"except must be a list"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(CalendarError, match=message):
        read(_yaml(tmp_path, *lines), REACH)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.yaml", "events: [", "is not YAML"),
        ("c.yaml", "- a", "write `events:`"),
        ("c.yaml", "events: []", "is empty"),
        ("c.yaml", "events: [5]", "event 1: entry must be a mapping"),
        ("c.ics", "hello", "is not an iCalendar file"),
        ("c.ics", "BEGIN:VCALENDAR\nEND:VCALENDAR", "holds no VEVENT"),
        ("c.ics", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:a\nCATEGORIES:high\nEND:VEVENT\nEND:VCALENDAR", "a: DTSTART"),
        ("c.ics", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:a\nDTSTART:2024\nEND:VEVENT\nEND:VCALENDAR", "a: DTSTART"),
        ("c.ics", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:a\nEND:VEVENT\nEND:VCALENDAR", "no event says"),
        ("c.txt", "", "must end in .ics"),
    ],
)
def test_what_is_no_calendar_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)

    with pytest.raises(CalendarError, match=message):
        read(path, REACH)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalendarError, match=r"absent\.ics cannot be read: No such file"):
        read(tmp_path / "absent.ics", REACH)


def test_a_reach_that_ends_before_the_data_is_refused() -> None:
    with pytest.raises(CalendarError, match="before the data begins"):
        read(EXAMPLES / "calendar.ics", replace(REACH, until=REACH.since))


# Effects


def test_a_step_takes_its_share_and_events_that_overlap_multiply() -> None:
    start = END - DAY
    calendar = _calendar(
        _event((start + 1.5 * HOUR, HOUR)),
        _event((start + 2 * HOUR, HOUR), impact="low", multiplier=0.5),
        _event((start + 4 * HOUR, HOUR), impact="outage", multiplier=None),
    )
    found = effects(calendar, start, HOUR, 6)

    np.testing.assert_allclose(found.multiplier, [1, 1.75, 1.75 * 0.5, 1, 1, 1])
    np.testing.assert_array_equal(found.is_event, [False, True, True, False, True, False])
    np.testing.assert_array_equal(found.is_outage, [False, False, False, False, True, False])


def test_events_become_gaps_and_nothing_else_does() -> None:
    start = trace().end - 5 * DAY
    found = without_events(trace(), _calendar(_event((start, 3 * HOUR)))).values
    place = len(trace()) - 5 * 24

    assert np.isnan(found[place : place + 3]).all()
    np.testing.assert_array_equal(
        np.delete(found, np.s_[place : place + 3]), np.delete(trace().values, np.s_[place : place + 3])
    )


def _with_sales(series: Series, calendar: Calendar) -> Series:
    found = effects(calendar, series.start, series.step, len(series))
    return Series(end=series.end, step=series.step, values=series.values * found.multiplier)


def _weekly(multiplier: float | None, impact: Impact = "high") -> Calendar:
    first = datetime(2024, 1, 5, 18, tzinfo=UTC)
    spans = [(first + week * 7 * DAY, 4 * HOUR) for week in range(60)]
    return _calendar(_event(*spans, impact=impact, multiplier=multiplier))


def test_a_multiplier_is_learned_from_the_past() -> None:
    """From eight weeks with chance arrivals and slow wandering by a tenth; the load around says how busy the day is."""
    first = END - 52 * DAY + 18 * HOUR  # Fridays
    spans = [(first + week * 7 * DAY, 4 * HOUR) for week in range(8)]
    series = generate(2, step=HOUR, season=DAY, seasons=56)
    series = _with_sales(series, _calendar(_event(*spans)))
    found = learned(_calendar(_event(*spans, multiplier=None)), series, WINDOW).events[0].multiplier

    assert found == pytest.approx(2.5, rel=0.1)


@pytest.mark.parametrize(
    ("calendar", "message"),
    [
        (_calendar(_event((END + DAY, HOUR), multiplier=None)), "'sale' has no multiplier, and nothing recorded"),
        (_weekly(None, "low"), r"'sale' is said to be low, but 4 occurrences show x2\.\d\d"),
    ],
)
def test_what_the_past_does_not_show_is_asked_for(calendar: Calendar, message: str) -> None:
    with pytest.raises(CalendarError, match=message):
        learned(calendar, _with_sales(trace(), _weekly(2.5)), WINDOW)


# In the model file

_ECHO = Window(step=HOUR, season=DAY, context=24, horizon=24)


def _echo() -> Fitted:
    """Forecasts the history that it sees, missing as -1."""
    graph = Graph(context=24)
    shown = graph.add("Where", graph.add("IsNaN", graph.history), graph.constant(-1.0), graph.history)
    nothing = np.empty((0, 24), np.float32)
    examples = Examples(history=nothing, origin=np.empty(0, np.int64), quantiles=nothing[..., None])
    return Fitted(
        family="echo", graph=graph, quantiles=graph.add("Unsqueeze", shown, graph.integers([-1])), examples=examples
    )


def _answers(calendar: Calendar, series: Series, zone: tzinfo, history: FloatArray, ends: list[datetime]) -> FloatArray:
    around = applied(_echo(), calendar, series, _ECHO, zone)
    session = Session(around.graph.to_bytes(around.quantiles, "quantiles", ["batch", 24, 1], {}))
    return session.run(history, np.array([local_seconds(end, zone) for end in ends], np.int64))[..., 0]


def _expected(event: Event, end: datetime) -> NDArray[np.float64]:
    """Step by step: -1 for what is forgotten, 1 / multiplier while it goes on, times the multiplier to come."""

    def touches(begin: datetime) -> bool:
        return any(span.start < begin + HOUR and span.end > begin for span in event.spans)

    seen = np.ones(24)
    is_on = event.impact != "outage" and touches(end)
    for back in range(1, 25):
        is_event = touches(end - back * HOUR)
        is_on = is_on and is_event
        seen[-back] = 1 / event.factor if is_on else -1 if is_event else 1
    return seen * [event.factor if touches(end + ahead * HOUR) else 1 for ahead in range(24)]


@pytest.mark.parametrize("zone", [BERLIN, UTC, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")], ids=str)
@pytest.mark.parametrize("impact", ["high", "outage"])
def test_the_file_looks_up_the_right_moments(zone: tzinfo, impact: Impact) -> None:
    """Also in the nights in which Berlin's and New York's clocks are changed, and beyond both ends of the table."""
    series = Series(end=datetime(2024, 3, 20, tzinfo=UTC), step=HOUR, values=np.ones(24 * 40))
    nights = [
        datetime(2024, 3, 10, 5, tzinfo=UTC),
        datetime(2024, 3, 30, 23, tzinfo=UTC),
        datetime(2024, 10, 27, tzinfo=UTC),
    ]
    edges = [series.start, datetime(2024, 12, 1, tzinfo=UTC)]
    event = _event(*((night, 3 * HOUR) for night in [*nights, *edges]), impact=impact)
    calendar = _calendar(event, until=edges[-1] + 3 * HOUR)
    ends = [night + hour * HOUR for night in [*nights, *edges] for hour in range(-30, 31)]
    twice = {local_seconds(end, zone) for end in ends if local_seconds(end - HOUR, zone) == local_seconds(end, zone)}
    ends = [
        end for end in ends if local_seconds(end, zone) not in twice
    ]  # an hour that comes twice cannot be told apart
    found = _answers(calendar, series, zone, np.ones((len(ends), 24), np.float32), ends)

    np.testing.assert_allclose(found, [_expected(event, end) for end in ends], rtol=1e-6)


def test_long_before_and_after_the_calendar_nothing_happens() -> None:
    calendar = _calendar(_event((END - DAY, 2 * DAY)), until=END + DAY)
    ends = [datetime(1971, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)]

    assert (_answers(calendar, trace(), UTC, np.ones((2, 24), np.float32), ends) == 1).all()


def test_a_history_of_nothing_but_an_outage_is_used_as_it_is() -> None:
    calendar = _calendar(_event((END - 3 * DAY, 3 * DAY), impact="outage", multiplier=None))

    assert (_answers(calendar, trace(), UTC, np.full((1, 24), 7, np.float32), [END]) == 7).all()


def test_no_history_stays_no_history() -> None:
    calendar = _calendar(_event((END - DAY, HOUR)))

    assert (_answers(calendar, trace(), UTC, np.full((1, 24), np.nan, np.float32), [END]) == -1).all()


def _rmse(model: Model, series: Series, span: Span) -> float:
    """Of the median at every step of the horizon that lies within the span."""
    came = futures(series, WINDOW)
    ends = np.arange(len(series))[:, None] + 1 + np.arange(WINDOW.horizon)
    first, last = (span.start - series.start) // HOUR, (span.end - series.start) // HOUR
    is_asked = (ends >= first) & (ends < last)
    rows = np.flatnonzero(is_asked.any(axis=1))
    found = model.predict(histories(series, WINDOW)[rows], origins(series, UTC)[rows])[..., LEVELS.index(0.5)]
    return float(np.sqrt(np.square(found - came[rows])[is_asked[rows]].mean()))


@pytest.mark.parametrize(
    ("family", "share"),
    [pytest.param("lightgbm", 0.5, marks=pytest.mark.slow), ("persistence", 0.6), ("seasonal-naive", 0.5)],
)
def test_the_next_sale_is_forecast(family: str, share: float) -> None:
    """The fifth of them, which come on different weekdays, and an outage of eight hours two days before it."""
    first = datetime(2024, 1, 1, 18, tzinfo=UTC)
    sales = _event(*((first + day * DAY, 4 * HOUR) for day in (4, 9, 15, 20, 25)))
    outage = _event((datetime(2024, 1, 24, 9, tzinfo=UTC), 8 * HOUR), impact="outage", multiplier=None)
    calendar = _calendar(sales, outage)
    series = _with_sales(trace(), calendar)
    is_broken = effects(calendar, series.start, HOUR, len(series)).is_outage
    series = Series(end=series.end, step=HOUR, values=np.where(is_broken, 0.0, series.values))
    past = series.until(datetime(2024, 1, 25, tzinfo=UTC))
    quiet = without_events(past, calendar)
    plain = draft(FAMILIES[family].fit(past, WINDOW, UTC), past, WINDOW, name="plain", unit="load")
    around = applied(FAMILIES[family].fit(quiet, WINDOW, UTC), calendar, past, WINDOW, UTC)
    knowing = draft(around, quiet, WINDOW, name="knowing", unit="load")
    sale = sales.spans[-1]

    assert _rmse(knowing, series, sale) < share * _rmse(plain, series, sale)
    assert knowing.card.calendar == {
        "name": "test.yaml",
        "events": 6,
        "until": calendar.until.isoformat(),
        "multipliers": {"sale": 2.5},
    }


@pytest.mark.slow
def test_a_wrong_table_would_not_be_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples are made without it."""
    calendar = _weekly(2.5)
    quiet = without_events(trace(), calendar)
    fitted = FAMILIES["seasonal-naive"].fit(quiet, WINDOW, UTC)
    monkeypatch.setattr("training.calendars.applying._DAY", 2 * DAY)  # unused where no clock is changed
    draft(applied(fitted, calendar, trace(), WINDOW, UTC), quiet, WINDOW, name="right", unit="load")
    monkeypatch.setattr(
        "training.calendars.applying.effects",
        lambda calendar, start, step, count: effects(calendar, start + HOUR, step, count),
    )

    with pytest.raises(ExportError, match="differs from the fitted model"):
        draft(applied(fitted, calendar, trace(), WINDOW, UTC), quiet, WINDOW, name="wrong", unit="load")


def test_too_long_a_table_is_refused() -> None:
    with pytest.raises(CalendarError, match=r"steps until .* are too many for a model file"):
        applied(_echo(), _calendar(until=END + timedelta(days=400_000)), trace(), _ECHO, UTC)


@pytest.mark.slow
def test_many_odd_multipliers_are_told_apart() -> None:
    """More than a byte can hold, with shares of steps: what the table holds is what the examples say."""
    random = np.random.default_rng(1)
    starts = [END + (place + 0.37) * HOUR for place in range(-60, 340)]
    events = [_event((start, 0.41 * HOUR), multiplier=float(random.uniform(1, 3))) for start in starts]
    calendar = _calendar(*events)
    quiet = without_events(trace(), calendar)
    fitted = FAMILIES["seasonal-naive"].fit(quiet, WINDOW, UTC)
    found = draft(applied(fitted, calendar, trace(), WINDOW, UTC), quiet, WINDOW, name="many", unit="load")

    assert found.card.calendar["events"] == 400


@pytest.mark.parametrize("seed", range(5))
def test_any_calendar_is_what_its_examples_say(seed: int) -> None:
    """Events of any kind that overlap, begin within a step and go on beyond the end of the training."""
    random = np.random.default_rng(seed)
    events = []
    for impact in random.choice(["high", "low", "outage"], 6):
        multiplier = None if impact == "outage" else float(random.uniform(0.1, 6))
        placed = [
            (
                END + timedelta(hours=int(random.integers(-500, 100)), minutes=7),
                timedelta(seconds=int(random.integers(60, 40 * 3600))),
            )
            for _ in range(3)
        ]
        events.append(_event(*placed, impact=impact, multiplier=multiplier))
    calendar = _calendar(*events)
    quiet = without_events(trace(), calendar)
    fitted = FAMILIES["seasonal-naive"].fit(quiet, WINDOW, BERLIN)

    draft(applied(fitted, calendar, trace(), WINDOW, BERLIN), quiet, WINDOW, name="any", unit="load")


# On the command line


def _recorded(tmp_path: Path) -> Path:
    """Four weeks, hourly, with a sale each Friday that a file knows and one outage, as a CSV file."""
    outage = _event((datetime(2024, 1, 17, 2, tzinfo=UTC), 8 * HOUR), impact="outage", multiplier=None)
    calendar = _calendar(*_weekly(2.5).events, outage)
    series = _with_sales(trace(), calendar)
    is_broken = effects(calendar, series.start, HOUR, len(series)).is_outage
    rows = (
        f"{(series.start + place * HOUR).isoformat()},{0 if is_broken[place] else value:g}"
        for place, value in enumerate(series.values)
    )
    path = tmp_path / "load.csv"
    path.write_text("\n".join(["timestamp,requests", *rows]))
    return path


_FIT = [
    *["--step", "1h", "--season", "1d", "--horizon", "6h", "--family", "seasonal-naive"],
    "--allow-worse-than-naive",
]


def _fit(monkeypatch: pytest.MonkeyPatch, data: Path, *more: str) -> int:
    monkeypatch.setattr("sys.argv", ["predictive-scaler-train", "fit", "--data", str(data), *_FIT, *more])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_fit_takes_a_calendar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, planned = _recorded(tmp_path), tmp_path / "events.yaml"
    planned.write_text(
        "events:\n"
        "  - {name: sale, start: 2024-01-05T18:00, duration: 4h, rule: FREQ=WEEKLY, impact: high, multiplier: 2.5}\n"
        "  - {name: move, start: 2024-01-17T02:00, end: 2024-01-17T10:00, impact: outage}\n"
    )
    scores = {}
    for name, more in (("plain", []), ("knowing", ["--calendar", str(planned), "--calendar-until", "2024-03-01"])):
        out = tmp_path / f"{name}.onnx"
        assert _fit(monkeypatch, data, "--clean", "zscore", "--out", str(out), *more) == 0
        scores[name] = load_model(out).card
    told = capsys.readouterr().out

    assert scores["plain"].calendar == {}
    assert scores["knowing"].calendar == {
        "name": "events.yaml",
        "events": 9,
        "until": "2024-03-01T00:00:00+00:00",
        "multipliers": {"sale": 2.5},
    }
    assert scores["knowing"].scores["6"]["rmse"] < 0.75 * scores["plain"].scores["6"]["rmse"]
    assert "2024-01-17 02:00 to 2024-01-17 10:00 UTC: planned: move" in told


def test_a_wrong_calendar_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = _yaml(tmp_path, "start: soon", "end: 2024-01-02", "impact: high")
    out = tmp_path / "m.onnx"

    assert _fit(monkeypatch, _recorded(tmp_path), "--calendar", str(planned), "--out", str(out)) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert "event 1 (sale): start 'soon' is not a time" in shown.replace("\n", " ")
    assert not out.exists()
