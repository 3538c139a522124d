"""Series against a plain dictionary from the end of a step to its value."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.series import Series, floor_to_step
from tests.builders import NOW, STEP, seconds, series

VALUES = st.lists(st.one_of(st.just(math.nan), st.floats(0, 1e6)), max_size=20)
MOMENTS = st.integers(-25 * 300, 3 * 300).map(lambda offset: NOW + seconds(offset))


def _by_end(values: list[float]) -> dict[datetime, float]:
    return {NOW - (len(values) - 1 - place) * STEP: value for place, value in enumerate(values)}


def _same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


@given(values=VALUES, moment=MOMENTS)
def test_value_at_is_the_value_of_the_step_that_ends_there(values: list[float], moment: datetime) -> None:
    assert _same(series(values).value_at(moment), _by_end(values).get(moment, math.nan))


@given(values=VALUES, moment=MOMENTS)
def test_until_keeps_what_had_ended(values: list[float], moment: datetime) -> None:
    kept = [value for end, value in _by_end(values).items() if end <= moment]
    np.testing.assert_array_equal(series(values).until(moment).values, kept)


@given(values=VALUES, moment=MOMENTS)
def test_until_moves_no_value_in_time(values: list[float], moment: datetime) -> None:
    whole, cut = series(values), series(values).until(moment)
    assert cut.start == whole.start


@given(values=VALUES, count=st.integers(0, 30))
def test_tail_pads_the_front_with_nan(values: list[float], count: int) -> None:
    expected = ([math.nan] * count + values)[len(values) :] if count else []
    np.testing.assert_array_equal(series(values).tail(count).values, expected)


@given(values=VALUES)
def test_last_recorded_is_the_newest_step_with_a_value(values: list[float]) -> None:
    ends = [end for end, value in _by_end(values).items() if math.isfinite(value)]
    assert series(values).last_recorded() == max(ends, default=None)


@given(offset=st.integers(0, 10**9), step=st.integers(1, 10**5).map(seconds))
def test_floor_to_step_is_on_the_grid_and_less_than_a_step_back(offset: int, step: timedelta) -> None:
    time = NOW + seconds(offset)
    floored = floor_to_step(time, step)
    assert floored == floor_to_step(floored, step)
    assert timedelta(0) <= time - floored < step


@pytest.mark.parametrize(
    ("end", "step", "values", "words"),
    [
        (NOW.replace(tzinfo=None), STEP, np.zeros(1), "zone"),
        (NOW, timedelta(0), np.zeros(1), "step"),
        (NOW, STEP, np.zeros((1, 1)), "dimension"),
    ],
)
def test_refuses_by_what_is_wrong(end: datetime, step: timedelta, values: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Series(end=end, step=step, values=values)


@given(values=VALUES, start=st.integers(-22, 3), steps=st.integers(-1, 22))
def test_the_highest_of_a_span_is_that_of_all_its_steps(values: list[float], start: int, steps: int) -> None:
    by_end = _by_end(values)
    ends = [NOW + (start + step) * STEP for step in range(1, steps + 1)]
    loads = [by_end.get(end, math.nan) for end in ends]
    expected = math.nan if not loads or any(math.isnan(load) for load in loads) else max(loads)
    assert _same(series(values).highest(NOW + start * STEP, NOW + (start + steps) * STEP), expected)
