"""Is the exported network the one that learned, and does it learn from nothing but the past?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, timedelta

import jax
import numpy as np
import pytest

from controller.forecaster import FloatArray, Session
from tests.training.small import DAY, WINDOW, drafted, model, series_of, trace
from training.backtest import backtest
from training.families import lstm, network
from training.families.catalogue import family_of
from training.families.family import FitError, Fitted
from training.families.lstm import LSTM
from training.families.sequence import CHANNELS, WIDEST, Lessons, Scales, add_inputs, see
from training.graph import Graph
from training.windows import Window, histories, origins

pytestmark = pytest.mark.slow

_SINCE = trace().end - 4 * DAY
_PAST = trace().until(_SINCE)
_SMALL = LSTM(networks=2, rounds=3)
_FIVE_MINUTES = Window.fitting(step=timedelta(minutes=5), season=DAY, horizon=timedelta(hours=6))


@pytest.fixture(scope="module", autouse=True)
def _quickly_learned() -> Iterator[None]:
    """Small batches teach enough; compiling a network well would take longer than these few rounds of it."""
    jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]  # jax
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "_ROWS", 64)
        yield
    jax.config.update("jax_disable_most_optimizations", False)  # type: ignore[no-untyped-call]  # jax


@pytest.fixture(scope="module")
def told() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def fit(told: list[tuple[int, int]]) -> Fitted:
    """Two networks, a few rounds."""
    watched = LSTM(networks=2, rounds=3, progress=lambda done, total: told.append((done, total)))
    return watched.fit(_PAST, WINDOW, UTC)


def test_it_beats_the_naive_forecasts(fit: Fitted) -> None:
    baselines = {name: model(name) for name in ("persistence", "seasonal-naive")}

    assert backtest(drafted(fit, _PAST), baselines, trace(), UTC, _SINCE).skill > 0.1


def test_fitting_twice_gives_the_same_networks(fit: Fitted) -> None:
    np.testing.assert_array_equal(_SMALL.fit(_PAST, WINDOW, UTC).examples.quantiles, fit.examples.quantiles)


def test_progress_ends_before_the_last_round(fit: Fitted, told: list[tuple[int, int]]) -> None:
    assert told == sorted(told)
    assert told[0] == (1, 6)
    assert told[-1][0] < 6


def test_the_unit_of_the_load_does_not_matter(fit: Fitted) -> None:
    history, origin = histories(trace(), WINDOW)[-5:], origins(trace(), UTC)[-5:]
    found = drafted(fit, _PAST)

    np.testing.assert_allclose(
        found.predict(history * np.float32(1024), origin), 1024 * found.predict(history, origin), rtol=1e-3
    )


@pytest.mark.parametrize("spike", [0.0, 1e-3, 1.0, 1e3, 1e6])
def test_quantiles_are_ordered_whatever_comes(fit: Fitted, spike: float) -> None:
    history = histories(trace(), WINDOW)[-48:].copy()
    history[:, -1] *= np.float32(spike)
    found = drafted(fit, _PAST).predict(history, origins(trace(), UTC)[-48:])

    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (np.diff(found, axis=-1) >= 0).all()


def test_an_idle_workload_stays_idle_and_nothing_seen_gives_no_number(fit: Fitted) -> None:
    found = drafted(fit, _PAST)
    idle, nothing = np.zeros((1, WINDOW.context)), np.full((1, WINDOW.context), np.nan)

    assert (found.predict(idle.astype(np.float32), np.array([0])) == 0).all()
    assert np.isnan(found.predict(nothing.astype(np.float32), np.array([0]))).all()


def _sigmoid(value: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-value)), np.float32)


def test_the_operator_has_its_gates_in_the_order_of_the_weights() -> None:
    random = np.random.default_rng(1)
    units, points = 3, 5
    sizes = {"point": (CHANNELS, 4 * units), "kept": (units, 4 * units), "gates": (4 * units,)}
    weights = {name: random.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
    history = random.standard_normal((4, points * CHANNELS)).astype(np.float32)

    kept, cell = np.zeros((2, 4, units), np.float32)
    for point in history.reshape(4, points, CHANNELS).swapaxes(0, 1):
        enter, leave, forget, new = np.split(
            point @ weights["point"] + kept @ weights["kept"] + weights["gates"], 4, axis=1
        )
        cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(new)
        kept = _sigmoid(leave) * np.tanh(cell)

    graph = Graph(context=points * CHANNELS)
    sequence = graph.add("Reshape", graph.history, graph.integers([-1, points, CHANNELS]))
    session = Session(graph.to_bytes(lstm._add_lstm(graph, weights, sequence), "kept", ["batch", units], {}))
    np.testing.assert_allclose(session.run(history, np.zeros(4, np.int64)), kept, rtol=1e-5, atol=1e-6)


def _sequence(window: Window, history: FloatArray) -> FloatArray:
    """Load and mean of seasons at each point, [n, points, CHANNELS]."""
    graph = Graph(context=window.context)
    flat = graph.add("Flatten", add_inputs(graph, window).sequence, axis=1)
    found = Session(graph.to_bytes(flat, "sequence", ["batch", "width"], {})).run(history, np.zeros(len(history), int))
    return found.reshape(len(history), -1, CHANNELS)


def test_the_sequence_is_a_day_in_hours_and_its_end_in_steps() -> None:
    history = np.random.default_rng(1).uniform(1, 2, (1, _FIVE_MINUTES.context)).astype(np.float32)
    day = history[0, -288:] / history.mean()
    usual = history.reshape(7, 288).mean(axis=0) / history.mean()
    expected = [
        [values[at : at + 12].mean() for at in range(0, 264, 12)] + list(values[264:]) for values in (day, usual)
    ]

    np.testing.assert_allclose(_sequence(_FIVE_MINUTES, history)[0], np.array(expected).T, rtol=1e-4)


def test_inputs_are_standardised_alike_in_numpy_and_in_the_graph() -> None:
    seen = see(_PAST, WINDOW, UTC)
    scales = Scales.of(seen, WINDOW)
    wild = seen.shared[-8:] * np.float32(100)
    graph = Graph(context=wild.shape[1])
    session = Session(graph.to_bytes(scales.add(graph, "shared", graph.history), "shared", ["batch", "width"], {}))
    expected = np.clip((wild - scales.mean["shared"]) * scales.share["shared"], -WIDEST, WIDEST)

    np.testing.assert_allclose(session.run(wild, np.zeros(8, np.int64)), expected, rtol=1e-6)
    assert np.abs(scales.lessons(seen, WINDOW).shared).max() <= WIDEST


def test_the_rehearsal_is_judged_on_rows_whose_future_it_has_not_seen() -> None:
    seen = see(_PAST, WINDOW, UTC)
    early, late = lstm._halves(seen, len(_PAST), WINDOW)

    assert seen.place[early].max() + WINDOW.horizon < seen.place[late].min()
    assert len(late) == pytest.approx(0.2 * len(seen.place), rel=0.05)


@pytest.mark.parametrize(
    ("losses", "expected", "asked"),
    [([3, 2, 1, 2, 2, 2, 2, 0], 3, 7), ([3, 2, 1], 3, 3), ([1, 2, 3], 1, 3), ([5, 4, 5, 5, 5, 3, 5, 5, 5, 5], 6, 10)],
)
def test_learning_stops_where_the_late_rows_are_forecast_best(
    monkeypatch: pytest.MonkeyPatch, losses: list[float], expected: int, asked: int
) -> None:
    """Four rounds without a better one end it."""
    rounds: list[int] = []
    monkeypatch.setattr(network, "_judged", lambda means, _lessons, _late: means["loss"])
    rehearsal = iter([{"loss": np.array(loss)} for loss in losses])
    nothing = np.zeros((1, 1, 1), np.float32)
    lessons = Lessons(sequence=nothing, shared=nothing[0], own=nothing, target=nothing[0])

    assert network.rounds_needed(rehearsal, lessons, np.array([0]), rounds.append) == expected  # type: ignore[arg-type]  # not weights
    assert rounds == list(range(1, asked + 1))


@pytest.mark.parametrize(
    "values",
    [
        np.arange(200.0),
        np.zeros(1000),
        np.full(1000, np.nan),
        np.concatenate([np.full(1500, np.nan), np.arange(1.0, 301.0)]),
    ],
)
def test_too_little_to_learn_from_is_refused(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    with pytest.raises(FitError, match="give more history"):
        _SMALL.fit(series_of(values), WINDOW, UTC)


def test_without_its_libraries_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("training.families.lstm", "training.families.network"):
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr(name)
    monkeypatch.setitem(sys.modules, "jax", None)

    with pytest.raises(FitError, match=r"the family lstm needs the extra deep .*\[training,deep\]"):
        family_of("lstm")
