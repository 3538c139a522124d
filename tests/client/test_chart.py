"""Is what is drawn where it belongs, in as many columns as there are, whatever the loads are?"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.chart import DRAWN, LOWEST, NARROWEST, PLAIN, Signs, drawn, scale, time_ticks, unbroken
from client.outlook import Demand, Outlook, Point, Size
from tests.builders import NOW, seconds

MINUTE = timedelta(minutes=1)
ANSI = re.compile(r"\x1b\[[0-9;]*m")

MORNING = Outlook(
    namespace="shop",
    name="web",
    time=NOW,
    is_recorded=True,
    each=10.0,
    current=8,
    ready=7,
    desired=10,
    decided=NOW,
    seen=tuple((NOW - (60 - minute) * MINUTE, 30.0 + minute / 2) for minute in range(61) if not 20 < minute < 30),
    sizes=(
        Size(time=NOW - 60 * MINUTE, replicas=6, load=60.0),
        Size(time=NOW - 25 * MINUTE, replicas=8, load=80.0),
        Size(time=NOW, replicas=8, load=80.0),
    ),
    level=0.9,
    origin=NOW,
    points=tuple(
        Point(time=NOW + step * 10 * MINUTE, median=60.0 + 3 * step, upper=75.0 + 4 * step) for step in range(10)
    ),
    demand=Demand(time=NOW, until=NOW + seconds(135), load=95.0, source="Forecast"),
)
NOTHING = replace(
    MORNING, each=None, ready=None, desired=None, seen=(), sizes=(), points=(), level=None, origin=None, demand=None
)

AT_80 = """\
   ┌───────────────────────────────────────────────────────────────────────────┐
120┤                              │                                            │
   │                              │                                ░░░░░░░░░░░░│
   │                              ═══┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄│
 90┤                 ─────────────│  ░░░░░░░░░░░░░░░░░░░░░░░░░░░⣀⣀⣀⣀⣀⠤⠤⠤⠤⠤⠒⠒⠒⠒⠂│
   │                              ◆░░░░░░░░░⣀⣀⣀⣀⣀⠤⠤⠤⠤⠤⠒⠒⠒⠒⠒⠉⠉⠉⠉⠉               │
 60┤──────────────────      ⣀⣀⣀⠤⠤⠤⠔⠒⠒⠒⠒⠊⠉⠉⠉⠉                                   │
   │               ⠤⠤⠤⠒⠒⠒⠉⠉⠉      │                                            │
 30┤⢀⣀⣀⠤⠤⠤⠒⠒⠒⠉⠁                   │                                            │
   │                              │                                            │
   │                              │                                            │
  0┤                              │                                            │
   └───────────────┬──────────────┬─────────────┬──────────────┬───────────────┘
                 11:30           now          12:30          13:00
⠒ load, 60 at 12:00:00   ─ what 8 replicas asked for can serve   ◆ 7 ready
┄ 10 wanted   ═ to be ready for 95 until 12:02:15 (forecast)
░ forecast, from its median (the line) to its 0.9 quantile"""


def _plain(text: str) -> list[str]:
    return ANSI.sub("", text).split("\n")


def test_a_morning_at_80_columns() -> None:
    assert drawn(MORNING, width=80, height=14, is_coloured=False) == AT_80


@pytest.mark.parametrize("width", [80, 140])
def test_colour_changes_nothing_but_the_colour(width: int) -> None:
    coloured = drawn(MORNING, width=width, height=20, is_coloured=True)
    assert "\x1b[" in coloured
    assert [line.rstrip() for line in _plain(coloured)] == drawn(
        MORNING, width=width, height=20, is_coloured=False
    ).split("\n")


def test_a_terminal_of_ascii_gets_ascii() -> None:
    text = drawn(MORNING, width=80, height=20, is_coloured=False, signs=PLAIN)
    assert text.isascii()
    assert {"*", ":", "-", "~", "=", "o", "|"} <= set(text)


def test_the_same_is_drawn_the_same_again() -> None:
    """plotext has one figure for all: nothing of the last chart may be left in it."""
    first = drawn(MORNING, width=80, height=20, is_coloured=False)
    drawn(NOTHING, width=120, height=12, is_coloured=True)
    assert drawn(MORNING, width=80, height=20, is_coloured=False) == first


def test_now_is_one_column_and_what_is_ready_stands_on_it() -> None:
    lines = drawn(MORNING, width=80, height=20, is_coloured=False).split("\n")[:20]
    axis = next(line for line in lines if "now" in line)
    (ready,) = (line.index("◆") for line in lines if "◆" in line)
    assert abs(axis.index("now") + 1 - ready) <= 1


def test_what_is_wanted_lies_above_what_is_asked_for_now() -> None:
    lines = drawn(MORNING, width=80, height=20, is_coloured=False).split("\n")[1:18]
    wanted = next(row for row, line in enumerate(lines) if "┄" in line)
    assert wanted < max(row for row, line in enumerate(lines) if "──" in line)


def test_no_line_leads_over_what_nobody_measured() -> None:
    assert [len(piece) for piece in unbroken(MORNING.seen)] == [21, 31]
    assert list(unbroken(())) == []
    assert list(unbroken(MORNING.seen[:1])) == [[MORNING.seen[0]]]


def test_nothing_at_all_is_an_empty_chart() -> None:
    lines = drawn(NOTHING, width=80, height=12, is_coloured=False).split("\n")
    assert len(lines) == 12
    assert "now" in lines[-1]


loads = st.one_of(st.just(0.0), st.floats(min_value=1e-6, max_value=1e12))
ages = st.floats(min_value=0.0, max_value=86_400.0)


@st.composite
def outlooks(draw: st.DrawFn) -> Outlook:
    seen = sorted(draw(st.lists(st.tuples(ages, loads), max_size=20)), reverse=True)
    ahead = sorted(draw(st.lists(st.tuples(ages, loads, loads), max_size=12)))
    demand = draw(st.none() | st.tuples(ages, loads))
    counts = st.none() | st.integers(0, 1000)
    return replace(
        MORNING,
        seen=tuple((NOW - seconds(age), load) for age, load in seen),
        sizes=tuple(Size(time=NOW - seconds(age), replicas=3, load=load) for age, load in seen[::3]),
        points=tuple(
            Point(time=NOW + seconds(age), median=min(one, other), upper=max(one, other)) for age, one, other in ahead
        ),
        demand=None
        if demand is None
        else Demand(time=NOW, until=NOW + seconds(demand[0]), load=demand[1], source="Seen"),
        ready=draw(counts),
        desired=draw(counts),
        each=draw(st.none() | st.floats(min_value=1e-3, max_value=1e6)),
    )


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    outlooks(),
    st.integers(NARROWEST - 10, 200),
    st.integers(LOWEST - 3, 50),
    st.booleans(),
    st.sampled_from([DRAWN, PLAIN]),
)
def test_it_always_fits(one: Outlook, width: int, height: int, is_coloured: bool, signs: Signs) -> None:
    lines = _plain(drawn(one, width=width, height=height, is_coloured=is_coloured, signs=signs))
    assert max(map(len, lines)) <= max(width, NARROWEST)
    assert len(lines) >= max(height, LOWEST)
    assert sum("now" in line for line in lines) == 1


@given(st.lists(st.floats(min_value=1e-9, max_value=1e15), min_size=1, max_size=5))
def test_the_axis_ends_a_little_above_the_highest_load(found: list[float]) -> None:
    top, highest = scale(iter(found)), max(found)
    assert 1.02 * highest <= top * (1 + 1e-9)
    assert top <= 1.6 * highest


def test_without_a_load_the_axis_ends_somewhere() -> None:
    assert scale(iter(())) == scale(iter([0.0])) == 1.0


@given(st.floats(-86_400, -30), st.floats(30, 86_400), st.integers(NARROWEST, 200), st.integers(0, 10**6))
def test_labels_are_round_times_that_do_not_touch(start: float, end: float, width: int, offset: int) -> None:
    now = NOW + timedelta(seconds=offset)
    places, labels = time_ticks(now, start, end, width)
    assert (places[0], labels[0]) == (0.0, "now")
    assert all(start <= place <= end for place in places)
    columns = sorted(place * width / (end - start) for place in places)
    assert all(after - before >= 6 - 1e-6 for before, after in pairwise(columns))
    for place, label in zip(places[1:], labels[1:], strict=True):
        shown = now + timedelta(seconds=place)
        assert math.isclose(shown.timestamp() % 5, 0, abs_tol=1e-3) or math.isclose(
            shown.timestamp() % 5, 5, abs_tol=1e-3
        )
        assert datetime.strftime(shown, "%H:%M") in label
