"""Is the headroom the least that would have been short no more often than allowed?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.core import replicas
from controller.core.headroom import BOUNDS, COUNT, FACTORS, beyond, counted, enough
from controller.core.memory import START_HEADROOM
from tests.builders import policy

EACH_TEN = policy(objective=0.01, high=1000)  # a replica serves 10
LOADS = st.floats(0.0, 1e4)


def _count(*pairs: tuple[float, float]) -> tuple[float, ...]:
    """What is counted after these loads and what was followed of each, none of them forgotten."""
    counts: tuple[float, ...] = ()
    for load, followed in pairs:
        counts = counted(counts, load, followed, 1.0, EACH_TEN)
    return counts


def _is_short(load: float, followed: float, factor: float) -> bool:
    """An oracle: reacting with the factor asks for so many replicas, and the load is more than they serve well."""
    return min(replicas.needed(load, EACH_TEN), 1000) > max(1, math.ceil(factor * followed / 10.0 - 1e-9))


@given(load=LOADS, followed=LOADS)
def test_the_factor_counted_is_the_least_that_has_enough_replicas_ready(load: float, followed: float) -> None:
    place = int(np.argmax(_count((load, followed))))
    if place < COUNT:
        assert not _is_short(load, followed, FACTORS[place] * (1 + 1e-9))
    if place > 0:
        assert _is_short(load, followed, FACTORS[place - 1] * (1 - 1e-9))


@example(pairs=[(0.0, 0.0)] * 3 + [(11.0, 0.0)] * 2, objective=1 / 3)
@given(pairs=st.lists(st.tuples(LOADS, LOADS), min_size=1, max_size=60), objective=st.floats(0.001, 0.5))
def test_enough_is_short_no_more_often_than_allowed(pairs: list[tuple[float, float]], objective: float) -> None:
    factor = enough(_count(*pairs), objective)
    short = sum(_is_short(load, followed, factor * (1 + 1e-9)) for load, followed in pairs)
    assert factor == FACTORS[-1] or short <= objective * (len(pairs) + 1) + 1e-9  # of both sides equal, by rounding


@pytest.mark.parametrize(("loads", "expected"), [(0, START_HEADROOM), (98, START_HEADROOM), (99, 1.0)])
def test_nobody_goes_below_the_start_before_the_objective_can_be_told(loads: int, expected: float) -> None:
    assert enough(_count(*[(100.0, 100.0)] * loads), 0.01) == pytest.approx(expected, rel=0.02)


def test_one_surge_is_enough_to_prepare_for_it() -> None:
    surge = _count(*[(100.0, 100.0)] * 900, *[(500.0, 100.0)] * 20)
    assert enough(surge, 0.01) == pytest.approx(5.0, rel=0.05)
    assert enough(surge, 0.05) == 1.0


def test_what_is_not_known_is_not_counted() -> None:
    known = _count((500.0, 100.0))
    assert counted(known, 500.0, None, 0.5, EACH_TEN) == known


def test_old_loads_fade() -> None:
    assert sum(counted(_count((500.0, 100.0)), 100.0, 100.0, 0.5, EACH_TEN)) == 1.5


@pytest.mark.parametrize(("load", "share"), [(800.0, 0.0), (900.0, 0.5)])
def test_a_load_beyond_every_factor_is_told(load: float, share: float) -> None:
    assert beyond(_count((load, 100.0))) == share
    assert beyond(()) == 0.0


def test_the_forecast_can_only_add() -> None:
    assert BOUNDS[0] == FACTORS[0] == 1.0
