"""Do the statistical families forecast what their libraries say, and what the contract asks?"""

from __future__ import annotations

import sys
from datetime import UTC
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from controller.forecaster import Model, Session
from tests.training.small import DAY, END, HOUR, WINDOW, drafted, model, noise, series_of, trace
from training.backtest import backtest
from training.export import draft
from training.families.bands import add_quantiles, band_of, quantiles_of
from training.families.family import LEVELS, Family, FitError, Fitted
from training.families.filters import Candidate, Still
from training.families.prophet import ProphetFamily
from training.families.sarima import Order, Sarima
from training.families.smoothing import Form, Smoothing
from training.families.weekly import add_slot, fit_week, is_weekend, slots_of, week_of
from training.generated import generate
from training.graph import Graph
from training.windows import Window, histories, origins

pytestmark = pytest.mark.slow

Floats = NDArray[np.float64]

_SARIMA = Sarima(orders=((1, 0), (2, 1)))
_AFFINE: dict[str, Family] = {each.name: each for each in (Smoothing(), _SARIMA)}
_FAMILIES: dict[str, Family] = {**_AFFINE, "prophet": ProphetFamily()}
_MEDIAN = LEVELS.index(0.5)
_WEEK = week_of(WINDOW)


@cache
def _fitted(family: str) -> Fitted:
    if family == "prophet":
        pytest.importorskip("prophet")
    return _FAMILIES[family].fit(trace(), WINDOW, UTC)


@cache
def _model(family: str) -> Model:
    return drafted(_fitted(family), trace())


@given(
    scale=st.floats(1e-3, 1e6),
    gaps=st.sets(st.integers(0, WINDOW.context - 1), max_size=WINDOW.context - 1),
    spike=st.floats(0, 100),
)
@settings(deadline=None, max_examples=25)
def test_prophet_s_quantiles_are_ordered_and_never_below_zero(scale: float, gaps: set[int], spike: float) -> None:
    history = histories(trace(), WINDOW)[-1:] * np.float32(scale)
    history[0, -1] *= np.float32(spike)
    history[0, sorted(gaps)] = np.nan
    found = _model("prophet").predict(history, origins(trace(), UTC)[-1:])

    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found, axis=-1) >= 0).all()


@pytest.mark.parametrize("family", sorted(_AFFINE))
def test_an_idle_workload_is_expected_to_stay_idle(family: str) -> None:
    idle = np.zeros((1, WINDOW.context), np.float32)

    assert (_model(family).predict(idle, np.array([0])) == 0).all()


def test_prophet_knows_the_unit_it_learned_and_goes_part_of_the_way_to_another_level() -> None:
    history, origin = histories(trace(), WINDOW)[-5:], origins(trace(), UTC)[-5:]
    usual = _model("prophet").predict(history, origin)[..., _MEDIAN]
    doubled = _model("prophet").predict(history * np.float32(2), origin)[..., _MEDIAN]

    assert (doubled > usual).all()
    assert (doubled < 2 * usual).all()


def test_prophet_s_trend_stands_still_where_nothing_is_known_of_it() -> None:
    history, origin = histories(trace(), WINDOW)[-1:], origins(trace(), UTC)[-1:]
    soon, late = (_model("prophet").predict(history, origin + weeks * 7 * 86400) for weeks in (100, 1000))

    np.testing.assert_array_equal(soon, late)
    assert np.isfinite(late).all()


def test_prophet_of_a_few_days_is_written_down_as_it_is() -> None:
    """A fifth of so short a span is less than the season over which it is asked how far off it was."""
    window = Window.fitting(step=HOUR / 4, season=DAY, horizon=2 * HOUR)
    days = generate(1, step=window.step, season=DAY, seasons=4)

    draft(ProphetFamily().fit(days, window, UTC), days, window, name="days", unit="load")  # compares


@pytest.mark.parametrize("family", sorted(_FAMILIES))
def test_they_beat_the_naive_forecasts_and_their_levels_hold(family: str) -> None:
    since = trace().end - 4 * DAY
    past = trace().until(since)
    tried = draft(_FAMILIES[family].fit(past, WINDOW, UTC), past, WINDOW, name=family, unit="load")
    baselines = {name: model(name) for name in ("persistence", "seasonal-naive")}
    report = backtest(tried, baselines, trace(), UTC, since)

    assert report.skill > 0.1
    np.testing.assert_allclose(report.model.coverage.mean(axis=0), LEVELS, atol=0.2)


def test_where_nothing_can_be_known_the_mean_is_expected() -> None:
    since = noise().end - 14 * DAY
    past = noise().until(since)
    tried = draft(_SARIMA.fit(past, WINDOW, UTC), past, WINDOW, name="noise", unit="load")
    rmse = backtest(tried, {"persistence": model("persistence")}, noise(), UTC, since).model.rmse

    # The values are Poisson's with a mean of 200.
    np.testing.assert_allclose(rmse, np.sqrt(200), rtol=0.08)


@pytest.mark.parametrize("family", sorted(_AFFINE))
def test_a_load_that_repeats_exactly_is_expected_to_go_on(family: str) -> None:
    day = 100 + 50 * np.sin(2 * np.pi * np.arange(24) / 24)
    found = _AFFINE[family].fit(series_of(np.tile(day, 28)), WINDOW, UTC).examples.quantiles[-1]

    np.testing.assert_allclose(found, np.tile(day[:6, None], len(LEVELS)), rtol=1e-3)


@pytest.mark.parametrize("family", sorted(_AFFINE))
def test_an_outage_is_not_taken_for_a_quiet_time(family: str) -> None:
    history, origin = histories(trace(), WINDOW)[-24:], origins(trace(), UTC)[-24:]
    apart = []
    for stands_for_nothing in (np.nan, 0.0):
        values = trace().values.copy()
        values[-320:-150] = stands_for_nothing
        other = drafted(_AFFINE[family].fit(series_of(values), WINDOW, UTC), series_of(values))
        apart.append(np.abs(other.predict(history, origin) - _model(family).predict(history, origin)).mean())

    assert apart[0] < 0.5 * apart[1]


@pytest.mark.parametrize(
    "candidate",
    [
        Order(autoregressive=2, moving=1),
        Order(autoregressive=1, moving=0),
        *(Form(has_trend=trend, is_seasonal=seasonal) for trend in (False, True) for seasonal in (False, True)),
        Still(),
    ],
)
def test_the_matrix_is_what_unit_impulses_through_the_library_give(candidate: Candidate) -> None:
    random = np.random.default_rng(1)  # seeded
    window = Window(step=HOUR, season=6 * HOUR, context=24, horizon=8)
    tilted = np.tile(np.arange(6.0), 50) + np.cumsum(random.normal(size=300)) * 0.3 + random.normal(size=300)
    found = candidate.fit(tilted - tilted.mean(), window)
    impulses = [found.forecast(row, window.horizon) for row in np.eye(window.context)]

    np.testing.assert_allclose(found.kernel(window), np.stack(impulses, axis=1), atol=1e-8)


@pytest.mark.parametrize("has_trend", [False, True])
@pytest.mark.parametrize("is_seasonal", [False, True])
def test_smoothing_expects_what_statsmodels_does(has_trend: bool, is_seasonal: bool) -> None:
    """Within a season; at its last step statsmodels forgets what it has just learned."""
    values = (trace().values / trace().values.mean())[-15 * 24 :]
    smoother = Form(has_trend=has_trend, is_seasonal=is_seasonal).fit(values, WINDOW)
    named = {"smoothing_level": smoother.weights.level}
    if has_trend:
        named |= {"smoothing_trend": smoother.weights.trend, "damping_trend": smoother.weights.damping}
    if is_seasonal:
        named["smoothing_seasonal"] = smoother.weights.season
    expected = smoother.form.model(values, WINDOW).fit(**named, optimized=False).forecast(23)

    np.testing.assert_allclose(smoother.forecast(values, 23), expected)


@pytest.mark.parametrize("family", sorted(_FAMILIES))
@pytest.mark.parametrize(
    "values",
    [
        np.arange(50.0),
        np.zeros(1000),
        np.full(1000, np.nan),
        np.concatenate([np.full(1500, np.nan), np.arange(1.0, 31.0)]),
        np.concatenate([np.arange(1.0, 601.0), np.full(400, np.nan)]),
        np.empty(0),
    ],
)
def test_too_little_to_learn_from_is_refused(family: str, values: Floats) -> None:
    with pytest.raises(FitError, match="give more history"):
        _FAMILIES[family].fit(series_of(values), WINDOW, UTC)


def test_without_prophet_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prophet", None)

    with pytest.raises(FitError, match=r"install predictive-scaler\[prophet\]"):
        ProphetFamily().fit(trace(), WINDOW, UTC)


def test_prophet_is_quiet_and_gives_the_same_again(capfd: pytest.CaptureFixture[str]) -> None:
    expected = _fitted("prophet").examples.quantiles
    told: list[tuple[int, int]] = []
    again = ProphetFamily(progress=lambda done, total: told.append((done, total))).fit(trace(), WINDOW, UTC)

    np.testing.assert_array_equal(again.examples.quantiles, expected)
    assert told == [(1, 2), (2, 2)]
    assert capfd.readouterr() == ("", "")


def test_progress_ends_when_all_candidates_are_tried() -> None:
    told: list[tuple[int, int]] = []
    Smoothing(progress=lambda done, total: told.append((done, total))).fit(trace(), WINDOW, UTC)

    assert told == [(done, 5) for done in range(1, 6)]


def _blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_arma_keeps_blas_to_one_thread_and_gives_back_what_it_took() -> None:
    during: list[set[int]] = []
    with threadpool_limits(2, "blas"):
        before = _blas_threads()
        Sarima(orders=((1, 0),), progress=lambda _done, _all: during.append(_blas_threads())).fit(trace(), WINDOW, UTC)
        after = _blas_threads()

    assert before == after == {2}
    assert during == [{1}, {1}]


class TestTheWeek:
    """What is usual at each step of it."""

    clock = origins(trace(), UTC)
    slot = slots_of(clock, WINDOW)

    def test_its_steps_are_numbered_alike_in_the_graph(self) -> None:
        graph = Graph(context=WINDOW.context)
        number = graph.add("CastLike", add_slot(graph, WINDOW), graph.constant(0.0))
        column = graph.add("Unsqueeze", number, graph.integers([1]))
        clock = np.array([0, 1, 3599, 3600, 604_800, 1_706_486_400, 1_706_486_399])
        found = Session(graph.to_bytes(column, "slot", ["batch", 1], {})).run(
            np.zeros((len(clock), WINDOW.context), np.float32), clock
        )

        np.testing.assert_array_equal(found[:, 0], slots_of(clock, WINDOW))

    def test_its_weekend_is_saturday_and_sunday(self) -> None:
        # The trace ends as a Monday begins.
        np.testing.assert_array_equal(is_weekend(self.slot[-49:], WINDOW), [False] + [True] * 48)
        assert END.weekday() == 0

    def test_it_follows_the_hour_and_the_weekend(self) -> None:
        random = np.random.default_rng(1)  # seeded
        wave = 1 + 0.5 * np.sin(2 * np.pi * np.arange(_WEEK) / 24) * np.where(
            is_weekend(np.arange(_WEEK), WINDOW), 0.5, 1
        )
        found = fit_week(wave[self.slot] + random.normal(0, 0.05, len(self.slot)), self.slot, WINDOW)

        assert np.sqrt(np.mean(np.square(found - wave))) < 0.03

    def test_a_job_by_the_clock_is_seen_at_its_step_alone(self) -> None:
        random = np.random.default_rng(1)  # seeded
        window = Window(step=HOUR / 12, season=DAY, context=288, horizon=6)
        spiky = np.where(np.arange(28 * 288) % 288 == 100, 5.0, 1.0) + random.normal(0, 0.05, 28 * 288)
        found = fit_week(spiky, np.arange(28 * 288) % week_of(window), window)

        np.testing.assert_allclose(found[[99, 100, 101]], [1, 5, 1], atol=0.3)

    def test_an_odd_day_does_not_count(self) -> None:
        values = 1 + 0.1 * np.sin(2 * np.pi * self.slot / 24)
        odd = values.copy()
        odd[-48:-24] *= 20
        apart = np.abs(fit_week(odd, self.slot, WINDOW) - fit_week(values, self.slot, WINDOW))

        assert apart.mean() < 0.05

    def test_what_is_not_recorded_is_not_zero(self) -> None:
        values = np.where(np.arange(len(self.slot)) % 5, 1.0, np.nan)

        np.testing.assert_allclose(fit_week(values, self.slot, WINDOW), 1, atol=1e-3)


class TestBands:
    """How far a forecast may be off."""

    def test_their_levels_cover_as_much_of_the_errors_as_they_say(self) -> None:
        random = np.random.default_rng(1)  # seeded
        errors = random.standard_t(4, (5000, 3)) * [1, 2, 5]
        covered = (errors[..., None] <= band_of(errors, np.zeros(3))).mean(axis=0)

        np.testing.assert_allclose(covered, np.tile(LEVELS, (3, 1)), atol=0.02)

    def test_the_graph_draws_them_as_numpy_does(self) -> None:
        random = np.random.default_rng(1)  # seeded
        seen = random.normal(1, 1, (4, 3)).astype(np.float32)
        band = np.sort(random.normal(size=(3, len(LEVELS))))
        graph = Graph(context=3)
        level = graph.constant([[7.0]])
        quantiles = add_quantiles(graph, graph.history, level, band)
        found = Session(graph.to_bytes(quantiles, "quantiles", ["batch", 3, len(LEVELS)], {})).run(
            seen, np.zeros(4, np.int64)
        )

        expected = quantiles_of(seen.astype(np.float64), np.full((4, 1), 7.0), band)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

    def test_a_few_errors_are_no_band(self) -> None:
        errors = np.full((100, 2), np.nan)
        errors[:19] = 1.0

        with pytest.raises(FitError, match="fewer than 20 values"):
            band_of(errors, np.zeros(2))
