"""Does a model that is let go hear nothing but itself?"""

from __future__ import annotations

from datetime import UTC, timedelta

import numpy as np
import pytest

from tests.training.small import DAY, HOUR, WINDOW, model, series_of, trace
from training.backtest import BacktestError
from training.open_loop import OpenLoop, open_loop
from training.windows import histories, origins

_SINCE = trace().end - 4 * DAY
_MEDIAN = 3


def _loop(length: timedelta, family: str = "lightgbm") -> OpenLoop:
    return open_loop({family: model(family)}, trace(), UTC, _SINCE, length)


def test_within_one_horizon_it_is_the_forecast_itself() -> None:
    past = trace().until(_SINCE)
    expected = model("lightgbm").predict(histories(past, WINDOW)[-1:], origins(past, UTC)[-1:])[0, :4, _MEDIAN]

    np.testing.assert_allclose(_loop(4 * HOUR).said["lightgbm"], expected, rtol=1e-6)


def test_then_its_medians_are_the_history() -> None:
    first = _loop(6 * HOUR).said["lightgbm"]
    past = trace().until(_SINCE)
    told = series_of(np.concatenate([past.values, first]))
    clock = origins(past, UTC)[-1:] + 6 * 3600
    expected = model("lightgbm").predict(histories(told, WINDOW)[-1:], clock)[0, :, _MEDIAN]

    np.testing.assert_allclose(_loop(12 * HOUR).said["lightgbm"][6:], expected, rtol=1e-5)


def test_seasonal_naive_repeats_the_last_day_over_and_over() -> None:
    day = trace().until(_SINCE).values[-24:]

    np.testing.assert_allclose(_loop(3 * DAY, "seasonal-naive").said["seasonal-naive"], np.tile(day, 3), rtol=1e-6)


def test_what_comes_after_the_origin_changes_nothing() -> None:
    values = trace().values.copy()
    values[-4 * 24 :] = 7.0
    other = open_loop({"lightgbm": model("lightgbm")}, series_of(values), UTC, _SINCE, 2 * DAY)

    np.testing.assert_array_equal(other.said["lightgbm"], _loop(2 * DAY).said["lightgbm"])


def test_its_score_is_that_of_the_values_that_came() -> None:
    loop = _loop(2 * DAY)
    errors = trace().values[-4 * 24 : -2 * 24] - loop.said["lightgbm"]
    at = loop.to_dict()["scores"]["lightgbm"]

    assert at["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)
    assert at["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)


def test_what_was_not_recorded_is_not_scored() -> None:
    values = trace().values.copy()
    values[-4 * 24 + 5 :: 2] = np.nan
    at = open_loop({"p": model("persistence")}, series_of(values), UTC, _SINCE, DAY).to_dict()["scores"]["p"]
    errors = (values - values[-4 * 24 - 1])[-4 * 24 : -3 * 24]

    assert at["rmse"] == pytest.approx(np.sqrt(np.nanmean(errors**2)), rel=1e-5)


@pytest.mark.parametrize("length", [timedelta(minutes=30), 5 * DAY])
def test_a_length_that_cannot_be_held_against_anything_is_refused(length: timedelta) -> None:
    with pytest.raises(BacktestError, match="nothing to hold"):
        _loop(length)


def test_a_past_without_values_is_refused() -> None:
    values = trace().values.copy()
    values[: -4 * 24] = np.nan

    with pytest.raises(BacktestError, match="has nothing to say"):
        open_loop({"p": model("persistence")}, series_of(values), UTC, _SINCE, DAY)
