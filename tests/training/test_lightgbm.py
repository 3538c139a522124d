"""Do the trees forecast better than naive, and learn from one series or many?"""

from __future__ import annotations

from datetime import UTC
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.small import DAY, FAMILIES, HOUR, WINDOW, drafted, fitted, model, series_of, trace
from training.backtest import backtest
from training.export import draft
from training.families.family import LEVELS, FitError, Fitted, Past
from training.families.lightgbm import LightGBM, _band
from training.families.rows import lessons
from training.features import keys
from training.generated import generate
from training.windows import Window, histories, origins

_MEDIAN = LEVELS.index(0.5)
_IDLE = Past(series=series_of(np.zeros(1000)), zone=UTC)
_SHORT = Past(series=series_of(np.arange(1.0, 201.0)), zone=UTC)


def _past(seed: int) -> Past:
    return Past(series=generate(seed, step=HOUR, season=DAY, seasons=28), zone=UTC)


@cache
def _of_many() -> Fitted:
    """Fitted on three traces and on two that hold too little."""
    return LightGBM().fit_many([_past(2), _IDLE, _past(3), _SHORT, _past(4)], WINDOW)


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


def test_a_model_of_many_series_forecasts_one_that_it_has_not_seen() -> None:
    models = {name: model(name) for name in ("persistence", "seasonal-naive")}
    report = backtest(drafted(_of_many(), _past(2).series), models, trace(), UTC, trace().end - 7 * DAY)

    assert report.skill > 0.1


def test_series_that_hold_too_little_are_skipped_and_counted() -> None:
    assert (_of_many().skipped, fitted("lightgbm").skipped) == (2, 0)


@pytest.mark.parametrize("pasts", [[], [_IDLE, _SHORT]])
def test_nothing_but_unusable_series_is_refused(pasts: list[Past]) -> None:
    with pytest.raises(FitError, match="give more history"):
        LightGBM().fit_many(pasts, WINDOW)


def test_a_busy_series_teaches_no_more_than_a_quiet_one() -> None:
    quiet = _past(2)
    busy = Past(series=series_of(quiet.series.values * 1024), zone=UTC)
    rows = lessons([quiet, busy], WINDOW).rows
    half = len(rows) // 2

    np.testing.assert_array_equal(rows.matrix[:half], rows.matrix[half:])
    np.testing.assert_allclose(rows.came[:half], rows.came[half:])


def test_many_series_are_thinned_alike() -> None:
    """Forty traces hold 25,920 rows, and 20,000 are learned from."""
    found = lessons([_past(2)] * 40, WINDOW).rows

    assert len(found) == 40 * 500


def test_rows_with_little_history_teach_how_to_do_with_little() -> None:
    """A day and a quarter in an otherwise empty history: a model that has met the like misses it by less."""
    window = Window.fitting(step=HOUR, season=DAY, horizon=HOUR)
    history, origin = histories(trace(), window)[7 * 24 : -1].copy(), origins(trace(), UTC)[7 * 24 : -1]
    history[:, :-30] = np.nan
    fits = (LightGBM(short=short).fit_many([_past(2)], window) for short in (0.0, 0.5))
    models = [draft(fit, trace(), window, name=fit.family, unit="load") for fit in fits]
    full, short = (
        np.abs(each.predict(history, origin)[:, 0, _MEDIAN] - trace().values[7 * 24 + 1 :]).mean() for each in models
    )

    assert short < full


@pytest.mark.parametrize(("median", "expected"), [(0.1, 0.0), (-0.1, 0.0), (-0.4, -0.4), (0.4, 0.4)])
def test_a_small_median_error_is_chance_and_a_large_one_is_skew(median: float, expected: float) -> None:
    errors = np.linspace(-1, 1, 101) + median

    assert _band(errors)[_MEDIAN] == pytest.approx(expected)
