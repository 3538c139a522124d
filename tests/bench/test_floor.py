"""The floor is what the cheapest of all allocations would spend, and a smoothed load is a mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest

from controller.core.series import Series
from tests.bench import floor

STEP = timedelta(seconds=15)
HOURS = STEP / timedelta(hours=1)


def series(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Series:
    return Series(end=datetime(2026, 3, 2, tzinfo=UTC), step=STEP, values=values)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("objective", [0.0, 0.05, 0.2, 0.5])
def test_no_mixture_of_two_allocations_is_cheaper(seed: int, objective: float) -> None:
    random = np.random.default_rng(seed)  # seeded
    values, known = random.exponential(3.0, 24), random.random(24)
    groups = np.array_split(values[np.argsort(known)], 3)
    found = []
    for sizes in product(range(1, int(values.max()) + 2), repeat=3):
        pairs = list(zip(groups, sizes, strict=True))
        short = sum(int((group > size).sum()) for group, size in pairs) / len(values)
        found.append((short, sum(len(group) * size for group, size in pairs)))

    assert floor.fewest_hours(series(values), known, 1.0, objective, groups=3) == pytest.approx(
        cheapest_mixture(found, objective) * HOURS
    )


def cheapest_mixture(found: list[tuple[float, int]], objective: float) -> float:
    """By trying every pair."""
    costs = [float(cost) for short, cost in found if short <= objective]
    least = dict(sorted(found, reverse=True))  # of equal shares the last stays, which costs least
    for low, high in product(least, least):
        if low <= objective < high:
            part = (objective - low) / (high - low)
            costs.append((1.0 - part) * least[low] + part * least[high])
    return min(costs)


def test_a_smoothed_load_is_the_mean_around_each_step() -> None:
    flat = floor.smoothed(series(np.full(100, 3.0)), timedelta(minutes=1))
    peak = floor.smoothed(series(np.eye(1, 101, 50).ravel()), timedelta(minutes=1))

    assert flat == pytest.approx(np.full(100, 3.0))
    assert peak.sum() == pytest.approx(1.0)
    assert peak[50] == peak.max() == pytest.approx(1.0 / (4.0 * np.sqrt(2.0 * np.pi)), rel=1e-3)


def test_what_is_unseen_is_not_used() -> None:
    random = np.random.default_rng(3)  # seeded
    past, values = random.exponential(1.0, 3 * 5760), random.exponential(1.0, 3000)
    load = series(values)
    before = Series(end=load.start, step=STEP, values=past)

    told = floor.linear(before, load, STEP, is_told_future=False)
    all_told = floor.linear(before, load, STEP, is_told_future=True)

    assert np.corrcoef(told, values)[0, 1] < 0.2  # nothing of noise can be known, but for what a fit remembers
    assert np.corrcoef(all_told, values)[0, 1] < 0.25


def test_independent_requests_leave_what_independent_requests_leave() -> None:
    random = np.random.default_rng(4)  # seeded
    left = floor.remainder(series(random.poisson(15.0, 20_000) / 15.0), np.ones(20_000), timedelta(seconds=75))

    assert left.dispersion == pytest.approx(1.0, abs=0.05)
    assert left.autocorrelation == pytest.approx(0.0, abs=0.03)
