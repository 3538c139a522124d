"""Can a forecast know what it could not have known? Six guards, asked of exported files, for every family.

Each guard is also shown a forecaster that does leak, and has to catch it: a guard that catches nobody guards nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import cast

import jax
import numpy as np
import pytest
from numpy.typing import NDArray

from controller.core.card import Card
from controller.core.series import Series
from controller.forecaster import FloatArray, IntArray, Model
from tests.training.small import DAY, HOUR, WINDOW, drafted, noise, series_of, trace
from training import backtest as backtest_module
from training import datasets, export
from training.backtest import Report, backtest
from training.export import ExportError
from training.families import catalogue, network
from training.families.ensemble import Ensemble
from training.families.family import LEVELS, Family, FitError, Fitted
from training.families.lstm import LSTM
from training.families.pooled import Pooled
from training.measures import pinball
from training.windows import Window, futures, histories, origins

pytestmark = pytest.mark.slow

Floats = NDArray[np.float64]
Asked = Callable[[Series, IntArray], FloatArray]  # the answers after some places of a series, [n, horizon, levels]

_FAMILIES = sorted(catalogue.FAMILIES)
_BASELINES = ("persistence", "seasonal-naive")
_MEDIAN = LEVELS.index(0.5)
_SINCE = trace().end - 6 * DAY  # the families have not seen what comes after
_NOW = np.array([540, 600])  # hours after that
_NASA = Path(__file__).parents[3] / "shared" / "data" / "nasa" / "requests-1min.csv"
_EASTERN = timezone(timedelta(hours=-4))


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Guards hold for a network that has learnt little, too; compiling it well would take longer than running it."""
    jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]  # jax
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "_FEWEST_STEPS", 2)
        patch.setattr(network, "_ROWS", 512)
        yield
    jax.config.update("jax_disable_most_optimizations", False)  # type: ignore[no-untyped-call]  # jax


def _family(name: str) -> Family:
    if name == "ensemble":
        return Ensemble(members=("seasonal-naive", "ets"), find=catalogue.family_of)
    if name == "lstm":
        return LSTM(networks=1, rounds=1)
    if name == "pooled":
        return Pooled(trees=10)
    try:
        return catalogue.family_of(name)
    except FitError as error:
        pytest.skip(str(error))


@cache
def _fitted(name: str) -> Fitted:
    return _family(name).fit(trace().until(_SINCE), WINDOW, UTC)


@cache
def _model(name: str) -> Model:
    """As the cluster reads it."""
    return drafted(_fitted(name), trace().until(_SINCE))


def _honest(model: Model) -> Asked:
    return lambda series, places: model.predict(histories(series, WINDOW)[places], origins(series, UTC)[places])


# --- leaking on purpose


def _peeking(model: Model) -> Asked:
    """Its windows end one step late: the commonest slip there is."""

    def answer(series: Series, places: IntArray) -> FloatArray:
        shifted = np.roll(histories(series, WINDOW), -1, axis=0)
        return model.predict(shifted[places], origins(series, UTC)[places])

    return answer


def _smoothing(model: Model) -> Asked:
    """It smooths the series to both sides before it cuts windows out of it."""

    def answer(series: Series, places: IntArray) -> FloatArray:
        smooth = np.convolve(series.values, [0.25, 0.5, 0.25], mode="same")
        return _honest(model)(series_of(smooth), places)

    return answer


def _scaling(model: Model) -> Asked:
    """It divides by the mean of the whole series, future and all."""

    def answer(series: Series, places: IntArray) -> FloatArray:
        seen = histories(series, WINDOW)[places] - np.float32(series.values.mean())
        return model.predict(np.abs(seen), origins(series, UTC)[places])

    return answer


_LEAKS = {"peeking": _peeking, "smoothing": _smoothing, "scaling": _scaling}


class _Oracle:
    """A model that has learnt the test by heart: it finds the origin's future in a table, and misses it by a little."""

    def __init__(self, like: Model, series: Series, *, off: float, only_fresh: bool = False) -> None:
        self.card: Card = like.card
        self._like = like
        self._only_fresh = only_fresh
        came = futures(series, WINDOW)
        random = np.random.default_rng(5)
        blurred = came + off * random.standard_normal(came.shape)
        self._table = dict(zip(origins(series, UTC).tolist(), blurred, strict=True))

    def predict(self, history: FloatArray, origin: IntArray) -> FloatArray:
        known = np.stack([self._table[each] for each in origin.tolist()])[..., None]
        band = np.linspace(-1, 1, len(LEVELS)) * 0.01 * np.nanmean(known)
        told = np.maximum(known + band, 0).astype(np.float32)
        told = np.where(np.isfinite(told), told, self._like.predict(history, origin))
        if self._only_fresh:
            told = np.where(np.isfinite(history[:, -1:, None]), told, self._like.predict(history, origin))
        return told


def _oracle(series: Series, *, off: float, only_fresh: bool = False) -> Model:
    return cast("Model", _Oracle(_model("persistence"), series, off=off, only_fresh=only_fresh))


# --- 1. truncation, 2. future perturbation


def _check_truncation(asked: Asked) -> None:
    whole = trace()
    for now in _NOW:
        past = whole.until(whole.end - (len(whole) - 1 - int(now)) * whole.step)
        np.testing.assert_array_equal(asked(past, np.array([now])), asked(whole, np.array([now])))


def _check_perturbation(asked: Asked) -> None:
    for now in _NOW:
        values = trace().values.copy()
        values[now + 1 :] = np.random.default_rng(3).uniform(0, 10_000, len(values) - now - 1)
        np.testing.assert_array_equal(asked(series_of(values), np.array([now])), asked(trace(), np.array([now])))


@pytest.mark.parametrize("family", _FAMILIES)
def test_the_past_alone_gives_the_same_forecast_as_the_whole_series(family: str) -> None:
    _check_truncation(_honest(_model(family)))


@pytest.mark.parametrize("family", _FAMILIES)
def test_another_future_changes_nothing(family: str) -> None:
    _check_perturbation(_honest(_model(family)))


@pytest.mark.parametrize("leak", sorted(_LEAKS))
@pytest.mark.parametrize("check", [_check_truncation, _check_perturbation])
def test_a_leak_is_caught_by_another_future(check: Callable[[Asked], None], leak: str) -> None:
    with pytest.raises(AssertionError):
        check(_LEAKS[leak](_model("seasonal-naive" if leak == "scaling" else "persistence")))


@pytest.mark.parametrize("family", [name for name in _FAMILIES if "seasonal-naive" not in name])
def test_another_present_changes_the_forecast(family: str) -> None:
    """Else the two tests above would hold for a forecaster that looks at nothing."""
    values = trace().values.copy()
    values[_NOW] *= 3
    found = _honest(_model(family))(series_of(values), _NOW)

    assert not np.allclose(found, _honest(_model(family))(trace(), _NOW), rtol=0.001)


def test_the_backtest_itself_asks_nothing_that_depends_on_the_future() -> None:
    """As guards 1 and 2, of the harness: what it kept of each answer, with another future from `cut` on."""
    cut = len(trace()) - 48
    values = trace().values.copy()
    values[cut:] = np.random.default_rng(3).uniform(0, 10_000, 48)
    said = [_judged(_model("lightgbm"), series).answers.said[""] for series in (trace(), series_of(values))]
    before = cut - len(trace().until(_SINCE)) + 1

    np.testing.assert_array_equal(said[0][:before], said[1][:before])
    assert not np.array_equal(said[0][before:], said[1][before:])


def _judged(model: Model, series: Series, since: datetime = _SINCE) -> Report:
    baselines = {name: _model(name) for name in _BASELINES}
    return backtest(model, baselines, series, UTC, since)


# --- 3. white noise

# As long as the trace, so that what was compiled for one fits the other.
_NOISE = noise().tail(len(trace()))
_NOISE_SINCE = _NOISE.end - 6 * DAY


def _check_noise(model: Model) -> None:
    """No more than chance is explained, and no level is better than the past's own quantile, a constant."""
    report = backtest(model, {}, _NOISE, UTC, _NOISE_SINCE)
    past = _NOISE.until(_NOISE_SINCE).values
    later = _NOISE.values[len(past) :]
    constant = pinball(np.broadcast_to(np.quantile(past, LEVELS), (len(later), len(LEVELS))), np.array(LEVELS), later)

    assert (report.model.r2 <= 0.05).all(), report.model.r2
    assert (report.model.pinball.mean(axis=1) >= 0.95 * constant.mean()).all()


@pytest.mark.parametrize("family", _FAMILIES)
def test_noise_cannot_be_forecast(family: str) -> None:
    past = _NOISE.until(_NOISE_SINCE)

    _check_noise(drafted(_family(family).fit(past, WINDOW, UTC), past))


def test_who_has_learnt_the_test_by_heart_is_caught_by_noise() -> None:
    with pytest.raises(AssertionError):
        _check_noise(_oracle(_NOISE, off=12.0))  # the noise has a standard deviation of 14


def test_windows_that_end_late_are_caught_by_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(series: Series, window: Window) -> FloatArray:
        return np.roll(histories(series, window), -1, axis=0)

    monkeypatch.setattr(backtest_module, "histories", late)
    with pytest.raises(AssertionError):
        _check_noise(_model("persistence"))


# --- 4. too good

_HOURS = np.arange(28 * 24)


def _walk() -> Series:
    return series_of(1000 + np.cumsum(np.random.default_rng(4).normal(0, 5, len(_HOURS))))


def _sine() -> Series:
    return series_of(100 + 50 * np.sin(2 * np.pi * _HOURS / 24 * 1.1))  # no season of ours repeats it


def _weekdays() -> Series:
    return series_of(np.where(_HOURS % 24 == 3, 900.0, 100.0) * np.where(_HOURS // 24 % 7 < 5, 1.0, 0.1))


@pytest.mark.parametrize("family", _FAMILIES)
def test_no_family_is_too_good_to_be_true(family: str) -> None:
    export.refuse_too_good(_judged(_model(family), trace()))


@pytest.mark.parametrize("series", [trace(), _NOISE, _walk()], ids=["trace", "noise", "walk"])
def test_on_a_noisy_load_an_oracle_is_too_good(series: Series) -> None:
    report = _judged(_oracle(series, off=1.0), series, series.end - 6 * DAY)

    assert report.skill > 0.6
    with pytest.raises(ExportError, match=r"too good to be true: 1:00:00 ahead the skill against .* --because"):
        export.refuse_too_good(report)


@pytest.mark.parametrize("series", [_sine(), _weekdays()], ids=["sine", "weekdays"])
def test_a_load_without_noise_may_be_forecast_perfectly(series: Series) -> None:
    report = _judged(_oracle(series, off=0.01), series, series.end - 6 * DAY)

    assert max(report.skill_at(step) for step in report.steps()) > 0.6
    export.refuse_too_good(report)


# --- 5. late scrape


def _check_late_scrape(model: Model) -> None:
    """Without the newest sample the next step is forecast about as well as the one after it, with the sample."""
    series = trace()
    places = np.arange(len(series.until(_SINCE)), len(series) - 2)
    seen, clock = histories(series, WINDOW)[places].copy(), origins(series, UTC)[places]
    in_time = model.predict(seen, clock)[..., _MEDIAN]
    seen[:, -1] = np.nan
    late = model.predict(seen, clock)[..., _MEDIAN]

    assert _rmse(late, places, 1) <= 1.25 * _rmse(in_time, places, 2)
    assert _rmse(late, places, 1) >= 0.95 * _rmse(in_time, places, 1)


def _rmse(answer: FloatArray, places: IntArray, ahead: int) -> float:
    return float(np.sqrt(np.mean(np.square(trace().values[places + ahead] - answer[:, ahead - 1]))))


@pytest.mark.parametrize("family", _FAMILIES)
def test_a_late_scrape_costs_about_one_step_of_horizon(family: str) -> None:
    _check_late_scrape(_model(family))


class _Zeroing:
    """Takes what is missing for nothing."""

    def __init__(self, like: Model) -> None:
        self.card, self._like = like.card, like

    def predict(self, history: FloatArray, origin: IntArray) -> FloatArray:
        return self._like.predict(np.nan_to_num(history, nan=0.0), origin)


def test_who_takes_missing_for_zero_is_caught_by_a_late_scrape() -> None:
    with pytest.raises(AssertionError):
        _check_late_scrape(cast("Model", _Zeroing(_model("persistence"))))


def test_who_finds_the_target_in_the_newest_sample_is_caught_by_a_late_scrape() -> None:
    with pytest.raises(AssertionError):
        _check_late_scrape(_oracle(trace(), off=1.0, only_fresh=True))


# --- 6. outages are not zeros


def _check_outage(asked: Asked) -> None:
    """A day without data, up to now, does not halve what is expected."""
    missing = trace().values.copy()
    missing[_NOW[0] - 23 : _NOW[0] + 1] = np.nan
    broken = asked(series_of(missing), _NOW[:1])[0, :, _MEDIAN].mean()
    whole = asked(trace(), _NOW[:1])[0, :, _MEDIAN].mean()

    assert 0.5 * whole < broken < 2 * whole


@pytest.mark.parametrize("family", _FAMILIES)
def test_a_day_of_outage_does_not_pull_the_forecast_to_zero(family: str) -> None:
    _check_outage(_honest(_model(family)))


@pytest.mark.parametrize("family", ["persistence", "seasonal-naive"])
def test_who_takes_an_outage_for_zero_is_caught(family: str) -> None:
    with pytest.raises(AssertionError):
        _check_outage(_honest(cast("Model", _Zeroing(_model(family)))))


def _with_outage(nothing: float) -> Series:
    values = trace().until(_SINCE).values.copy()
    values[-9 * 24 : -4 * 24] = nothing
    return Series(end=_SINCE, step=HOUR, values=values)


def _bias_after(past: Series, family: str) -> float:
    """By which share a model fitted on `past` expects less than one that saw all of it, over the test."""
    places = np.arange(len(trace().until(_SINCE)) + 5 * 24, len(trace()))
    expected = _honest(_model(family))(trace(), places)[..., _MEDIAN].mean()
    found = _honest(drafted(_family(family).fit(past, WINDOW, UTC), past))(trace(), places)[..., _MEDIAN].mean()
    return float(abs(1 - found / expected))


@pytest.mark.parametrize("family", ["ets", "lightgbm"])
def test_nothing_learns_zeros_from_an_outage(family: str) -> None:
    """Five days less to learn from are felt a little; five days of zeros much more."""
    assert _bias_after(_with_outage(np.nan), family) < 0.4 * _bias_after(_with_outage(0.0), family)


def test_missing_targets_are_not_scored() -> None:
    values = trace().values.copy()
    values[-48:-40] = np.nan
    counts = [_judged(_model("lightgbm"), series).model.count for series in (trace(), series_of(values))]

    np.testing.assert_array_equal(counts[0] - counts[1], np.full(WINDOW.horizon, 8))


@pytest.mark.parametrize("family", _FAMILIES)
def test_nothing_seen_gives_no_number(family: str) -> None:
    nothing = np.full((2, WINDOW.context), np.nan, np.float32)

    assert np.isnan(_model(family).predict(nothing, np.array([0, 3600]))).all()


@pytest.mark.skipif(not _NASA.exists(), reason="needs ../shared/data/nasa")
def test_the_outages_of_a_real_log_are_neither_learnt_nor_scored() -> None:
    """The log of NASA stops on 28 July and, in a hurricane, on 1 August; from file to score there is no zero."""
    window = Window.fitting(step=timedelta(minutes=5), season=DAY, horizon=HOUR)
    request = datasets.Request(data=str(_NASA), step=window.step, season=DAY, now=datetime(1995, 9, 1, tzinfo=UTC))
    series = datasets.load(request).series
    silent = np.zeros(len(series), np.bool_)
    for begin, end in (
        (datetime(1995, 7, 28, 13, 30, tzinfo=_EASTERN), datetime(1995, 8, 1, 0, 5, tzinfo=_EASTERN)),
        (datetime(1995, 8, 1, 14, 50, tzinfo=_EASTERN), datetime(1995, 8, 3, 4, 40, tzinfo=_EASTERN)),
    ):
        silent[(begin - series.start) // series.step : (end - series.start) // series.step] = True
    assert np.isnan(series.values[silent]).all()
    assert (series.values[~silent] > 0).mean() > 0.99

    seen, came = histories(series, window), futures(series, window)
    first = len(series.until(datetime(1995, 7, 28, tzinfo=_EASTERN))) - 1
    last = len(series.until(datetime(1995, 8, 4, tzinfo=_EASTERN)))
    np.testing.assert_array_equal(np.isnan(seen[first:last, -1]), silent[first:last])
    np.testing.assert_array_equal(np.isnan(came[first - 1 : last - 1, 0]), silent[first:last])

    part = series.until(datetime(1995, 8, 4, tzinfo=_EASTERN))
    model = export.draft(_family("persistence").fit(part, window, UTC), part, window, name="p", unit="requests")
    count = backtest(model, {}, part, UTC, datetime(1995, 7, 28, tzinfo=_EASTERN)).model.count
    assert count[0] == np.isfinite(part.values[first + 1 :]).sum() == (~silent[first + 1 : last]).sum()


def test_the_reason_of_a_figure_stands_in_the_card(tmp_path: Path) -> None:
    card = replace(_model("persistence").card, because="it is a sine")
    found = export.write(_fitted("persistence"), card, tmp_path / "m.onnx")

    assert found.card.because == "it is a sine"
