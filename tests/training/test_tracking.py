"""Is the replayed correction the controller's own, and does it keep its promise at any lead?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from controller.core.calibration import corrected, rate, updated
from controller.core.forecast import Forecast
from controller.core.memory import TrackRecord
from controller.core.series import Series
from controller.forecaster import FloatArray
from tests.builders import policy
from tests.training.small import END
from training.measures import Floats, pinball
from training.tracking import replayed

_STEP = timedelta(minutes=5)
_LEVELS = (0.05, 0.5, 0.9, 0.99)


def _forecasts(count: int, steps: list[int], seed: int = 1, scale: float = 10.0) -> tuple[FloatArray, Floats]:
    """Quantiles that are off, [n, steps, levels], and what came, [n, steps]."""
    random = np.random.default_rng(seed)
    came = random.normal(100, scale, (count, len(steps)))
    quantiles = 100 + scale * np.array([-0.5, 0.3, 0.6, 1.0]) * np.ones((count, len(steps), 1))
    return quantiles.astype(np.float32), came


@pytest.mark.parametrize(("ahead", "level"), [(1, 2), (3, 2), (40, 2), (80, 2), (3, 1), (3, 3)])
def test_the_replay_is_what_the_controller_would_have_done(ahead: int, level: int) -> None:
    """Step by step through `controller.core.calibration`, with gaps, idle times, and leads that span many steps."""
    count = 200
    random = np.random.default_rng(2)
    values = random.normal(100, 20, count + ahead)
    values[random.uniform(size=len(values)) < 0.1] = np.nan
    quantiles = np.sort(random.uniform(80, 120, (count, 1, len(_LEVELS))), axis=-1).astype(np.float32)
    quantiles[100:120] = 90  # no band

    prepared = replace(policy(lead=ahead * _STEP, interval=timedelta(0)), quantile=_LEVELS[level])
    record, expected = TrackRecord(), []
    for origin in range(count):
        history = Series(end=END + origin * _STEP, step=_STEP, values=values[: origin + 1])
        rows = np.broadcast_to(quantiles[origin].astype(np.float64), (ahead, len(_LEVELS)))
        forecast = Forecast(origin=history.end, step=_STEP, levels=_LEVELS, quantiles=rows)
        record = updated(record, history, forecast, prepared)
        expected.append(corrected(record, forecast, _LEVELS[level])[ahead - 1])
    came = sliding_window_view(values[1:], ahead).max(axis=1)[:count, None]  # the controller corrects for the highest
    found = replayed(quantiles, came, [ahead], _LEVELS)[:, 0, level]

    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_levels_that_are_off_come_to_hold() -> None:
    quantiles, came = _forecasts(4000, [1, 12])
    found = replayed(quantiles, came, [1, 12], _LEVELS)
    late = slice(1000, None)

    held = (came[late][..., None] <= found[late]).mean(axis=0)
    np.testing.assert_allclose(held, np.broadcast_to(_LEVELS, held.shape), atol=0.02)


def test_nothing_is_corrected_before_the_first_truth_is_known() -> None:
    quantiles, came = _forecasts(30, [12])
    found = replayed(quantiles, came, [12], _LEVELS)

    np.testing.assert_allclose(found[:12], quantiles[:12])
    assert not np.allclose(found[12], quantiles[12])


def test_a_later_truth_changes_no_earlier_correction() -> None:
    quantiles, came = _forecasts(300, [6])
    other = came.copy()
    other[200:] += 1000
    found = [replayed(quantiles, truth, [6], _LEVELS) for truth in (came, other)]

    np.testing.assert_array_equal(found[0][: 200 + 6], found[1][: 200 + 6])
    assert not np.array_equal(found[0], found[1])


def test_without_truths_nothing_is_corrected() -> None:
    quantiles, came = _forecasts(50, [1])

    np.testing.assert_allclose(replayed(quantiles, np.full_like(came, np.nan), [1], _LEVELS), quantiles, rtol=1e-6)


def _sure(scale: float, ahead: int, seed: int) -> tuple[FloatArray, Floats]:
    """A band that is a fifth too narrow and a fifth of a deviation too high, as a fitted one may be."""
    came = np.random.default_rng(seed).normal(100, scale, (1500, 1))
    quantiles = 100 + scale * (0.2 + 0.8 * np.array([-1.645, 0, 1.282, 2.326])) * np.ones((1500, 1, 1))
    return quantiles.astype(np.float32), came


@given(scale=st.floats(0.1, 30), ahead=st.integers(1, 72), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=10)
def test_levels_hold_at_any_noise_and_any_lead(scale: float, ahead: int, seed: int) -> None:
    quantiles, came = _sure(scale, ahead, seed)
    found = replayed(quantiles, came, [ahead], _LEVELS)[:, 0]
    late = slice(500, None)

    # a thousand truths, of which some dozen are late: as forecast, the levels are off by 0.08
    assert np.abs((came[late] <= found[late]).mean(axis=0) - _LEVELS).max() <= 0.05


@pytest.mark.parametrize("ahead", [1, 24, 72])
@pytest.mark.parametrize("scale", [0.5, 20.0])
def test_a_correction_costs_little_where_the_band_is_nearly_right(scale: float, ahead: int) -> None:
    """Steps in units of the load would be two deviations where there is little noise, and cost half of the loss."""
    quantiles, came = _sure(scale, ahead, 1)
    levels = np.array(_LEVELS)
    raw = pinball(quantiles[:, 0].astype(np.float64), levels, came[:, 0]).mean()
    found = replayed(quantiles, came, [ahead], _LEVELS)[:, 0]

    assert pinball(found, levels, came[:, 0]).mean() < 1.05 * raw


def test_without_a_band_nothing_is_corrected_and_nothing_learnt() -> None:
    """What was learnt before an idle night is what holds after it."""
    quantiles, came = _forecasts(300, [2])
    quantiles[100:200], came[100:200] = 0, 0
    found = replayed(quantiles, came, [2], _LEVELS)

    assert not found[100:200].any()
    correction = (found[:, 0] - quantiles[:, 0]) / (
        quantiles[:, 0, -1:] - quantiles[:, 0, :1] + (quantiles[:, 0, -1:] == 0)
    )
    np.testing.assert_allclose(correction[200], correction[201], atol=1e-6)
    assert np.abs(correction[99] - correction[200]).max() <= 2 * rate(2, _LEVELS[-1])


@given(steps=st.lists(st.integers(1, 100), min_size=1, max_size=4, unique=True), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=10)
def test_no_correction_goes_below_zero_or_above_eight_times_a_level(steps: list[int], seed: int) -> None:
    quantiles, came = _forecasts(150, steps, seed, scale=90)
    said = np.maximum(quantiles, 0)
    found = replayed(said, 3 * came, steps, _LEVELS)
    assert ((found >= 0) & (found <= 8 * said)).all()
