"""Is a difference found where there is one, and seldom where there is none? Intervals against all the coins can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.core.comparison import (
    CONFIDENCE_EACH,
    Comparison,
    compared,
    fewest_pairs,
    interval,
    windows_over,
)
from controller.core.experiment import Arm, Experiment, Plan, Tally, begun, side
from controller.core.memory import Steering
from tests.builders import NOW, policy, rules, seconds

HOUR = timedelta(hours=1)
POLICY = policy(lead=seconds(45), down=rules(window=60))  # washed out after two minutes
COUNTED = 3600 - 120
A_B, B_A, A_A = (
    (Arm.REACTIVE, Arm.PREDICTIVE),
    (Arm.PREDICTIVE, Arm.REACTIVE),
    (Arm.REACTIVE, Arm.REACTIVE),
)
Floats = NDArray[np.float64]


def experiment(
    loads: Floats,
    *,
    identity: str = "web",
    arms: tuple[Arm, Arm] = A_B,
    extra: tuple[float, float] = (0.0, 0.0),
    short: tuple[float, float] = (0.0, 0.0),
) -> Experiment:
    """Windows with these loads, in replicas; each arm asks for so many more, and is short for such a share."""
    state = begun(NOW, identity, Plan(windows=len(loads), window_length=HOUR, arms=arms), Steering())
    sides = [side(state, window) for window in range(len(loads))]
    tallies = tuple(
        Tally(
            known=COUNTED,
            replicas=COUNTED * (load + extra[of]),
            needed=COUNTED * load,
            short=COUNTED * short[of],
        )
        for load, of in zip(loads, sides, strict=True)
    )
    return replace(state, tallies=tallies)


def result(state: Experiment, windows: int | None = None) -> Comparison:
    found = compared(POLICY, state, NOW + (state.plan.windows if windows is None else windows) * HOUR)
    assert found is not None
    return found


def busy(seed: int, windows: int) -> Floats:
    """A day's rhythm and noise in which each hour hangs on the last."""
    generator = np.random.default_rng(seed)
    noise = np.zeros(windows)
    for window, shock in enumerate(generator.normal(0, 1, windows)):
        noise[window] = shock + 0.9 * noise[window - 1]
    return 8 + 4 * np.sin(2 * np.pi * np.arange(windows) / 24) + noise


def heavy(seed: int, windows: int) -> Floats:
    """Mostly nothing, now and then very much."""
    return np.asarray(np.random.default_rng(seed).pareto(1.5, windows))


def drifting(seed: int, windows: int) -> Floats:
    """A workload that grows."""
    return np.linspace(2, 40, windows) + np.random.default_rng(seed).normal(0, 0.1, windows)


def seldom(seed: int, windows: int) -> Floats:
    """Yes or no: most pairs have no difference at all."""
    return (np.random.default_rng(seed).random(windows) < 0.1).astype(np.float64)


def test_the_difference_is_the_predictive_arm_less_the_reactive_one() -> None:
    found = result(experiment(busy(1, 24), extra=(1.0, 1.5), short=(0.2, 0.05)))
    assert found.replica_hours.difference == pytest.approx(0.5)
    assert (found.under_provisioned.first, found.under_provisioned.second) == pytest.approx((0.2, 0.05))
    assert found.under_provisioned.difference == pytest.approx(-0.15)


def test_the_order_of_the_arms_in_the_plan_does_not_turn_the_difference() -> None:
    found = result(experiment(busy(1, 24), arms=B_A, extra=(1.5, 1.0), short=(0.05, 0.2)))
    assert found.replica_hours.difference == pytest.approx(0.5)
    assert (found.under_provisioned.first, found.under_provisioned.second) == pytest.approx((0.2, 0.05))


def test_both_arms_are_told_at_the_mean_load() -> None:
    """What one arm happened to meet in its hours is not held against it."""
    loads = busy(2, 24)
    found = result(experiment(loads, extra=(1.0, 1.5)))
    assert (found.replica_hours.first, found.replica_hours.second) == pytest.approx(
        (loads.mean() + 1.0, loads.mean() + 1.5)
    )


def test_windows_that_are_not_over_do_not_count() -> None:
    state = experiment(busy(1, 24))
    assert [result(state, windows).pairs for windows in (2, 3, 4, 24)] == [1, 1, 2, 12]


def test_before_the_first_pair_there_is_nothing_to_compare() -> None:
    assert compared(POLICY, experiment(busy(1, 24)), NOW + HOUR) is None


def test_a_window_without_a_partner_does_not_count() -> None:
    assert result(experiment(busy(1, 25))).pairs == 12


@pytest.mark.parametrize(("known", "pairs"), [(COUNTED / 2, 12), (COUNTED / 2 - 1, 11), (0.0, 11)])
def test_a_pair_of_which_too_little_is_known_does_not_count(known: float, pairs: int) -> None:
    state = experiment(busy(1, 24))
    little = replace(state.tallies[7], known=known)
    assert result(replace(state, tallies=(*state.tallies[:7], little, *state.tallies[8:]))).pairs == pairs


def test_windows_that_nobody_saw_begin_do_not_count() -> None:
    """A controller that was away to the end: the tallies are as long as it watched."""
    state = experiment(busy(1, 24))
    assert result(replace(state, tallies=state.tallies[:9])).pairs == 4


@pytest.mark.parametrize(("hours", "over"), [(0.9, 0), (1, 1), (23.9, 23), (24, 24), (99, 24)])
def test_windows_over(hours: float, over: int) -> None:
    assert windows_over(experiment(busy(1, 24)), NOW + hours * HOUR) == over


def test_too_few_pairs_have_no_interval() -> None:
    few = fewest_pairs()
    assert interval(np.ones(few - 1), CONFIDENCE_EACH) is None
    assert interval(np.ones(few), CONFIDENCE_EACH) == (1.0, 1.0)


def test_sixteen_windows_are_enough_for_a_clear_difference() -> None:
    loads = busy(5, 2 * fewest_pairs())
    assert (len(loads), result(experiment(loads, extra=(0.0, 1.0))).is_significant) == (16, True)


def test_without_a_difference_nothing_is_significant() -> None:
    assert not result(experiment(busy(5, 48), extra=(1.0, 1.0), short=(0.1, 0.1))).is_significant


def could_be_chance(differences: Floats, supposed: float, confidence: float) -> bool:
    """The oracle: of all ways in which the coins could fall, how many give as much as was seen, on either side?"""
    shifted = differences - supposed
    sums = np.array([np.dot(signs, shifted) for signs in product((-1, 1), repeat=len(shifted))])
    slack = 1e-9 * np.abs(shifted).sum()
    least = min((sums >= shifted.sum() - slack).mean(), (sums <= shifted.sum() + slack).mean())
    return bool(least > (1 - confidence) / 2)


@given(
    differences=st.lists(st.integers(-40, 40).map(lambda one: one / 8), min_size=1, max_size=9),
    supposed=st.integers(-160, 160).map(lambda one: one / 32 + 1 / 97),
    confidence=st.sampled_from([0.5, 0.8, 0.9, 0.975]),
)
def test_the_interval_holds_what_could_be_chance_and_nothing_else(
    differences: list[float], supposed: float, confidence: float
) -> None:
    """`supposed` is never the mean of a subset, where the interval ends."""
    values = np.array(differences)
    bounds = interval(values, confidence)
    is_inside = bounds is None or bounds[0] <= supposed <= bounds[1]
    assert is_inside == could_be_chance(values, supposed, confidence)


@given(st.lists(st.floats(-5, 5), min_size=8, max_size=60), st.floats(-9, 9))
def test_the_interval_holds_the_mean_and_moves_with_it(differences: list[float], by: float) -> None:
    values = np.array(differences)
    bounds, moved = interval(values, CONFIDENCE_EACH), interval(values + by, CONFIDENCE_EACH)
    assert bounds is not None
    assert moved is not None
    assert bounds[0] - 1e-9 <= values.mean() <= bounds[1] + 1e-9
    assert moved == pytest.approx((bounds[0] + by, bounds[1] + by), abs=1e-9)


def test_the_interval_is_the_same_for_everyone() -> None:
    values = np.random.default_rng(3).normal(0.3, 1, 40)
    assert interval(values, CONFIDENCE_EACH) == interval(values.copy(), CONFIDENCE_EACH)


def test_of_many_pairs_the_interval_is_that_of_the_normal_distribution() -> None:
    """2.5 standard errors to either side for 98.75 %, as any textbook has it where there is plenty."""
    values = np.random.default_rng(4).normal(0.3, 1, 100)
    bounds = interval(values, CONFIDENCE_EACH)
    assert bounds is not None
    error = values.std(ddof=1) / 10
    assert (np.array(bounds) - values.mean()) / error == pytest.approx([-2.5, 2.5], abs=0.2)


@pytest.mark.parametrize("windows", [16, 48])
@pytest.mark.parametrize("loads", [busy, heavy, drifting, seldom])
def test_at_most_five_percent_of_two_hundred_equal_experiments_differ(
    loads: Callable[[int, int], Floats], windows: int
) -> None:
    """The figures are the loads themselves, nothing of them is taken out: the worst that a window can do to an arm.

    2.5 % is what may be expected at most.
    """
    found = 0
    for seed in range(200):
        figures = loads(seed, windows)
        state = experiment(np.zeros(windows), identity=f"{loads.__name__} {seed}", arms=A_A)
        tallies = tuple(
            replace(tally, replicas=COUNTED * figure, short=COUNTED * min(1.0, abs(figure) / 20))
            for tally, figure in zip(state.tallies, figures, strict=True)
        )
        found += result(replace(state, tallies=tallies)).is_significant
    assert found <= 10
