"""A wish picks by its own words."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.recommend.wishes import PRIORITIES, SAFE, SAME, Budget, Risk, wish
from training.simulate.capacity import SimulationError
from training.simulate.frontier import Point
from training.simulate.scores import Score

DAYS = 2.0


@dataclass(frozen=True)
class One:
    point: Point


def one(short: float, cost: float, changes: int = 10) -> One:
    score = Score(
        replica_hours=cost * 20, under_provisioned=short, unserved=0.0, changes=changes, turns=0, utilisation=0.5
    )
    return One(Point(setting=0.0, score=score, cost=cost))


MANY = st.lists(
    st.builds(one, st.sampled_from([0.0, 0.001, 0.0101, 0.01, 0.02, 0.2]), st.floats(1, 100), st.integers(0, 50)),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize(
    ("scored", "place"),
    [
        ([one(0.02, 10), one(0.01, 20), one(0.001, 30)], 1),  # the cheapest that keeps to it, though another is safer
        ([one(0.001, 30), one(0.01, 20.0, 9), one(0.002, 20.1, 5)], 2),  # as cheap, and calmer
        ([one(0.001, 30), one(0.01, 20.0, 9), one(0.002, 20.3, 5)], 1),  # calmer, but dearer
        ([one(0.02, 10), one(0.015, 90)], 1),  # none keeps to it: the safest
    ],
)
def test_a_risk_picks_the_cheapest_that_keeps_to_it(scored: list[One], place: int) -> None:
    assert Risk(share=0.01).best(scored, DAYS) == place


@pytest.mark.parametrize(
    ("scored", "place"),
    [
        ([one(0.02, 10), one(0.01, 20), one(0.001, 30)], 1),
        ([one(0.0100, 20, 9), one(0.0109, 20, 5)], 1),
        ([one(0.0100, 20, 9), one(0.0112, 20, 5)], 0),
        ([one(0.0, 50), one(0.2, 40)], 1),  # none keeps to it: the cheapest
    ],
)
def test_a_budget_picks_the_safest_that_keeps_to_it(scored: list[One], place: int) -> None:
    assert Budget(amount=10, unit="USD").best(scored, DAYS) == place
    assert Budget(amount=200, unit="h").best(scored, DAYS) == place


@given(scored=MANY, share=st.sampled_from([0.001, 0.01, 0.05]))
def test_no_candidate_that_keeps_to_a_risk_is_much_cheaper(scored: list[One], share: float) -> None:
    picked = scored[Risk(share=share).best(scored, DAYS)].point
    fit = [each.point for each in scored if each.point.score.under_provisioned <= share]
    if fit:
        assert picked in fit
        assert picked.cost <= min(each.cost for each in fit) * (1 + SAME)
    else:
        assert picked.score.under_provisioned == min(each.point.score.under_provisioned for each in scored)


@given(scored=MANY, amount=st.floats(1, 60))
def test_no_candidate_within_a_budget_is_much_safer(scored: list[One], amount: float) -> None:
    picked = scored[Budget(amount=amount, unit="USD").best(scored, DAYS)].point
    fit = [each.point for each in scored if each.point.cost <= amount * DAYS]
    if fit:
        assert picked in fit
        assert picked.score.under_provisioned <= min(each.score.under_provisioned for each in fit) * (1 + SAFE)
    else:
        assert picked.cost == min(each.point.cost for each in scored)


def test_a_priority_is_a_share_of_time() -> None:
    assert {name: wish(name, None, None, "USD") for name in PRIORITIES} == {
        name: Risk(share=share) for name, share in PRIORITIES.items()
    }
    assert wish(None, None, None, "USD") == Risk(share=0.01)
    assert wish(None, 0.003, None, "USD") == Risk(share=0.003)


@pytest.mark.parametrize(("text", "expected"), [("200h", (200, "h")), ("12.50EUR", (12.5, "EUR"))])
def test_a_budget_is_an_amount_with_its_unit(text: str, expected: tuple[float, str]) -> None:
    assert wish(None, None, text, "EUR") == Budget(amount=expected[0], unit=expected[1])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("speed", None, None), "--priority: there is no priority 'speed'; there are risk, balanced, cost"),
        (("risk", 0.01, None), "keep one of them"),
        ((None, 0.01, "3h"), "keep one of them"),
        ((None, 0.3, None), "--objective must be above 0% and at most 20%"),
        ((None, None, "200"), "--budget: '200' is not an amount a day such as 200h"),
        ((None, None, "0h"), "--budget"),
        ((None, None, "5EUR"), "or 12.50USD"),
    ],
)
def test_what_cannot_be_wished_is_told(asked: tuple[str | None, float | None, str | None], message: str) -> None:
    with pytest.raises(SimulationError, match=message.replace(".", r"\.")):
        wish(*asked, "USD")
