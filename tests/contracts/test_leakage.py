"""Can a forecast know what it could not have known? Asked of exported files, as the cluster will read them."""

from __future__ import annotations

from datetime import UTC

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.core.series import Series
from controller.forecaster import FloatArray, Model
from tests.training.small import FAMILIES, WINDOW, drafted, model, noise, series_of, trace
from training.backtest import backtest
from training.windows import histories, origins

_NOW = 500  # an hour in the middle of the trace


@pytest.fixture(params=sorted(FAMILIES))
def exported(request: pytest.FixtureRequest) -> Model:
    return model(request.param)


def _at(exported: Model, series: Series, place: int) -> FloatArray:
    """The forecast after `series.values[place]`."""
    return exported.predict(histories(series, WINDOW)[[place]], origins(series, UTC)[[place]])


def test_the_past_alone_gives_the_same_forecast_as_the_whole_series(exported: Model) -> None:
    whole = trace()
    past = whole.until(whole.end - (len(whole) - 1 - _NOW) * whole.step)

    np.testing.assert_array_equal(_at(exported, past, _NOW), _at(exported, whole, _NOW))


def test_another_future_changes_nothing(exported: Model) -> None:
    random = np.random.default_rng(3)  # seeded
    values = trace().values.copy()
    values[_NOW + 1 :] = random.uniform(0, 10_000, len(values) - _NOW - 1)

    np.testing.assert_array_equal(_at(exported, series_of(values), _NOW), _at(exported, trace(), _NOW))


def test_another_present_changes_the_forecast() -> None:
    values = trace().values.copy()
    values[_NOW] *= 3

    found = _at(model("lightgbm"), series_of(values), _NOW)
    assert not np.allclose(found, _at(model("lightgbm"), trace(), _NOW), rtol=0.01)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_noise_cannot_be_forecast(family: str) -> None:
    since = noise().end - 14 * WINDOW.season
    past = noise().until(since)
    report = backtest(drafted(FAMILIES[family].fit(past, WINDOW, UTC), past), {}, noise(), UTC, since)

    explained = 1 - np.square(report.model.rmse) / noise().values[len(past) :].var()
    assert (explained <= 0.05).all(), explained


def test_a_late_scrape_costs_about_one_step_of_horizon() -> None:
    exported, series = model("lightgbm"), trace()
    places = np.arange(20 * 24, len(series) - 7)
    seen, clock = histories(series, WINDOW)[places].copy(), origins(series, UTC)[places]
    in_time = exported.predict(seen, clock)[..., 3]
    seen[:, -1] = np.nan
    late = exported.predict(seen, clock)[..., 3]

    loss = [_rmse(answer, places, ahead) for answer, ahead in ((late, 1), (in_time, 2))]
    assert loss[0] < 1.5 * loss[1]
    assert loss[0] > _rmse(in_time, places, 1)


def _rmse(answer: FloatArray, places: NDArray[np.int64], ahead: int) -> float:
    return float(np.sqrt(np.mean(np.square(trace().values[places + ahead] - answer[:, ahead - 1]))))


@pytest.mark.parametrize("family", ["lightgbm", "seasonal-naive"])
def test_a_day_of_outage_does_not_pull_the_forecast_to_zero(family: str) -> None:
    missing, zero = trace().values.copy(), trace().values.copy()
    missing[_NOW - 24 : _NOW + 1] = np.nan
    zero[_NOW - 24 : _NOW + 1] = 0
    unbroken = _at(model(family), trace(), _NOW)[0, :, 3]

    gap = np.abs(_at(model(family), series_of(missing), _NOW)[0, :, 3] - unbroken).mean()
    drop = np.abs(_at(model(family), series_of(zero), _NOW)[0, :, 3] - unbroken).mean()
    assert gap < drop / 2


def test_missing_targets_are_not_scored() -> None:
    values = trace().values.copy()
    values[-48:-40] = np.nan
    since = trace().end - 3 * WINDOW.season

    counted = backtest(model("persistence"), {}, series_of(values), UTC, since).model.count
    complete = backtest(model("persistence"), {}, trace(), UTC, since).model.count
    np.testing.assert_array_equal(complete - counted, np.full(WINDOW.horizon, 8))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_nothing_seen_gives_no_number(family: str) -> None:
    nothing = np.full((2, WINDOW.context), np.nan, np.float32)

    assert np.isnan(model(family).predict(nothing, np.array([0, 3600]))).all()
