"""The scores are the plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.simulate.builders import load_of
from training.simulate import Capacity, score


def _fixed(*sizes: int) -> Capacity:
    return Capacity(ready=np.array(sizes), desired=np.array(sizes))


@pytest.mark.parametrize(
    ("ready", "under_provisioned", "unserved"),
    [((5, 5), 0.0, 0.0), ((4, 5), 0.5, 10 / 100), ((4, 4), 1.0, 20 / 100)],
)
def test_the_score_counts_time_and_load_that_ready_replicas_miss(
    ready: tuple[int, int], under_provisioned: float, unserved: float
) -> None:
    result = score(load_of(50, 50), _fixed(*ready), 10.0)
    assert (result.under_provisioned, result.unserved) == (under_provisioned, unserved)


def test_an_unknown_load_is_neither_served_nor_missed() -> None:
    assert score(load_of(50, np.nan), _fixed(4, 1), 10.0).under_provisioned == 1.0


def test_no_load_at_all_is_served_by_anything() -> None:
    assert score(load_of(0, 0), _fixed(1, 1), 10.0).unserved == 0.0


def test_what_is_enough_but_for_rounding_is_enough() -> None:
    per_replica = 0.1
    assert score(load_of(0.1 * 3), _fixed(3), per_replica).under_provisioned == 0.0


def test_starting_replicas_cost() -> None:
    capacity = Capacity(ready=np.array([1, 1]), desired=np.array([3, 3]))
    assert score(load_of(10, 10), capacity, 10.0).replica_hours == pytest.approx(6 * 15 / 3600)


@pytest.mark.parametrize(
    ("sizes", "changes", "turns"),
    [((1, 2, 2, 1), 2, 1), ((1, 2, 3, 3), 2, 0), ((2, 2, 2, 2), 0, 0), ((1, 3, 1, 3), 3, 2)],
)
def test_changes_and_turns_are_counted_once_each(sizes: tuple[int, ...], changes: int, turns: int) -> None:
    result = score(load_of(1, 1, 1, 1), _fixed(*sizes), 10.0)
    assert (result.changes, result.turns) == (changes, turns)


def test_utilisation_is_what_came_of_what_was_ready() -> None:
    assert score(load_of(10, 30), _fixed(4, 4), 10.0).utilisation == pytest.approx(40 / 80)
