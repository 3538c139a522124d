"""A forecast at a moment is that of the steps before it, whatever comes after."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from controller.core.series import Series
from controller.forecaster import Model, local_seconds
from tests.training.small import HOUR, model, series_of, trace
from training.simulate.foresight import Forecasts

REACH = 3 * HOUR
COUNT = 30  # origins


@pytest.fixture
def judged() -> Model:
    return model("lightgbm")


def _forecasts(judged: Model, series: Series, unit: float = 1.0) -> Forecasts:
    return Forecasts.of(judged, series, UTC, since=_since(), reach=REACH, unit=unit)


def _since() -> datetime:
    return trace().end - COUNT * HOUR


def test_it_is_what_the_model_says_of_the_closed_steps(judged: Model) -> None:
    now = _since() + timedelta(hours=5, minutes=59)  # five more steps have closed
    history, forecast = _forecasts(judged, trace()).at(now)
    closed = trace().until(now)
    answer = judged.predict(
        closed.tail(judged.card.context).values[None].astype(np.float32),
        np.array([local_seconds(closed.end, UTC)], np.int64),
    )[0]
    assert forecast is not None
    assert history.end == forecast.origin == closed.end == _since() + 5 * HOUR
    assert history.values[-3:].tolist() == closed.values[-3:].tolist()
    np.testing.assert_allclose(forecast.quantiles, answer[: len(forecast.quantiles)], rtol=1e-5)
    assert forecast.horizon >= REACH
    assert (forecast.levels, forecast.season) == (judged.card.levels, judged.card.season)


@pytest.mark.parametrize("hours", [0, 1, 17])
def test_what_comes_later_changes_nothing(judged: Model, hours: int) -> None:
    now = _since() + hours * HOUR
    values = trace().values.copy()
    known = len(trace()) - COUNT + hours
    values[known:] = np.random.default_rng(1).uniform(0, 1e4, len(values) - known)  # seeded
    history, forecast = _forecasts(judged, trace()).at(now)
    other_history, other = _forecasts(judged, series_of(values)).at(now)
    assert forecast is not None
    assert other is not None
    np.testing.assert_array_equal(history.values, other_history.values)
    np.testing.assert_array_equal(forecast.quantiles, other.quantiles)


def test_a_shorter_past_says_the_same_as_long_as_it_lasts(judged: Model) -> None:
    now = _since() + 10 * HOUR
    _, whole = _forecasts(judged, trace()).at(now)
    _, part = _forecasts(judged, trace().until(now)).at(now)
    assert whole is not None
    assert part is not None
    np.testing.assert_array_equal(whole.quantiles, part.quantiles)


def test_counts_of_a_step_become_a_load_a_second(judged: Model) -> None:
    history, forecast = _forecasts(judged, trace(), unit=3600.0).at(_since())
    _, counts = _forecasts(judged, trace()).at(_since())
    assert forecast is not None
    assert counts is not None
    np.testing.assert_allclose(forecast.quantiles * 3600.0, counts.quantiles, rtol=1e-5)
    assert history.values[-1] * 3600.0 == pytest.approx(trace().until(_since()).values[-1])


def test_of_nothing_nothing_is_forecast(judged: Model) -> None:
    empty = np.full(len(trace()), np.nan)
    history, forecast = _forecasts(judged, series_of(empty)).at(_since())
    assert forecast is None
    assert np.isnan(history.values).all()


def test_before_the_first_value_there_is_nothing_to_ask(judged: Model) -> None:
    forecasts = Forecasts.of(judged, trace(), UTC, since=trace().start, reach=REACH)
    history, forecast = forecasts.at(trace().start)
    assert (len(history), forecast) == (0, None)
    assert forecasts.at(trace().start + 48 * HOUR)[1] is not None
