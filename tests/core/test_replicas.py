"""Load to replicas: the arithmetic of autoscaling/v2 with the sums written beside it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.replicas import is_tolerable, is_too_much, needed
from tests.builders import policy, rules


@pytest.mark.parametrize(
    ("load", "each", "replicas"),
    [
        (0.0, 10.0, 0),  # a true zero needs nobody; minReplicas is another rule's business
        (0.1, 10.0, 1),  # ceil(0.01)
        (100.0, 10.0, 10),
        (100.1, 10.0, 11),  # ceil(10.01)
        (0.3, 0.1, 3),  # 0.3 / 0.1 = 2.9999999999999996
        (0.1 + 0.2, 0.1, 3),  # 0.30000000000000004 / 0.1 = 3.0000000000000004: a sum of floats costs no replica
        (1.7e308, 1e-9, 2**31 - 1),  # beyond what a float holds: the most that a replica count can be
        (math.inf, 1.0, 2**31 - 1),
    ],
)
def test_needed_by_load(load: float, each: float, replicas: int) -> None:
    assert needed(load, policy(each=each)) == replicas


@pytest.mark.parametrize(
    ("load", "is_within"),
    [
        (90.0, True),  # 90 / (10 x 10) = 0.9, the edge: within, as in the HPA's own test of the ratio
        (89.9, False),
        (110.0, True),
        (110.1, False),
    ],
)
def test_tolerance_of_a_tenth_by_load(load: float, is_within: bool) -> None:
    assert is_tolerable(load, 10, policy()) is is_within


@pytest.mark.parametrize(("load", "is_within"), [(99.0, False), (101.0, True), (120.0, True), (121.0, False)])
def test_each_direction_has_its_own_tolerance(load: float, is_within: bool) -> None:
    lopsided = policy(down=rules(tolerance=0.0), up=rules(tolerance=0.2))
    assert is_tolerable(load, 10, lopsided) is is_within


@given(load=st.floats(0, 1e12), each=st.floats(1e-3, 1e6))
def test_needed_replicas_serve_the_load_and_one_fewer_would_not(load: float, each: float) -> None:
    count = needed(load, policy(each=each))
    if count < 2**31 - 1:
        slack = 1e-9 + 1e-12 * count
        assert count - 1 - slack <= load / each <= count + slack


@given(load=st.integers(1, 10**6), each=st.integers(1, 10**4))
def test_a_load_is_too_much_for_fewer_than_it_needs_and_for_no_more(load: int, each: int) -> None:
    """In whole numbers, where nothing is lost to rounding."""
    rule = policy(each=each)
    count = needed(load, rule)
    assert [is_too_much(load, ready, rule) for ready in (count - 1, count, count + 1)] == [True, False, False]
