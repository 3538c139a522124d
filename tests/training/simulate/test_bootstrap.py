"""An interval holds what it should as often as it says, and of two equal policies it says nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.simulate.builders import scene, waves
from training.simulate import replay
from training.simulate.bootstrap import LEVEL, Interval, _student, paired, ratio
from training.simulate.capacity import Capacity
from training.simulate.log import Run
from training.simulate.study import hpa_policy

pytestmark = pytest.mark.slow


def _run(utilisation: float, values: NDArray[np.float64]) -> Run:
    each = scene(*values)
    capacity = replay(each.load, hpa_policy(each, utilisation), startup=each.startup, initial=each.initial)
    return Run(name="hpa", setting=utilisation, capacity=capacity)


@pytest.fixture(scope="module")
def load() -> NDArray[np.float64]:
    """Two and a half days."""
    return waves(14_400)


@pytest.fixture(scope="module")
def ample(load: NDArray[np.float64]) -> Run:
    return _run(0.5, load)


@pytest.fixture(scope="module")
def scarce(load: NDArray[np.float64]) -> Run:
    return _run(0.9, load)


def test_an_a_a_run_differs_by_nothing(load: NDArray[np.float64], ample: Run) -> None:
    found = paired(scene(*load), ample, _run(0.5, load), seed=1)
    assert found is not None
    nothing = Interval(difference=0.0, low=0.0, high=0.0)
    assert (found.replica_hours, found.under_provisioned, found.unserved) == (nothing, nothing, nothing)
    assert not found.replica_hours.is_significant


def test_the_difference_is_that_of_the_scores(load: NDArray[np.float64], ample: Run, scarce: Run) -> None:
    each = scene(*load)
    found, scores = paired(each, ample, scarce, seed=1), [each.point(run).score for run in (ample, scarce)]
    assert found is not None
    for name in ("replica_hours", "under_provisioned", "unserved"):
        interval: Interval = getattr(found, name)
        assert interval.difference == pytest.approx(getattr(scores[0], name) - getattr(scores[1], name))
        assert interval.low <= interval.difference <= interval.high
    assert found.replica_hours.low > 0.0
    assert found.under_provisioned.high < 0.0


def test_an_unknown_load_is_left_out(load: NDArray[np.float64]) -> None:
    holes = load.copy()
    holes[3000:4000] = np.nan
    one, other, each = _run(0.5, holes), _run(0.9, holes), scene(*holes)
    found = paired(each, one, other, seed=1)
    assert found is not None
    wanted = each.point(one).score.under_provisioned - each.point(other).score.under_provisioned
    assert found.under_provisioned.difference == pytest.approx(wanted)


def test_a_short_span_tells_nothing(load: NDArray[np.float64], ample: Run, scarce: Run) -> None:
    day = timedelta(days=1) // timedelta(seconds=15)
    one, other = (
        replace(run, capacity=Capacity(ready=run.capacity.ready[:day], desired=run.capacity.desired[:day]))
        for run in (ample, scarce)
    )
    assert paired(scene(*load[:day]), one, other, seed=1) is None


def test_the_same_seed_tells_the_same() -> None:
    values = waves(2000)
    whole = np.ones(2000)
    assert ratio(values, whole, block=100, seed=3) == ratio(values, whole, block=100, seed=3)
    assert ratio(values, whole, block=100, seed=3) != ratio(values, whole, block=100, seed=4)


def test_of_differences_that_are_chance_no_more_are_found_than_it_says() -> None:
    """200 seeds of noise without a difference, in 36 blocks as of nine days: at most 5 % may be called significant."""
    found = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(size=3600 + 4)  # seeded
        parts = np.convolve(noise, np.ones(5) / 5, mode="valid")  # neighbours belong together
        found += ratio(parts, np.ones(3600), block=100, seed=seed).is_significant
    assert 0 < found <= 200 * (1 - LEVEL)


@pytest.mark.parametrize(("freedom", "quantile"), [(7, 2.3646), (10, 2.2281), (35, 2.0301), (120, 1.9799)])
def test_students_quantile(freedom: int, quantile: float) -> None:
    assert _student(freedom) == pytest.approx(quantile, rel=1e-3)
