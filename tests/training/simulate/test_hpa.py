"""Many HPAs at once are what `decide` makes of each; the golden cases hold `decide` to Kubernetes' own."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.simulate.builders import STEP, load_of, scene, waves
from training.simulate import hpa, replay
from training.simulate.study import hpa_policy

UTILISATIONS = (0.4, 0.7, 0.9)


def _asked(values: list[float], initial: int, step: timedelta = STEP) -> tuple[list[list[int]], list[list[int]]]:
    """By utilisation: all at once, and one by one."""
    load, each = load_of(*values, step=step), scene(*values, initial=initial)
    targets = np.array([each.target(utilisation) for utilisation in UTILISATIONS])
    fast = hpa.sizes(load, targets, initial=initial, lowest=1, highest=1000, before=50.0).T.tolist()
    slow = [
        replay(load, hpa_policy(each, utilisation), startup=timedelta(0), initial=initial, before=50.0).desired.tolist()
        for utilisation in UTILISATIONS
    ]
    return fast, slow


@pytest.mark.slow
@given(
    values=st.lists(st.floats(0, 2000) | st.just(float("nan")), min_size=1, max_size=60),
    initial=st.integers(1, 60),
)
@settings(deadline=None, max_examples=60)
def test_the_sizes_are_those_of_decide(values: list[float], initial: int) -> None:
    fast, slow = _asked(values, initial)
    assert fast == slow


@pytest.mark.parametrize("step", [timedelta(seconds=5), STEP, timedelta(minutes=1), timedelta(seconds=200)])
def test_so_they_are_over_a_longer_time_and_at_other_steps(step: timedelta) -> None:
    values = waves(600)
    values[100:130] = np.nan
    fast, slow = _asked(values.tolist(), 12, step)
    assert fast == slow
    assert len({tuple(sizes) for sizes in fast}) == len(UTILISATIONS)
