"""Does what needs attention come first, in lines that fit, without a column that says something else than its title?"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.glance import Concern, Glance, Level
from client.table import ordered, table


def _one(name: str = "web", level: Level = Level.WELL, reason: str = "Scaling", namespace: str = "shop") -> Glance:
    return Glance(
        namespace=namespace,
        name=name,
        concern=Concern(level=level, reason=reason, message="words"),
        mode="Active",
        target=f"deploy/{name}",
        current=5,
        ready=4,
        desired=10,
        bounds=(2, 20),
        seen=45.0,
        forecast=95.2,
        trust=0.87,
        coverage=(0.931, 0.9),
        why="forecast, rate",
        lead_time=75.0,
        model="default",
        objective=("0.97%", "1%"),
        age=timedelta(days=3),
    )


def _unknown(name: str) -> Glance:
    return replace(
        _one(name, Level.FAILED, "Unserved"),
        current=None,
        ready=None,
        desired=None,
        bounds=(1, None),
        seen=None,
        forecast=None,
        trust=None,
        coverage=None,
        why="",
        lead_time=None,
        model="",
        objective=None,
        age=None,
    )


MIXED = [_one("web"), _unknown("cart"), _one("find", Level.WARNING, "AtMaximum"), _one("api", Level.OFF, "Paused")]


def test_the_whole_table() -> None:
    found = table(ordered(MIXED))
    assert [found.header, *found.rows] == [
        "NAME  MODE    TARGET       NOW/READY/WANT  SEEN  FORECAST  TRUST  COVERAGE  WHY             REASON     AGE",
        "cart  Active  deploy/cart  -/-/-           -     -         -      -         -               Unserved   -",
        "find  Active  deploy/find  5/4/10          45    95.2      87%    93/90%    forecast, rate  AtMaximum  3d",
        "api   Active  deploy/api   5/4/10          45    95.2      87%    93/90%    forecast, rate  Paused     3d",
        "web   Active  deploy/web   5/4/10          45    95.2      87%    93/90%    forecast, rate  Scaling    3d",
    ]
    assert found.levels == (Level.FAILED, Level.WARNING, Level.OFF, Level.WELL)
    assert not found.left_out


def test_the_wide_one_has_what_seldom_changes_as_well() -> None:
    found = table([_one(), _unknown("cart")], is_wide=True, has_namespace=True, width=80)
    assert found.header.startswith("NAMESPACE  NAME  MODE")
    assert found.header.endswith("AGE  BOUNDS  LEAD  OBJECTIVE  MODEL")
    assert [row[row.index("Active") :].split()[-4:] for row in found.rows] == [
        ["2-20", "75s", "0.97%/1%", "default"],
        ["1-?", "-", "-", "-"],
    ]


def test_on_a_terminal_what_matters_least_is_left_out_first() -> None:
    found = table(ordered(MIXED), width=80)
    assert found.left_out == ("TARGET", "COVERAGE", "WHY")
    assert [found.header, *found.rows] == [
        "NAME  MODE    NOW/READY/WANT  SEEN  FORECAST  TRUST  REASON     AGE",
        "cart  Active  -/-/-           -     -         -      Unserved   -",
        "find  Active  5/4/10          45    95.2      87%    AtMaximum  3d",
        "api   Active  5/4/10          45    95.2      87%    Paused     3d",
        "web   Active  5/4/10          45    95.2      87%    Scaling    3d",
    ]


def test_by_name_where_that_is_asked() -> None:
    assert [one.name for one in ordered(MIXED, by_name=True)] == ["api", "cart", "find", "web"]


glances = st.builds(
    _one,
    name=st.text("abc-0", min_size=1, max_size=50),
    level=st.sampled_from(Level),
    reason=st.sampled_from(["Scaling", "TargetOwned", "MetricPeriodInvalid"]),
    namespace=st.text("abc", min_size=1, max_size=20),
)


@given(st.lists(glances, max_size=8), st.integers(20, 300), st.booleans())
def test_columns_stand_below_each_other_and_fit_or_are_left_out(
    found: list[Glance], width: int, has_namespace: bool
) -> None:
    """All but the names, sizes and reasons can be left out; only these may be wider than the terminal."""
    one = table(found, has_namespace=has_namespace, width=width)
    titles = one.header.split()
    starts = [title.start() for title in re.finditer(r"\S+", one.header)]
    for row in one.rows:
        assert all(start == 0 or row[start - 1] == " " != row[start] for start in starts)
    assert {*titles, *one.left_out} >= {"NAME", "MODE", "TARGET", "NOW/READY/WANT", "SEEN", "REASON", "AGE"}
    assert set(titles) >= {"NAME", "NOW/READY/WANT", "REASON"}
    if max(map(len, [one.header, *one.rows])) > width:
        assert set(titles) <= {"NAMESPACE", "NAME", "NOW/READY/WANT", "REASON"}


@given(st.lists(glances, max_size=12))
def test_nobody_who_needs_attention_stands_behind_who_does_not(found: list[Glance]) -> None:
    levels = [one.concern.level for one in ordered(found)]
    assert levels == sorted(levels)


@pytest.mark.parametrize(("measured", "words"), [(None, "-/90%"), (1.0, "100/90%")])
def test_coverage_that_is_not_measured_yet(measured: float | None, words: str) -> None:
    assert words in table([replace(_one(), coverage=(measured, 0.9))]).rows[0]
