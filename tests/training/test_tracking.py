"""Is the replayed correction the controller's own, and does the proposed one keep its promise?"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.calibration import corrected, updated
from controller.core.forecast import Forecast
from controller.core.memory import TrackRecord
from controller.core.series import Series
from controller.forecaster import FloatArray
from tests.training.small import END
from training.measures import Floats, pinball
from training.tracking import RULES, replayed

_STEP = timedelta(minutes=5)
_LEVELS = (0.05, 0.5, 0.9, 0.99)


def _forecasts(count: int, steps: list[int], seed: int = 1, scale: float = 10.0) -> tuple[FloatArray, Floats]:
    """Quantiles that are off, [n, steps, levels], and what came, [n, steps]."""
    random = np.random.default_rng(seed)
    came = random.normal(100, scale, (count, len(steps)))
    quantiles = 100 + scale * np.array([-0.5, 0.3, 0.6, 1.0]) * np.ones((count, len(steps), 1))
    return quantiles.astype(np.float32), came


@pytest.mark.parametrize("ahead", [1, 3, 40])
def test_the_replay_is_what_the_controller_would_have_done(ahead: int) -> None:
    """Step by step through `controller.core.calibration`, with gaps, and more than 32 forecasts waiting."""
    count, level = 200, 2
    random = np.random.default_rng(2)
    values = random.normal(100, 20, count + ahead)
    values[random.uniform(size=len(values)) < 0.1] = np.nan
    quantiles = np.sort(random.uniform(80, 120, (count, 1, len(_LEVELS))), axis=-1).astype(np.float32)

    record, expected = TrackRecord(), []
    for origin in range(count):
        history = Series(end=END + origin * _STEP, step=_STEP, values=values[: origin + 1])
        rows = np.broadcast_to(quantiles[origin].astype(np.float64), (ahead, len(_LEVELS)))
        forecast = Forecast(origin=history.end, step=_STEP, levels=_LEVELS, quantiles=rows)
        record = updated(record, history, forecast, _LEVELS[level], ahead * _STEP)
        expected.append(corrected(record, float(quantiles[origin, 0, level])))
    came = values[ahead : ahead + count, None]
    found = replayed(RULES["controller"], quantiles, came, [ahead], _LEVELS)[:, 0, level]

    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_levels_that_are_off_come_to_hold(rule: str) -> None:
    quantiles, came = _forecasts(4000, [1, 12])
    found = replayed(RULES[rule], quantiles, came, [1, 12], _LEVELS)
    late = slice(1000, None)

    held = (came[late][..., None] <= found[late]).mean(axis=0)
    np.testing.assert_allclose(held, np.broadcast_to(_LEVELS, held.shape), atol=0.02)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_nothing_is_corrected_before_the_first_truth_is_known(rule: str) -> None:
    quantiles, came = _forecasts(30, [12])
    found = replayed(RULES[rule], quantiles, came, [12], _LEVELS)

    np.testing.assert_allclose(found[:12], quantiles[:12])
    assert not np.allclose(found[12], quantiles[12])


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_later_truth_changes_no_earlier_correction(rule: str) -> None:
    quantiles, came = _forecasts(300, [6])
    other = came.copy()
    other[200:] += 1000
    found = [replayed(RULES[rule], quantiles, truth, [6], _LEVELS) for truth in (came, other)]

    np.testing.assert_array_equal(found[0][: 200 + 6], found[1][: 200 + 6])
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("rule", sorted(RULES))
def test_without_truths_nothing_is_corrected(rule: str) -> None:
    quantiles, came = _forecasts(50, [1])

    np.testing.assert_allclose(
        replayed(RULES[rule], quantiles, np.full_like(came, np.nan), [1], _LEVELS), quantiles, rtol=1e-6
    )


def _sure(scale: float, ahead: int, seed: int) -> tuple[FloatArray, Floats]:
    """A band that is a fifth too narrow and a fifth of a deviation too high, as a fitted one may be."""
    came = np.random.default_rng(seed).normal(100, scale, (1500, 1))
    quantiles = 100 + scale * (0.2 + 0.8 * np.array([-1.645, 0, 1.282, 2.326])) * np.ones((1500, 1, 1))
    return quantiles.astype(np.float32), came


@given(scale=st.floats(0.1, 30), ahead=st.integers(1, 72), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=10)
def test_units_of_the_band_hold_at_any_noise_and_any_lead(scale: float, ahead: int, seed: int) -> None:
    quantiles, came = _sure(scale, ahead, seed)
    found = replayed(RULES["spread"], quantiles, came, [ahead], _LEVELS)[:, 0]
    late = slice(500, None)

    # a thousand truths, of which some dozen are late: as forecast, the levels are off by 0.08
    assert np.abs((came[late] <= found[late]).mean(axis=0) - _LEVELS).max() <= 0.05


def test_units_of_the_load_cost_more_where_there_is_little_noise() -> None:
    """Why another rule is proposed: a step of the controller's is a hundredth of the load, here two deviations."""
    quantiles, came = _sure(0.5, 24, 1)
    levels = np.array(_LEVELS)
    raw = pinball(quantiles[:, 0].astype(np.float64), levels, came[:, 0]).mean()
    cost = {
        name: pinball(replayed(rule, quantiles, came, [24], _LEVELS)[:, 0], levels, came[:, 0]).mean() / raw
        for name, rule in RULES.items()
    }

    assert cost["spread"] < 1.05
    assert cost["controller"] > 1.5


@given(steps=st.lists(st.integers(1, 100), min_size=1, max_size=4, unique=True), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=10)
def test_no_correction_goes_below_zero(steps: list[int], seed: int) -> None:
    quantiles, came = _forecasts(150, steps, seed, scale=90)
    for rule in RULES.values():
        assert (replayed(rule, np.maximum(quantiles, 0), came, steps, _LEVELS) >= 0).all()
