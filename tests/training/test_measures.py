"""Are errors what their definitions say? Compared with a line of arithmetic each."""

from __future__ import annotations

import numpy as np
import pytest

from training.measures import Score, Tally, floor_of, middle, pinball

_LEVELS = (0.1, 0.5, 0.9)


def _score(actual: list[float], said: list[float], scale: float = 1.0) -> Score:
    """One step ahead; the band is the median, one below and one above."""
    tally = Tally.empty(1, _LEVELS, centre=100.0)
    came = np.array(actual)[:, None]
    answer = (np.array(said)[:, None, None] + np.array([-1, 0, 1])).astype(np.float32)
    tally.add(came, answer, np.isfinite(came))
    return tally.score(scale)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("rmse", (4 / 3) ** 0.5),  # errors 0, 0, 2
        ("mae", 2 / 3),
        ("mape", (0 / 10 + 2 / 20) / 2),  # where there is load
        ("wape", 2 / 30),
        ("mase", 2 / 3 / 4),
        ("r2", 1 - 4 / 200),  # the loads 0, 10 and 20 lie 10, 0 and 10 from their mean
    ],
)
def test_the_measures_of_three_forecasts(measure: str, expected: float) -> None:
    score = _score([0, 10, 20], [0, 10, 22], scale=4)

    assert getattr(score, measure)[0] == pytest.approx(expected)


def test_what_is_missing_counts_nowhere() -> None:
    score = _score([10, np.nan, 20], [10, 50, 22])

    assert (score.count[0], score.mae[0], score.mape[0]) == (2, 1, pytest.approx(0.05))


def test_coverage_is_the_share_at_or_below_a_level() -> None:
    np.testing.assert_allclose(_score([8, 9, 10, 12], [10, 10, 10, 10]).coverage[0], [2 / 4, 3 / 4, 3 / 4])


def test_an_idle_load_has_no_relative_error() -> None:
    score = _score([0, 0], [1, 3])

    assert (score.mape[0], score.wape[0], score.r2[0]) == (0, 0, 0)


def test_the_variance_of_large_loads_is_not_lost() -> None:
    """Squares of a billion leave no digits for a spread of one."""
    tally = Tally.empty(1, (0.5,), centre=1e9)
    came = 1e9 + np.array([[-1.0], [1.0]])
    tally.add(came, np.full((2, 1, 1), 1e9, np.float32), np.isfinite(came))

    assert tally.score(1.0).r2[0] == pytest.approx(0, abs=1e-6)


def test_adding_in_parts_is_adding_at_once() -> None:
    random = np.random.default_rng(2)
    came, answer = random.uniform(0, 9, (50, 4)), np.sort(random.uniform(0, 9, (50, 4, 3)), axis=-1).astype(np.float32)
    known = random.uniform(size=came.shape) > 0.1
    whole, parts = Tally.empty(4, _LEVELS), Tally.empty(4, _LEVELS)
    whole.add(came, answer, known)
    for part in (slice(0, 7), slice(7, 50)):
        parts.add(came[part], answer[part], known[part])

    np.testing.assert_allclose(whole.score(1.0).pinball, parts.score(1.0).pinball)
    np.testing.assert_allclose(whole.score(1.0).r2, parts.score(1.0).r2)


def test_pinball_weighs_both_sides() -> None:
    np.testing.assert_allclose(pinball(np.array([5.0, 5.0]), np.array([0.9, 0.1]), np.array(7.0)), [1.8, 0.2])


def test_a_single_level_stands_for_the_median() -> None:
    assert middle(np.array([4.0]), np.array([0.9])) == 4.0


# --- the floor of noise

_HOURS = np.arange(24 * 60)


def test_the_floor_of_white_noise_is_its_standard_deviation() -> None:
    noise = np.random.default_rng(1).normal(100, 7, len(_HOURS))

    assert floor_of(noise, 0, (24, 168)) == pytest.approx(7, rel=0.1)


def test_the_floor_of_a_walk_is_below_its_best_forecast() -> None:
    walk = np.cumsum(np.random.default_rng(1).normal(0, 7, len(_HOURS)))

    assert 0.5 * 7 < floor_of(walk, 0, (24, 168)) < 0.65 * 7  # (e1 - e2) / 2 / sqrt(1.5)


@pytest.mark.parametrize("values", [np.sin(_HOURS / 4), np.where(_HOURS % 168 < 120, _HOURS % 24 == 3, 0) * 100.0])
def test_what_is_smooth_or_repeats_has_next_to_no_noise(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    assert floor_of(values, 0, (24, 168)) < 0.05 * values.std()


def test_only_what_comes_later_is_judged() -> None:
    values = np.concatenate([np.random.default_rng(1).normal(0, 9, 500), np.zeros(100)])

    assert floor_of(values, 500) == 0 < floor_of(values, 0)


def test_gaps_are_not_judged_and_nothing_but_gaps_is_not_known() -> None:
    noise = np.random.default_rng(1).normal(100, 7, 500)
    noise[::50] = np.nan

    assert floor_of(noise) == pytest.approx(7, rel=0.15)
    assert np.isnan(floor_of(np.full(50, np.nan)))
