"""Does the graph compute what a slow, obvious reading of it computes?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.forecaster import FloatArray, IntArray, Session
from tests.training.small import DAY, HOUR, WINDOW, trace
from training.features import add_features, columns, fill_gaps, keys, season_ago
from training.graph import Graph
from training.windows import Window, histories, origins

_SMALL = Window(step=6 * HOUR, season=DAY, context=12, horizon=2)
_FIVE_MINUTES = Window.fitting(step=timedelta(minutes=5), season=DAY, horizon=6 * HOUR)


def _fill_session(window: Window) -> Session:
    graph = Graph(context=window.context)
    return Session(graph.to_bytes(fill_gaps(graph, window), "filled", ["batch", window.context], {}))


def _filled_slowly(values: list[float]) -> list[float]:
    """Six-hour steps: the last from the one before; then the mean of the other days; then the nearest time before."""
    found = list(values)
    if np.isnan(found[-1]):
        found[-1] = found[-2]
    known = [[value for value in found[slot::4] if not np.isnan(value)] for slot in range(4)]
    usual = [sum(each) / len(each) if each else float("nan") for each in known]
    for slot in range(4):
        before = [usual[slot - back] for back in range(4) if known[slot - back]]
        found[slot::4] = [before[0] if before and np.isnan(value) else value for value in found[slot::4]]
    return found


@pytest.mark.slow
@given(st.lists(st.one_of(st.just(float("nan")), st.integers(0, 9).map(float)), min_size=12, max_size=12))
@settings(deadline=None, max_examples=200)
def test_gaps_are_filled_as_documented(values: list[float]) -> None:
    filled = _SMALL_FILL.run(np.array([values], np.float32), np.array([0]))[0]

    np.testing.assert_allclose(filled, np.array(_filled_slowly(values), np.float32), rtol=1e-6)


_SMALL_FILL = _fill_session(_SMALL)


def _features(window: Window, history: FloatArray, origin: IntArray) -> FloatArray:
    graph = Graph(context=window.context)
    width = len(columns(window).shared) + len(keys(window)) * len(columns(window).own)
    return Session(graph.to_bytes(add_features(graph, window).matrix, "matrix", ["batch", width], {})).run(
        history, origin
    )


def _named(key: int, history: FloatArray, origin: IntArray) -> dict[str, NDArray[np.float32]]:
    """The hourly features that may speak about the key-th key, by name."""
    matrix = _features(WINDOW, history, origin)
    names = (*columns(WINDOW).shared, *columns(WINDOW).own)
    return dict(zip(names, matrix[:, columns(WINDOW).of_key(key)].T, strict=True))


@pytest.fixture(scope="module")
def seen() -> tuple[FloatArray, IntArray]:
    """A complete week of hours."""
    return histories(trace(), WINDOW)[-3:].copy(), origins(trace(), UTC)[-3:]


def _near(history: FloatArray) -> NDArray[np.float32]:
    near: NDArray[np.float32] = history[:, -6:].mean(axis=1) / history.mean(axis=1)
    return near


def test_the_nearest_load_is_a_share_of_the_level(seen: tuple[FloatArray, IntArray]) -> None:
    history, origin = seen

    np.testing.assert_allclose(_named(0, history, origin)["mean of last 6"], _near(history), atol=2e-4)


@pytest.mark.parametrize("width", [1, 2, 3, 12, 24])
def test_other_means_are_told_above_the_nearest(seen: tuple[FloatArray, IntArray], width: int) -> None:
    history, origin = seen
    found = _named(0, history, origin)[f"mean of last {width}"]

    np.testing.assert_allclose(
        found, history[:, -width:].mean(axis=1) / history.mean(axis=1) - _near(history), atol=4e-4
    )


def test_change_is_the_mean_step_and_a_hundredth_of_the_level(seen: tuple[FloatArray, IntArray]) -> None:
    history, origin = seen
    graph = Graph(context=WINDOW.context)
    session = Session(graph.to_bytes(add_features(graph, WINDOW).change, "change", ["batch", 1], {}))
    expected = np.abs(np.diff(history)).mean(axis=1) / history.mean(axis=1) + 0.01

    np.testing.assert_allclose(session.run(history, origin)[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("key", range(3))
def test_seasons_before_are_looked_up_at_the_time_of_the_step(seen: tuple[FloatArray, IntArray], key: int) -> None:
    history, origin = seen
    place = WINDOW.context - 1 + keys(WINDOW)[key] - 2 * 24
    found = _named(key, history, origin)["2 seasons before"]

    np.testing.assert_allclose(found, history[:, place] / history.mean(axis=1) - _near(history), atol=4e-4)


def test_the_calendar_is_that_of_the_step_ahead(seen: tuple[FloatArray, IntArray]) -> None:
    friday_evening = round(datetime(2024, 1, 5, 22, tzinfo=UTC).timestamp())
    ahead = _named(len(keys(WINDOW)) - 1, seen[0][:1], np.array([friday_evening]))

    # Six hours later ends 04:00 on Saturday; its middle is 03:30. Weeks are counted from Thursday, 1 January 1970.
    assert (ahead["time in season"][0], ahead["weekday"][0]) == (pytest.approx(3.5 / 24, abs=2e-4), 2)


def test_features_do_not_depend_on_the_unit(seen: tuple[FloatArray, IntArray]) -> None:
    history, origin = seen

    np.testing.assert_allclose(
        _features(WINDOW, history * 1000, origin), _features(WINDOW, history, origin), atol=1 / 4000
    )


def test_a_compressed_day_looks_like_a_day() -> None:
    """Sixty times as fast: five minutes become five seconds, a day 24 minutes."""
    fast = Window.fitting(step=timedelta(seconds=5), season=timedelta(minutes=24), horizon=timedelta(minutes=6))
    random = np.random.default_rng(1)
    history = random.uniform(1, 2, (3, fast.context)).astype(np.float32)
    origin = np.array([1_000_000_000, 1_000_086_700, 1_000_400_000])

    np.testing.assert_allclose(
        _features(fast, history, origin // 300 * 5), _features(_FIVE_MINUTES, history, origin // 300 * 300), atol=0.02
    )


_MINUTES = Window.fitting(step=timedelta(minutes=1), season=DAY, horizon=timedelta(minutes=10))


def _minutes(random: np.random.Generator) -> FloatArray:
    return random.uniform(1, 2, (2, _MINUTES.context)).astype(np.float32)


@pytest.mark.parametrize("width", [1, 2, 24, 60])
def test_the_last_hour_is_seen_in_single_minutes(width: int) -> None:
    history = _minutes(np.random.default_rng(width))
    place = columns(_MINUTES).shared.index(f"mean of last {width}")
    found = _features(_MINUTES, history, np.array([0, 0]))[:, place]

    np.testing.assert_allclose(
        found, history[:, -width:].mean(axis=1) / history.mean(axis=1) - _near(history), atol=4e-4
    )


def test_what_is_before_the_last_hour_is_seen_in_parts_of_five_minutes() -> None:
    history = _minutes(np.random.default_rng(2))
    parts = history.reshape(2, -1, 5)
    shuffled = np.random.default_rng(3).permuted(parts[:, :-12], axis=2)
    other = np.concatenate([shuffled, parts[:, -12:]], axis=1).reshape(2, -1)
    origin = np.array([0, 0])

    np.testing.assert_allclose(_features(_MINUTES, other, origin), _features(_MINUTES, history, origin), atol=2 / 4096)


def test_a_missing_minute_takes_what_is_known_of_its_part() -> None:
    """A late scrape: the newest minute is not there, the four before it are."""
    history = _minutes(np.random.default_rng(4))
    like = history.copy()
    history[:, -1], like[:, -1] = np.nan, history[:, -5:-1].mean(axis=1)
    origin = np.array([0, 0])

    np.testing.assert_allclose(_features(_MINUTES, history, origin), _features(_MINUTES, like, origin), atol=2 / 4096)


def test_an_idle_workload_has_finite_features() -> None:
    idle = np.zeros((1, WINDOW.context), np.float32)

    assert np.isfinite(_features(WINDOW, idle, np.array([0]))).all()


@pytest.mark.parametrize(
    ("horizon", "expected"),
    [(1, [1]), (2, [1, 2]), (6, [1, 2, 3, 4, 5, 6]), (72, [1, 3, 6, 12, 24, 36, 48, 60, 72])],
)
def test_keys_double_and_then_run_evenly_to_the_end(horizon: int, expected: list[int]) -> None:
    assert keys(Window(step=HOUR, season=DAY, context=168, horizon=horizon)) == expected


def test_a_season_ago_is_never_in_the_future() -> None:
    long = Window(step=HOUR, season=DAY, context=168, horizon=60)
    places = season_ago(long)

    assert max(places) == long.context - 1
    assert [(place - long.context + 1 - step) % 24 for step, place in enumerate(places, 1)] == [0] * 60
