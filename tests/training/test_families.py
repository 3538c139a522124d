"""Do the families forecast what they say, with a band that means what it says?"""

from __future__ import annotations

from datetime import UTC, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.forecast import seasonal_naive
from tests.training.small import DAY, FAMILIES, HOUR, WINDOW, model, series_of, trace
from training.families.family import LEVELS, FitError
from training.windows import Window, histories, origins

pytestmark = pytest.mark.slow

_MEDIAN = LEVELS.index(0.5)


def test_seasonal_naive_is_the_core_s_own_baseline() -> None:
    """The controller falls back to one, training compares with the other."""
    series = trace().until(trace().end - 30 * HOUR)
    found = model("seasonal-naive").predict(histories(series, WINDOW)[-1:], origins(series, UTC)[-1:])[0, :, _MEDIAN]

    expected = [seasonal_naive(series, DAY, series.end + step * HOUR) for step in range(1, 7)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_weekly_naive_forecast_repeats_the_same_day_of_last_week() -> None:
    history, origin = histories(trace(), WINDOW)[-1:], origins(trace(), UTC)[-1:]
    found = model("seasonal-naive-week").predict(history, origin)[0, :, _MEDIAN]

    np.testing.assert_allclose(found, trace().values[-168:-162])


def test_the_weekly_naive_forecast_needs_a_week_of_context() -> None:
    """At one value each 20 seconds, the context is limited to two days."""
    window = Window.fitting(step=timedelta(seconds=20), season=DAY, horizon=timedelta(hours=1))

    with pytest.raises(FitError, match="looks back 7 seasons; the context holds 2"):
        FAMILIES["seasonal-naive-week"].fit(series_of(np.ones(100), step=window.step), window, UTC)


def test_persistence_repeats_the_last_recorded_value() -> None:
    history = np.array([[*range(165), 42, np.nan, np.nan]], np.float32)
    history[0, -1] = np.nan
    history[0, :165] = np.nan
    found = model("persistence").predict(history, np.array([0]))[0, :, _MEDIAN]

    np.testing.assert_allclose(found, 42)


def test_less_than_a_season_falls_back_to_the_last_value() -> None:
    history = np.full((1, WINDOW.context), np.nan, np.float32)
    history[0, -3:] = [5, 6, 7]
    found = model("seasonal-naive").predict(history, np.array([0]))[0, :, _MEDIAN]

    np.testing.assert_allclose(found, 7)


@pytest.mark.parametrize("family", sorted(FAMILIES))
@given(
    scale=st.floats(1e-3, 1e6),
    gaps=st.sets(st.integers(0, WINDOW.context - 1), max_size=WINDOW.context - 1),
    spike=st.floats(0, 100),
)
@settings(deadline=None, max_examples=25)
def test_quantiles_are_ordered_and_never_below_zero(family: str, scale: float, gaps: set[int], spike: float) -> None:
    history = histories(trace(), WINDOW)[-1:] * np.float32(scale)
    history[0, -1] *= np.float32(spike)
    history[0, sorted(gaps)] = np.nan
    found = model(family).predict(history, origins(trace(), UTC)[-1:])

    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found, axis=-1) >= 0).all()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_unit_of_the_load_does_not_matter(family: str) -> None:
    history, origin = histories(trace(), WINDOW)[-5:], origins(trace(), UTC)[-5:]
    thousandfold = model(family).predict(history * np.float32(1024), origin)

    np.testing.assert_allclose(thousandfold, 1024 * model(family).predict(history, origin), rtol=1e-3)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_row_does_not_depend_on_those_beside_it(family: str) -> None:
    history, origin = histories(trace(), WINDOW)[-40:], origins(trace(), UTC)[-40:]
    alone = np.concatenate([model(family).predict(history[[row]], origin[[row]]) for row in range(40)])

    np.testing.assert_allclose(model(family).predict(history, origin), alone, rtol=1e-5)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_load_that_was_never_there_is_expected_to_stay_away(family: str) -> None:
    idle = np.zeros((1, WINDOW.context), np.float32)

    assert (model(family).predict(idle, np.array([0])) == 0).all()


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("seasonal-naive", np.arange(20.0)),
        ("seasonal-naive-week", np.arange(160.0)),
        ("seasonal-naive", np.zeros(1000)),
        ("persistence", np.empty(0)),
    ],
)
def test_too_little_to_learn_from_is_refused(family: str, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    with pytest.raises(FitError):
        FAMILIES[family].fit(series_of(values), WINDOW, UTC)
