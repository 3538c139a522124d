"""Which load counts: every way of not knowing it, and what a forecast may add."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.demand import Demand, DemandSource, assess, worthy
from controller.core.forecast import Forecast
from controller.core.memory import Memory, Steering, TrackRecord
from controller.core.policy import Policy
from controller.core.series import Sample
from tests.builders import NOW, STEP, forecast, policy, seconds

UNTRIED = Memory()
LOADS = st.floats(0, 1e9)


def _sample(value: float, age: float = 0) -> Sample:
    return Sample(time=NOW - seconds(age), value=value)


def _assess(latest: Sample | None, ahead: Forecast | None, rules: Policy, memory: Memory) -> Demand:
    return assess(
        NOW,
        latest,
        ahead,
        rules,
        track=memory.track,
        steering=memory.steering,
        worth=worthy(rules, memory.rivals, memory.steering),
    )


@pytest.mark.parametrize(
    ("latest", "value"),
    [
        (None, None),
        (_sample(math.nan), None),
        (_sample(math.inf), None),
        (_sample(-1.0), None),
        (_sample(5.0, age=150.1), None),  # max_age is max(4 x 15 s, 150 s)
        (_sample(5.0, age=150), 5.0),
        (_sample(0.0), 0.0),  # a true zero is a load
        (_sample(-0.0), 0.0),
    ],
    ids=repr,
)
def test_value_by_what_is_seen(latest: Sample | None, value: float | None) -> None:
    assert _assess(latest, None, policy(), UNTRIED).value == value


def test_a_long_interval_makes_older_samples_usable() -> None:
    assert _assess(_sample(5.0, age=240), None, policy(interval=seconds(60)), UNTRIED).value == 5.0


@pytest.mark.parametrize("latest", [None, _sample(math.nan), _sample(5.0, age=1000)], ids=repr)
def test_a_forecast_does_not_stand_in_for_what_is_missing(latest: Sample | None) -> None:
    assert _assess(latest, forecast(99), policy(), UNTRIED).source is DemandSource.MISSING


@pytest.mark.parametrize(
    ("upper", "value", "source"),
    [(80.0, 80.0, DemandSource.FORECAST), (50.0, 50.0, DemandSource.SEEN), (20.0, 50.0, DemandSource.SEEN)],
)
def test_the_larger_of_50_seen_and_the_forecast_counts(upper: float, value: float, source: DemandSource) -> None:
    demand = _assess(_sample(50.0), forecast(upper, upper), policy(), UNTRIED)
    assert (demand.value, demand.source) == (value, source)


@pytest.mark.parametrize(
    ("lead", "expected"),
    [
        (timedelta(0), 10.0),  # (now, now + 15 s]: the first step only
        (STEP - seconds(15), 10.0),  # up to the end of the first step, exactly
        (STEP, 20.0),  # 15 s into the second
        (2 * STEP, 30.0),
        (10 * STEP, 30.0),  # beyond the horizon: what there is
    ],
)
def test_the_peak_is_looked_for_until_the_lead_and_one_interval(lead: timedelta, expected: float) -> None:
    demand = _assess(_sample(0.0), forecast(10, 20, 30), policy(lead=lead), UNTRIED)
    assert demand.forecast == expected


def test_the_peak_is_that_of_the_corrected_steps() -> None:
    """A surer step may be lower after the correction, though it was higher before."""
    rows = np.array([[99.0, 100.0], [0.0, 98.0]])
    unlike = Forecast(origin=NOW, step=STEP, levels=(0.5, 0.9), quantiles=rows)
    # 100 + 0.1 x (100 - 99) = 100.1 and 98 + 0.1 x (98 - 0) = 107.8
    demand = _assess(_sample(50.0), unlike, policy(), Memory(track=TrackRecord(correction=0.1)))
    assert demand.forecast == pytest.approx(107.8)


def test_a_forecast_that_has_run_out_says_nothing() -> None:
    assert _assess(_sample(5.0), forecast(99, origin=NOW - STEP), policy(), UNTRIED).forecast is None


@pytest.mark.parametrize(
    ("loss", "value"),
    [(1.0, 90.0), (1.25, 70.0), (1.5, 50.0), (9.0, 50.0)],  # 50 + weight x (90 - 50), weight 1, 0.5, 0, 0
)
def test_the_forecast_fades_with_its_loss_against_the_naive(loss: float, value: float) -> None:
    losing = TrackRecord(settled=1e6, loss=loss * 1e12, loss_persistence=1e12, loss_seasonal=2e12)
    assert _assess(_sample(50.0), forecast(90), policy(), Memory(track=losing)).value == pytest.approx(value, abs=0.1)


@given(seen=LOADS, upper=LOADS, loss=LOADS, naive=LOADS, correction=st.floats(-1.0, 1.0))
def test_no_forecast_ever_takes_away_from_what_is_seen(
    seen: float, upper: float, loss: float, naive: float, correction: float
) -> None:
    record = TrackRecord(settled=99, loss=loss, loss_persistence=naive, loss_seasonal=naive, correction=correction)
    value = _assess(_sample(seen), forecast(upper), policy(), Memory(track=record)).value
    assert value is not None
    assert value >= seen


def test_a_forecast_of_nan_is_none() -> None:
    broken: Forecast = forecast(math.nan)
    assert _assess(_sample(5.0), broken, policy(), UNTRIED).value == 5.0


OBJECTIVE = policy(objective=0.01)  # the level 0.99 of a forecast that ends at 0.9 is 0.9's


def test_with_an_objective_the_forecast_is_shifted_by_what_steering_asks_for() -> None:
    # the level 80 and a band of 40; half of that is added
    demand = _assess(_sample(50.0), forecast(80), OBJECTIVE, Memory(steering=Steering(shift=0.5)))
    assert (demand.forecast, demand.value, demand.source) == (100.0, 100.0, DemandSource.FORECAST)


@pytest.mark.parametrize("shift", [0.5, 20.0])
def test_no_shift_makes_more_than_eight_times_the_forecast(shift: float) -> None:
    demand = _assess(_sample(0.0), forecast(80), OBJECTIVE, Memory(steering=Steering(shift=shift)))
    assert demand.forecast == min(80.0 + shift * 40.0, 640.0)


def test_with_an_objective_and_no_forecast_what_is_seen_gets_headroom() -> None:
    demand = _assess(_sample(70.0), None, OBJECTIVE, Memory(steering=Steering(headroom=1.5)))
    assert (demand.value, demand.reactive, demand.source) == (105.0, 105.0, DemandSource.SEEN)


def test_without_an_objective_the_target_is_the_headroom() -> None:
    demand = _assess(_sample(70.0), None, policy(), Memory(steering=Steering(headroom=1.5)))
    assert (demand.value, demand.reactive) == (70.0, 70.0)


# from 1.5 x 50 = 75 without trust to the forecast's 60 with all of it
@pytest.mark.parametrize(("loss", "value"), [(1.0, 60.0), (1.25, 67.5), (1.5, 75.0)])
def test_with_an_objective_the_forecast_fades_into_the_headroom(loss: float, value: float) -> None:
    losing = TrackRecord(settled=1e6, loss=loss * 1e12, loss_persistence=1e12, loss_seasonal=2e12)
    memory = Memory(track=losing, steering=Steering(headroom=1.5))
    demand = _assess(_sample(50.0), forecast(60), OBJECTIVE, memory)
    assert demand.value == pytest.approx(value, abs=0.1)


@pytest.mark.parametrize(("load", "is_burst"), [(90.0, False), (90.1, True)])
def test_more_than_the_highest_level_of_this_moment_is_a_burst(load: float, is_burst: bool) -> None:
    assert _assess(_sample(load), forecast(90, 200), policy(), UNTRIED).is_burst is is_burst


def test_nothing_is_a_burst_where_no_forecast_is_trusted() -> None:
    lost = Memory(track=TrackRecord(settled=1e6, loss=1e13, loss_persistence=1e6, loss_seasonal=1e6))
    assert not _assess(_sample(1e5), forecast(90), policy(), lost).is_burst


def test_what_a_shrinking_target_must_serve_is_looked_for_one_lead_time_further() -> None:
    demand = _assess(_sample(5.0), forecast(10, 20, 30, 40), policy(lead=STEP - seconds(15)), UNTRIED)
    assert (demand.forecast, demand.kept) == (10.0, 20.0)
