"""The replay keeps physical order: what comes changes nothing before it comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.decide import Decision
from controller.core.forecast import Forecast
from controller.core.series import Series
from tests.training.simulate.builders import START, STEP, load_of, policy, waves
from training.simulate import replay

LOADS = st.lists(st.floats(0, 500) | st.just(float("nan")), min_size=2, max_size=40)


class Told:
    """A foresight that always says the same."""

    def __init__(self, forecast: Forecast) -> None:
        self._forecast = forecast

    def at(self, now: datetime) -> tuple[Series, Forecast | None]:
        return load_of().until(now), self._forecast


def test_a_step_is_not_seen_before_it_is_over() -> None:
    capacity = replay(load_of(10, 10, 40, 40), policy(), startup=timedelta(0), initial=1)
    # 40 comes in step 2; it is seen at the beginning of step 3: 40 / 10 = 4
    assert capacity.desired.tolist() == [1, 1, 1, 4]


def test_replicas_come_later_than_they_are_asked_for() -> None:
    capacity = replay(load_of(10, 40, 40, 40, 40), policy(), startup=2 * STEP, initial=1)
    assert capacity.ready.tolist() == [1, 1, 1, 1, 4]


def test_a_forecast_of_the_rise_has_the_replicas_ready() -> None:
    rise = Forecast(
        origin=START, step=STEP, levels=(0.5, 0.9), quantiles=np.array([[10, 10], [40, 40], [40, 40], [40, 40]], float)
    )
    ahead = replace(policy(), lead_time=2 * STEP)
    capacity = replay(load_of(10, 10, 10, 40), ahead, startup=STEP, initial=1, foresight=Told(rise))
    assert capacity.ready[3] == 4


def test_a_missing_metric_holds_the_size() -> None:
    capacity = replay(load_of(50, 50, np.nan, np.nan), policy(), startup=timedelta(0), initial=5)
    assert capacity.desired.tolist() == [5, 5, 5, 5]


def test_a_longer_interval_decides_less_often() -> None:
    decisions: dict[int, Decision] = {}
    slow = replace(policy(), interval=2 * STEP)
    capacity = replay(load_of(10, 40, 40, 40), slow, startup=timedelta(0), initial=1, witness=decisions.__setitem__)
    assert sorted(decisions) == [0, 2]
    assert capacity.desired.tolist() == [1, 1, 4, 4]


@pytest.mark.slow
@given(past=LOADS, future=LOADS, other=LOADS)
def test_no_decision_knows_what_comes(past: list[float], future: list[float], other: list[float]) -> None:
    one = replay(load_of(*past, *future), policy(), startup=2 * STEP, initial=3)
    two = replay(load_of(*past, *other), policy(), startup=2 * STEP, initial=3)
    known = len(past) + 1  # what is decided at the beginning of a step saw nothing of it
    assert one.desired[:known].tolist() == two.desired[:known].tolist()
    assert one.ready[:known].tolist() == two.ready[:known].tolist()


@given(loads=LOADS, kept=st.integers(1, 40))
def test_a_replay_of_the_beginning_is_the_beginning_of_the_replay(loads: list[float], kept: int) -> None:
    whole = replay(load_of(*loads), policy(), startup=STEP, initial=3)
    part = replay(load_of(*loads[:kept]), policy(), startup=STEP, initial=3)
    assert part.desired.tolist() == whole.desired[:kept].tolist()
    assert part.ready.tolist() == whole.ready[:kept].tolist()


@pytest.mark.parametrize("lag", [0, 3])
def test_no_replica_serves_before_its_start_up_time(lag: int) -> None:
    capacity = replay(load_of(*waves(200)), policy(), startup=lag * STEP, initial=20)
    for place in range(200):
        assert capacity.ready[place] <= min(capacity.desired[max(0, place - lag) : place + 1])
