"""Windows, levels and the naive forecasts, each against the slow way to say it."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.forecast import Forecast, persistence, seasonal_naive
from tests.builders import NOW, STEP, forecast, seconds, series

OFFSETS = st.integers(-900, 4 * 300 + 900).map(seconds)
LEVELS = (0.1, 0.5, 0.9)
ROWS = np.array([[1.0, 2.0, 6.0], [2.0, 4.0, 4.0], [0.0, 5.0, 7.0], [3.0, 3.0, 3.0]])
FOUR_STEPS = Forecast(origin=NOW, step=STEP, levels=LEVELS, quantiles=ROWS)


def _overlapping(start: datetime, end: datetime) -> list[int]:
    """The steps k of which a part of (origin + k step, origin + (k + 1) step] lies in (start, end]."""
    return [k for k in range(len(ROWS)) if max(start, NOW + k * STEP) < min(end, NOW + (k + 1) * STEP)]


@given(start=OFFSETS, length=st.integers(1, 1500).map(seconds))
def test_steps_between_are_those_that_overlap(start: timedelta, length: timedelta) -> None:
    found = FOUR_STEPS.steps_between(NOW + start, NOW + start + length)
    assert list(range(len(ROWS)))[found] == _overlapping(NOW + start, NOW + start + length)


@given(start=OFFSETS, length=st.integers(1, 1500).map(seconds))
def test_peak_is_the_highest_of_the_steps_that_overlap(start: timedelta, length: timedelta) -> None:
    overlapping = [ROWS[k, 2] for k in _overlapping(NOW + start, NOW + start + length)]
    assert FOUR_STEPS.peak(0.9, NOW + start, NOW + start + length) == max(overlapping, default=None)


@given(level=st.floats(0.01, 0.99))
def test_at_level_is_linear_between_levels_and_flat_beyond(level: float) -> None:
    expected = [np.interp(level, LEVELS, row) for row in ROWS]
    np.testing.assert_allclose(FOUR_STEPS.at_level(level), expected, rtol=1e-9, atol=1e-12)


def test_a_single_level_stands_for_all() -> None:
    single = Forecast(origin=NOW, step=STEP, levels=(0.5,), quantiles=ROWS[:, 1:2])
    np.testing.assert_array_equal(single.at_level(0.9), ROWS[:, 1])


@given(level=st.sampled_from(LEVELS) | st.floats(0.01, 0.99), first=st.integers(0, 5), count=st.integers(0, 5))
def test_what_is_near_is_the_level_and_the_band_to_the_last_bit(level: float, first: int, count: int) -> None:
    steps = slice(first, first + count)
    expected = zip(FOUR_STEPS.at_level(level)[steps].tolist(), FOUR_STEPS.band[steps].tolist(), strict=True)
    assert FOUR_STEPS.near(level, steps) == list(expected)


def test_horizon_is_the_time_that_all_steps_cover() -> None:
    assert forecast(1, 2, 3).horizon == 3 * STEP


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 2.0], 2.0), ([1.0, math.nan], 1.0), ([0.0], 0.0), ([math.nan], math.nan), ([], math.nan)],
)
def test_persistence_by_what_was_recorded_last(values: list[float], expected: float) -> None:
    assert persistence(series(values)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (1, 1.0),  # a season of 3 steps: the step 1 ahead is like the one 2 steps back, of [1, 2, 3] the first
        (3, 3.0),
        (4, 1.0),  # two seasons back, since one season back is still ahead
        (7, 1.0),
    ],
)
def test_seasonal_naive_by_steps_ahead(ahead: int, expected: float) -> None:
    assert seasonal_naive(series([1.0, 2.0, 3.0]), 3 * STEP, NOW + ahead * STEP) == expected


def test_seasonal_naive_of_a_history_shorter_than_the_season_is_unknown() -> None:
    assert math.isnan(seasonal_naive(series([1.0]), 3 * STEP, NOW + STEP))
