"""Ready replicas and their lives are those of a fleet that is counted one by one."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.training.simulate.builders import START, STEP
from tests.training.simulate.fleet import Fleet
from training.simulate.capacity import Capacity, lag_of, lives_of, ready_of

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=50)


def test_started_replicas_serve_after_the_startup_time() -> None:
    assert ready_of(np.array([5, 5, 5]), initial=2, lag=2).tolist() == [2, 2, 5]


def test_the_youngest_replicas_end_first() -> None:
    assert ready_of(np.array([5, 2, 2]), initial=2, lag=2).tolist() == [2, 2, 2]


@given(sizes=SIZES, initial=st.integers(1, 12), startup=st.integers(0, 100))
def test_as_many_are_ready_as_in_a_fleet(sizes: list[int], initial: int, startup: int) -> None:
    waiting = timedelta(seconds=startup)
    fleet, ready = Fleet(initial, waiting), []
    for place, size in enumerate(sizes):
        fleet.resize(START + place * STEP, size)
        ready.append(fleet.ready(START + place * STEP))
    capacity = Capacity.of(np.array(sizes), initial=initial, lag=lag_of(waiting, STEP))
    assert capacity.ready.tolist() == ready


@given(sizes=SIZES, initial=st.integers(1, 12))
def test_they_live_as_long_as_in_a_fleet(sizes: list[int], initial: int) -> None:
    fleet = Fleet(initial, timedelta(0))
    for place, size in enumerate(sizes):
        fleet.resize(START + place * STEP, size)
    lives = lives_of(np.array(sizes), initial=initial)
    assert sorted(lives.started.tolist()) == sorted(life // STEP for life in fleet.lives)
    assert (lives.started.sum() + lives.lasting.sum()) == sum(sizes)
