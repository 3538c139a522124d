"""Do the experts measure the load itself, and does what they agree on hold on loads of any shape?"""

from __future__ import annotations

from datetime import UTC, timedelta
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.forecaster import FloatArray, Model, Session
from tests.training.small import DAY, HOUR, series_of, trace
from training import export
from training.backtest import backtest
from training.experts import add_experts, between
from training.families.family import LEVELS, FitError, Past
from training.families.pooled import Pooled
from training.families.seasonal import PERSISTENCE, SEASONAL_NAIVE
from training.features import keys
from training.generated import Workload, sample
from training.graph import Graph
from training.windows import Window, histories, origins

pytestmark = pytest.mark.slow

_STEP = timedelta(minutes=30)
_WINDOW = Window.fitting(step=_STEP, season=DAY, horizon=6 * HOUR)
_MEDIAN = LEVELS.index(0.5)
_CAP = 4.0  # what the module promises: never above so many times the largest load of the history


def _agreed(values: NDArray[np.float64]) -> tuple[FloatArray, FloatArray]:
    """What the experts agree on after the last value, and its mean error, in the load's unit."""
    graph = Graph(context=_WINDOW.context)
    experts = add_experts(graph, _WINDOW)
    both = (graph.add("Mul", value, experts.level) for value in (experts.base, experts.scale))
    session = Session(graph.to_bytes(graph.add("Concat", *both, axis=1), "both", ["batch", 24], {}))
    series = series_of(values, step=_STEP)
    found = session.run(histories(series, _WINDOW)[-1:], origins(series, UTC)[-1:])[0]
    return found[:12], found[12:]


def _load(days: int = 9, **ingredients: float) -> NDArray[np.float64]:
    return Workload(a_day=1e7, **ingredients).series(3, step=_STEP, season=DAY, seasons=days).values


def test_a_day_that_repeats_is_expected_again() -> None:
    values = _load(daily=0.6, ripple=0.3)
    base, _ = _agreed(values)

    np.testing.assert_allclose(base, values[-48:-36], rtol=0.02)


def test_a_load_without_a_rhythm_is_expected_to_stay_where_it_is_on_average() -> None:
    values = _load(noise=0.3)
    base, scale = _agreed(values)

    np.testing.assert_allclose(base, values.mean(), rtol=0.2)
    np.testing.assert_allclose(scale, np.abs(values - values.mean()).mean(), rtol=0.3)


def test_a_level_that_has_shifted_is_expected_to_stay() -> None:
    values = np.where(np.arange(9 * 48) < 9 * 48 - 30, 100.0, 300.0)
    base, _ = _agreed(values)

    np.testing.assert_allclose(base, 300, rtol=0.1)


def test_jobs_of_every_second_hour_come_at_their_minute() -> None:
    values = np.where(np.arange(9 * 48) % 4 == 0, 500.0, 100.0)
    base, _ = _agreed(values)

    np.testing.assert_allclose(base, [500 if step % 4 == 0 else 100 for step in range(12)], rtol=0.3)


def test_a_busier_day_moves_the_shape_of_earlier_ones() -> None:
    usual = 1 + 0.6 * np.sin(2 * np.pi * np.arange(9 * 48) / 48)
    base, _ = _agreed(100 * usual * np.where(np.arange(9 * 48) < 8 * 48 + 12, 1.0, 1.5))

    np.testing.assert_allclose(base, 150 * usual[:12], rtol=0.15)


def test_the_agreed_error_is_that_of_the_better_kind_of_expert() -> None:
    """A rhythm under noise: the mean over earlier days misses by the noise, the last value by the swing."""
    _, scale = _agreed(_load(daily=0.8, noise=0.05))

    assert scale[-1] < 0.12 * 1e7 / 48


def test_every_step_weighs_the_keys_around_it() -> None:
    weights = between(_WINDOW)

    np.testing.assert_allclose(weights.sum(axis=0), 1)
    np.testing.assert_allclose(weights[:, np.array(keys(_WINDOW)) - 1], np.eye(len(keys(_WINDOW))))


@cache
def _pooled() -> Model:
    """Trees on a few made-up workloads of half-hour steps."""
    pasts = [Past(series=sample(seed).series(seed, step=_STEP, season=DAY, seasons=14), zone=UTC) for seed in range(12)]
    told: list[tuple[int, int]] = []
    fitted = Pooled(trees=25, progress=lambda done, total: told.append((done, total))).fit_many(pasts, _WINDOW)
    assert told == [(done, len(LEVELS)) for done in range(1, len(LEVELS) + 1)]
    return export.draft(fitted, pasts[-1].series, _WINDOW, name="pooled", unit="load")


@pytest.mark.parametrize("shown", [None, 48])
def test_it_beats_the_naive_forecasts_of_a_load_it_never_saw(shown: int | None) -> None:
    load = Workload(a_day=20_000, daily=0.5, weekend=0.1, wander=0.15, noise=0.1)
    series = load.series(77, step=_STEP, season=DAY, seasons=28)
    since = series.end - 7 * DAY
    if shown is not None:
        series = series_of(
            np.concatenate([np.full(21 * 48 - shown, np.nan), series.values[21 * 48 - shown :]]), step=_STEP
        )
    past = load.series(78, step=_STEP, season=DAY, seasons=28)
    naive = {
        family.name: export.draft(family.fit(past, _WINDOW, UTC), past, _WINDOW, name=family.name, unit="load")
        for family in (PERSISTENCE, SEASONAL_NAIVE)
    }
    report = backtest(_pooled(), naive, series, UTC, since)

    assert report.skill > 0.1
    np.testing.assert_allclose(report.model.coverage.mean(axis=0), LEVELS, atol=0.12)


_LEVEL = st.sampled_from([0.0, 1e-6, 1.0, 50.0, 1e9])


@st.composite
def _shapes(draw: st.DrawFn) -> FloatArray:
    """Metrics of bad shape: idle, constant, one value, a few spikes far above the rest, gaps anywhere."""
    history = np.full(_WINDOW.context, draw(_LEVEL), np.float64)
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    if draw(st.booleans()):
        history *= random.uniform(0, 2, len(history))
    spikes = random.integers(0, len(history), draw(st.integers(0, 5)))
    history[spikes] = draw(st.floats(0, 100)) * max(1.0, history.max())
    history[random.uniform(size=len(history)) < draw(st.sampled_from([0.0, 0.3, 0.95]))] = np.nan
    history[: draw(st.sampled_from([0, 300, len(history) - 48, len(history) - 1]))] = np.nan
    if not np.isfinite(history).any():
        history[-1] = draw(_LEVEL)
    return history.astype(np.float32)[None]


@given(history=_shapes(), origin=st.integers(0, 2_000_000_000))
@settings(deadline=None, max_examples=150)
def test_bad_shapes_give_sane_forecasts(history: FloatArray, origin: int) -> None:
    found = _pooled().predict(history, np.array([origin]))

    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found, axis=-1) >= 0).all()
    assert found.max() <= _CAP * np.nanmax(history) * 1.001


def test_a_history_of_nothing_gives_nothing() -> None:
    assert np.isnan(_pooled().predict(np.full((1, _WINDOW.context), np.nan, np.float32), np.array([0]))).all()


def test_the_unit_of_the_load_does_not_matter() -> None:
    series = series_of(_load(daily=0.5, noise=0.1), step=_STEP)
    history, origin = histories(series, _WINDOW)[-5:], origins(series, UTC)[-5:]

    small, large = (_pooled().predict(history * np.float32(factor), origin) for factor in (1, 1024))
    np.testing.assert_allclose(large, 1024 * small, rtol=1e-3)


def test_what_comes_changes_nothing() -> None:
    values = _load(daily=0.5, noise=0.1)
    other = values.copy()
    other[-48:] = 7
    answers = [
        _pooled().predict(histories(series, _WINDOW)[[-49]], origins(series, UTC)[[-49]])
        for series in (series_of(values, step=_STEP), series_of(other, step=_STEP))
    ]

    np.testing.assert_array_equal(answers[0], answers[1])


def test_a_context_of_one_season_is_refused() -> None:
    window = Window.fitting(step=timedelta(seconds=5), season=DAY, horizon=HOUR)
    with pytest.raises(FitError, match="two seasons"):
        Pooled().fit(series_of(np.ones(100), step=window.step), window, UTC)


@pytest.mark.parametrize("values", [np.full(500, np.nan), np.zeros(500), np.ones(1), np.empty(0)])
def test_too_little_to_learn_from_is_refused(values: NDArray[np.float64]) -> None:
    with pytest.raises(FitError, match="give more history"):
        Pooled().fit(series_of(values, step=_STEP), _WINDOW, UTC)


def test_a_single_series_is_enough() -> None:
    window = Window.fitting(step=HOUR, season=DAY, horizon=6 * HOUR)
    fitted = Pooled(trees=5).fit(trace(), window, UTC)

    assert export.draft(fitted, trace(), window, name="pooled", unit="load").card.family == "pooled"


def test_fitting_twice_makes_the_same_file() -> None:
    pasts = [Past(series=series_of(_load(daily=0.5, noise=0.1), step=_STEP), zone=UTC)]
    first, second = (
        export.draft(Pooled(trees=3).fit_many(pasts, _WINDOW), pasts[0].series, _WINDOW, name="pooled", unit="load")
        for _ in range(2)
    )

    assert first.digest == second.digest
