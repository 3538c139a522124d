"""What one is held against does what is said of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.simulate.builders import STEP, load_of, policy, waves
from training.simulate import at_equal_cost, replay, score
from training.simulate.capacity import Capacity
from training.simulate.policies import oracle, static

LOADS = st.lists(st.floats(0, 300) | st.just(float("nan")), min_size=1, max_size=40)


@pytest.mark.slow
def test_the_reactive_policy_meets_the_cost_it_is_given() -> None:
    load = load_of(*waves(400))
    wanted = 1.3 * score(load, replay(load, policy(), startup=STEP, initial=20), 10.0).replica_hours
    found = at_equal_cost(load, policy(), startup=STEP, initial=20, replica_hours=wanted)
    assert score(load, found, 10.0).replica_hours == pytest.approx(wanted, rel=0.02)


@given(loads=LOADS)
def test_the_fixed_size_is_the_smallest_that_never_falls_short(loads: list[float]) -> None:
    size = int(static(load_of(*loads), 10.0, lowest=1, highest=1000).desired[0])
    known = [load for load in loads if np.isfinite(load)]
    assert all(load <= size * 10.0 + 1e-6 for load in known)
    assert size == 1 or max(known) > (size - 1) * 10.0


@given(loads=LOADS, lag=st.integers(0, 5))
def test_the_oracle_is_never_short_and_a_replica_less_at_any_time_would_be(loads: list[float], lag: int) -> None:
    load, enough = load_of(*loads), 40  # as many as any load needs, before the beginning
    capacity = oracle(load, 10.0, startup=lag * STEP, initial=enough, lowest=1, highest=1000)
    missed = np.nan_to_num(load.values) - capacity.ready * 10.0
    assert (missed <= 1e-6).all()
    for place in np.flatnonzero(capacity.desired > 1):
        fewer = capacity.desired.copy()
        fewer[place] -= 1
        ready = Capacity.of(fewer, initial=enough, lag=lag).ready
        assert (np.nan_to_num(load.values) > ready * 10.0).any()
