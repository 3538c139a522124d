"""Do the trees forecast better than naive, and learn from one series or many?"""

from __future__ import annotations

from datetime import UTC

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.small import DAY, FAMILIES, HOUR, WINDOW, drafted, fitted, model, series_of, trace
from training.backtest import backtest
from training.families.family import LEVELS, FitError, Fitted
from training.families.lightgbm import LightGBM, _band
from training.families.rows import rows_of
from training.features import keys
from training.windows import Window

pytestmark = pytest.mark.slow

_MEDIAN = LEVELS.index(0.5)


def test_an_idle_workload_is_expected_to_stay_idle() -> None:
    idle = np.zeros((1, WINDOW.context), np.float32)

    assert (model("lightgbm").predict(idle, np.array([0])) == 0).all()


def test_trees_beat_the_naive_forecasts_and_their_levels_hold() -> None:
    since = trace().end - 4 * DAY
    past = trace().until(since)
    models = {
        name: drafted(FAMILIES[name].fit(past, WINDOW, UTC), past)
        for name in ("lightgbm", "persistence", "seasonal-naive")
    }
    report = backtest(models.pop("lightgbm"), models, trace(), UTC, since)

    assert report.skill > 0.1
    np.testing.assert_allclose(report.model.coverage.mean(axis=0), LEVELS, atol=0.15)


@pytest.fixture(scope="module")
def again() -> tuple[Fitted, list[tuple[int, int]]]:
    """The trees of the trace once more, and the progress that was told."""
    told: list[tuple[int, int]] = []
    return LightGBM(progress=lambda done, total: told.append((done, total))).fit(trace(), WINDOW, UTC), told


def test_fitting_twice_gives_the_same_trees(again: tuple[Fitted, list[tuple[int, int]]]) -> None:
    np.testing.assert_array_equal(again[0].examples.quantiles, fitted("lightgbm").examples.quantiles)


def test_progress_ends_when_all_key_steps_are_fitted(again: tuple[Fitted, list[tuple[int, int]]]) -> None:
    assert again[1] == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("values", [np.arange(200.0), np.zeros(1000), np.full(1000, np.nan), np.empty(0)])
def test_too_little_to_learn_from_is_refused(values: NDArray[np.float64]) -> None:
    with pytest.raises(FitError, match="give more history"):
        LightGBM().fit(series_of(values), WINDOW, UTC)


def test_steps_between_the_keys_follow_the_season() -> None:
    """Of twenty steps nine are keys; what every earlier season had between two of them is expected again."""
    window = Window.fitting(step=HOUR, season=DAY, horizon=20 * HOUR)
    spiky = np.where(np.arange(24) == 10, 1000.0, 100.0)
    values = np.tile(spiky, 28) + np.sin(np.arange(28 * 24))
    found = LightGBM().fit(series_of(values), window, UTC).examples.quantiles[-1, :, _MEDIAN]

    assert 11 not in keys(window)
    assert int(np.argmax(found)) == 10


def test_a_busy_series_teaches_no_more_than_a_quiet_one() -> None:
    quiet, busy = (rows_of(series_of(trace().values * factor), UTC, WINDOW) for factor in (1, 1024))

    np.testing.assert_array_equal(quiet.matrix, busy.matrix)
    np.testing.assert_allclose(quiet.came, busy.came)


def test_a_long_series_is_thinned() -> None:
    """Ninety of these four weeks hold 60,456 origins after the first day; 20,000 are learned from."""
    rows = rows_of(series_of(np.tile(trace().values, 90)), UTC, WINDOW)

    assert len(rows.level) == 20_000
    np.testing.assert_allclose(np.bincount(rows.block), 4000, rtol=0.05)


@pytest.mark.parametrize(("median", "expected"), [(0.1, 0.0), (-0.1, 0.0), (-0.4, -0.4), (0.4, 0.4)])
def test_a_small_median_error_is_chance_and_a_large_one_is_skew(median: float, expected: float) -> None:
    errors = np.linspace(-1, 1, 101) + median

    assert _band(errors)[_MEDIAN] == pytest.approx(expected)
