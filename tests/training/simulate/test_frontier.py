"""Between two settings all is linear, and beyond the outermost nothing is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.simulate.frontier import Frontier, Point
from training.simulate.scores import Score


def _point(risk: float, hours: float, unserved: float = 0.0, changes: int = 0) -> Point:
    score = Score(
        replica_hours=hours, under_provisioned=risk, unserved=unserved, changes=changes, turns=0, utilisation=0.5
    )
    return Point(setting=hours, score=score, cost=hours * 0.05)


FRONTIER = Frontier(knob="k", points=(_point(0.02, 100.0, 0.01, 4), _point(0.0, 300.0, 0.0, 8)))


@pytest.mark.parametrize(("risk", "hours"), [(0.0, 300.0), (0.01, 200.0), (0.02, 100.0), (0.03, None)])
def test_hours_and_cost_at_a_risk(risk: float, hours: float | None) -> None:
    assert FRONTIER.hours_at(risk) == (None if hours is None else pytest.approx(hours))
    assert FRONTIER.cost_at(risk) == (None if hours is None else pytest.approx(hours * 0.05))


def test_changes_at_a_risk() -> None:
    assert FRONTIER.changes_at(0.015) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("hours", "unserved"), [(99.0, None), (100.0, 0.01), (200.0, 0.005), (300.0, 0.0), (999.0, 0.0)]
)
def test_who_may_spend_more_need_not(hours: float, unserved: float | None) -> None:
    assert FRONTIER.unserved_within(hours) == (None if unserved is None else pytest.approx(unserved))


def test_a_setting_that_costs_more_than_a_safer_one_does_not_count() -> None:
    bent = Frontier(knob="k", points=(_point(0.0, 300.0), _point(0.01, 400.0), _point(0.02, 100.0)))
    assert bent.hours_at(0.01) == pytest.approx(200.0)


def test_where_the_safest_is_the_cheapest_more_risk_is_not_cheaper() -> None:
    flat = Frontier(knob="k", points=(_point(0.0, 100.0), _point(0.02, 150.0)))
    assert flat.hours_at(0.01) == 100.0


@given(
    points=st.lists(st.tuples(st.floats(0, 1), st.floats(1, 1e4)).map(lambda pair: _point(*pair)), min_size=1),
    risk=st.floats(0, 1),
)
def test_no_setting_that_is_as_safe_is_cheaper_than_what_is_told(points: list[Point], risk: float) -> None:
    found = Frontier(knob="k", points=tuple(points)).hours_at(risk)
    cheapest = min((p.score.replica_hours for p in points if p.score.under_provisioned <= risk), default=None)
    if found is not None:
        assert cheapest is not None
        assert found <= cheapest * (1 + 1e-12)


def test_of_two_settings_with_the_same_risk_the_cheaper_counts() -> None:
    twice = Frontier(knob="k", points=(_point(0.01, 120.0), _point(0.01, 100.0)))
    assert twice.hours_at(0.01) == 100.0
