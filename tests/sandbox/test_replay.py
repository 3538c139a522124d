"""Trace time and wall time map to each other, every duration shrinks alike, and history is the live counter's past."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.replay import Counter, Dial, Replay, write_history
from sandbox.traffic import Trace

START = datetime.fromisoformat("1995-07-01T00:00:00-04:00")
WALL = datetime.fromisoformat("2026-03-02T09:30:00+00:00")
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def trace(counts: list[float]) -> Trace:
    return Trace(name="t", start=START, step=MINUTE, counts=np.array(counts, dtype=np.float64))


def replay(counts: list[float], *, at: timedelta, factor: float = 60.0) -> Replay:
    return Replay(trace=trace(counts), moment=START + at, wall=WALL, factor=factor)


durations = st.timedeltas(min_value=timedelta(days=-60), max_value=timedelta(days=60))
factors = st.floats(min_value=0.1, max_value=5000)


@given(offset=durations, factor=factors)
def test_the_two_clocks_are_inverse(offset: timedelta, factor: float) -> None:
    mapping = replay([1.0], at=timedelta(0), factor=factor)
    back = mapping.moment_at(mapping.wall_at(START + offset))
    assert abs(back - (START + offset)) <= max(1.0, factor) * timedelta(microseconds=1)


@given(first=durations, second=durations, factor=factors)
def test_a_span_on_the_wall_is_the_shrunken_span_of_the_trace(
    first: timedelta, second: timedelta, factor: float
) -> None:
    mapping = replay([1.0], at=timedelta(0), factor=factor)
    span = mapping.wall_at(START + second) - mapping.wall_at(START + first)
    assert abs(span - mapping.shrink(second - first)) <= timedelta(microseconds=2)


@pytest.mark.parametrize(
    ("duration", "shrunken"),
    [(MINUTE, SECOND), (timedelta(minutes=5), 5 * SECOND), (timedelta(days=1), timedelta(minutes=24))],
)
def test_sixtyfold_compression(duration: timedelta, shrunken: timedelta) -> None:
    assert replay([1.0], at=timedelta(0)).shrink(duration) == shrunken


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan")])
def test_time_cannot_stand_still_or_run_backwards(factor: float) -> None:
    with pytest.raises(ValueError, match="factor must be positive"):
        replay([1.0], at=timedelta(0), factor=factor)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-2, 0.0), (-1, 60.0), (0, 90.0), (0.5, 105.0), (1, 120.0), (2, None)]
)
def test_the_counter_follows_the_wall_clock(seconds: float, expected: float | None) -> None:
    assert replay([60, 30, 30], at=2 * MINUTE).total(WALL + seconds * SECOND) == expected


def test_weeks_are_moved_whole_and_leave_room_for_history() -> None:
    five_weeks = trace([1.0] * (5 * 7 * 24 * 60))
    mapping = Replay.on_this_weekday(five_weeks, WALL, history=timedelta(days=14))
    assert (WALL - mapping.moment) % timedelta(weeks=1) == timedelta(0)
    assert timedelta(days=14) <= mapping.moment - START < timedelta(days=21)


def samples(text: str) -> list[tuple[str, float, float]]:
    lines = [line.rsplit(" ", 2) for line in text.splitlines() if not line.startswith("#")]
    return [(series, float(value), float(time) - WALL.timestamp()) for series, value, time in lines]


def test_history_is_openmetrics_with_the_labels_of_the_scrape(tmp_path: Path) -> None:
    file = write_history(tmp_path / "h", {Counter(): replay([60.0], at=MINUTE)}, until=WALL, every=SECOND)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1]) == ("# TYPE http_requests counter", "# EOF")
    assert (
        lines[1]
        == f'http_requests_total{{app="web",job="traffic",instance="sandbox"}} 0.000000 {WALL.timestamp() - 1:.3f}'
    )


def test_history_ends_at_the_seam_where_the_counter_goes_on(tmp_path: Path) -> None:
    mapping = replay([60, 30, 30], at=2 * MINUTE)
    file = write_history(tmp_path / "h", {Counter(): mapping}, until=WALL, every=SECOND)
    _, value, time = samples(file.read_text(encoding="utf-8"))[-1]
    assert (value, time) == (mapping.total(WALL), 0.0)


def test_gaps_stay_gaps_in_history(tmp_path: Path) -> None:
    mapping = replay([60, np.nan, np.nan, 60], at=4 * MINUTE)
    file = write_history(tmp_path / "h", {Counter(): mapping}, until=WALL, every=SECOND)
    assert [time for _, _, time in samples(file.read_text(encoding="utf-8"))] == [-4, -3, -1, 0]


def test_history_can_begin_later_without_a_reset(tmp_path: Path) -> None:
    mapping = replay([60, 60, 60, 60], at=4 * MINUTE)
    file = write_history(tmp_path / "h", {Counter(): mapping}, since=WALL - 2 * SECOND, until=WALL, every=SECOND)
    assert [value for _, value, _ in samples(file.read_text(encoding="utf-8"))] == [120, 180, 240]


def test_counters_of_one_name_are_one_family(tmp_path: Path) -> None:
    mapping = replay([60.0], at=MINUTE)
    counters = [Counter(labels=(("app", app),)) for app in ("a", "b")]
    text = write_history(tmp_path / "h", dict.fromkeys(counters, mapping), until=WALL, every=SECOND).read_text("utf-8")
    assert text.count("# TYPE") == 1


@pytest.mark.parametrize(("seconds", "expected"), [(0, 0.0), (10, 50.0), (20, 100.0), (25, 200.0)])
def test_a_dial_counts_at_the_rate_it_was_turned_to(seconds: float, expected: float) -> None:
    dial = Dial(5.0, WALL)
    if seconds > 20:
        dial.turn(20.0, WALL + 20 * SECOND)
    assert dial.total(WALL + seconds * SECOND) == expected


@given(rates=st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 600)), max_size=8))
def test_a_dial_never_counts_backwards(rates: list[tuple[float, float]]) -> None:
    dial, now, totals = Dial(1.0, WALL), WALL, [0.0]
    for rate, pause in rates:
        now += pause * SECOND
        totals.append(dial.total(now))
        dial.turn(rate, now)
    assert totals == sorted(totals)
