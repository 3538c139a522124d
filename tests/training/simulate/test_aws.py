"""AWS's rules, one by one, and all at once against minutes, alarms and replicas that are kept in lists."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.series import Series
from tests.training.simulate.builders import STEP, load_of, waves
from training.simulate import aws
from training.simulate.capacity import Capacity, SimulationError, lag_of
from training.simulate.hourly import Floats

MINUTE = timedelta(minutes=1)
TARGET = 10.0


def sizes(
    *loads: float,
    initial: int = 10,
    startup: timedelta = timedelta(0),
    step: timedelta = MINUTE,
    highest: int = 1000,
    floor: Floats | None = None,
    tracking: aws.Tracking | None = None,
) -> list[int]:
    """With a target of 10 a replica."""
    asked = aws.sizes(
        load_of(*loads, step=step),
        np.array([TARGET]),
        startup=startup,
        initial=initial,
        lowest=1,
        highest=highest,
        floor=floor,
        tracking=tracking,
    )
    found: list[int] = asked.sizes[:, 0].tolist()
    return found


def slowly(
    loads: list[float],
    step: timedelta,
    target: float,
    *,
    startup: timedelta,
    initial: int,
    bounds: tuple[int, int],
    floor: list[float],
    tracking: aws.Tracking,
) -> list[int]:
    """As `aws.sizes` with one target: minutes, alarms and replicas as they come, each in a list."""
    every = max(1, math.ceil(MINUTE / step))
    births = [-math.inf] * initial  # of the replicas, the youngest last
    points: list[tuple[float, float]] = []  # of each minute: its load, and the replicas that served in it
    asked: list[int] = []
    served: list[tuple[float, int]] = []
    for index, load in enumerate(loads):
        if index % every == 0:
            if served:
                known = [value for value, _ in served if not math.isnan(value)]
                mean = sum(known) / len(known) if known else math.nan
                points.append((mean, sum(ready for _, ready in served) / len(served)))
                served = []
            wish = len(births)
            high, low = (
                points[-math.ceil(3 * MINUTE / (every * step)) :],
                points[-math.ceil(15 * MINUTE / (every * step)) :],
            )
            if len(high) == math.ceil(3 * MINUTE / (every * step)) and all(
                load > (ready + 1e-9) * target for load, ready in high
            ):
                wish = max(wish, math.ceil(high[-1][0] / target - 1e-9))
            is_low = len(low) == math.ceil(15 * MINUTE / (every * step)) and all(
                load < tracking.low * ready * target for load, ready in low
            )
            if is_low and all(birth + startup / step <= index for birth in births):
                least = low[-1][0] if tracking.is_hasty else max(load for load, _ in low)
                wish = min(wish, math.ceil(least / target - 1e-9))
            needs = 0 if math.isnan(floor[index]) else math.ceil(floor[index] / target - 1e-9)
            size = max(min(max(wish, needs), bounds[1]), bounds[0])
            births = births[:size] + [float(index)] * (size - len(births))
        served.append((load, sum(birth + startup / step <= index for birth in births)))
        asked.append(len(births))
    return asked


@pytest.mark.slow
@given(
    changes=st.lists(st.tuples(st.floats(0, 2000) | st.just(float("nan")), st.integers(1, 60)), min_size=1, max_size=8),
    floor=st.lists(st.floats(0, 1500) | st.just(float("nan")), min_size=1, max_size=12),
    initial=st.integers(1, 60),
    step=st.sampled_from([timedelta(seconds=15), timedelta(seconds=40), MINUTE, timedelta(minutes=5)]),
    startup=st.sampled_from([0, 20, 60, 90, 300]),
    is_hasty=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_the_sizes_are_those_of_lists(
    changes: list[tuple[float, int]],
    floor: list[float],
    initial: int,
    step: timedelta,
    startup: int,
    is_hasty: bool,
) -> None:
    loads = [value for value, count in changes for _ in range(count)]
    least = np.resize(np.repeat(floor, 37), len(loads))
    targets = np.array([8.0, 20.0])
    tracking = aws.Tracking(low=0.7 if is_hasty else 0.9, is_hasty=is_hasty)
    lag = timedelta(seconds=startup)
    asked = aws.sizes(
        load_of(*loads, step=step),
        targets,
        startup=lag,
        initial=initial,
        lowest=1,
        highest=90,
        floor=least,
        tracking=tracking,
    )
    for place, target in enumerate(targets.tolist()):
        assert asked.sizes[:, place].tolist() == slowly(
            loads,
            step,
            target,
            startup=lag_of(lag, step) * step,
            initial=initial,
            bounds=(1, 90),
            floor=least.tolist(),
            tracking=tracking,
        )


def test_out_after_3_of_3_minutes_above_the_target_in_proportion() -> None:
    assert sizes(100, 150, 150, 100, 150, 150, 160, 0) == [10] * 7 + [16]


def test_at_the_target_nothing_happens() -> None:
    assert set(sizes(*[100] * 30)) == {10}


def test_in_after_15_of_15_minutes_below_nine_tenths_to_the_highest_of_them() -> None:
    assert sizes(*[100] * 3, 60, *[40] * 14, 100) == [10] * 18 + [6]
    assert set(sizes(*[100] * 3, 60, *[40] * 13, 100)) == {10}
    assert set(sizes(*[91] * 60)) == {10}
    assert set(sizes(*[89] * 60)) == {10, 9}


def test_or_to_the_last_of_them_in_haste() -> None:
    assert sizes(60, *[40] * 14, 100, tracking=aws.Tracking(is_hasty=True))[-1] == 4


def test_the_low_alarm_may_be_lower() -> None:
    assert set(sizes(*[80] * 60, tracking=aws.Tracking(low=0.7))) == {10}


def test_a_missing_minute_ends_either_alarm() -> None:
    nan = float("nan")
    assert set(sizes(150, 150, nan, 150, 150, nan)) == {10}
    assert set(sizes(*[40] * 14, nan, *[40] * 14)) == {10}


def test_a_minute_is_the_mean_of_its_steps() -> None:
    assert sizes(*[0, 200, 200, 200] * 3, *[0] * 4, step=STEP) == [10] * 12 + [15] * 4


def test_what_warms_up_counts_as_capacity_but_not_in_the_metric() -> None:
    """The metric stays above the target until the new ones serve, and nothing is added for it."""
    found = sizes(*[150] * 20, startup=timedelta(minutes=5))
    assert found == [10] * 3 + [15] * 17


def test_nothing_is_scaled_in_while_any_warms_up() -> None:
    floor = np.array([0.0] * 14 + [200.0] + [0.0] * 15)
    found = sizes(*[40] * 30, floor=floor, startup=timedelta(minutes=5))
    assert found == [10] * 14 + [20] * 5 + [4] * 11
    assert sizes(*[40] * 30, floor=floor) == [10] * 14 + [20] + [4] * 15


def test_the_forecast_is_a_minimum_and_scales_nothing_in() -> None:
    found = sizes(*[100] * 10, floor=np.array([float("nan"), 50.0, 130.0, 130.0, 70.0, *[0.0] * 5]))
    assert found == [10, 10, *[13] * 8]


def test_what_is_low_is_scaled_in_to_the_minimum() -> None:
    assert sizes(*[40] * 30, floor=np.full(30, 75.0)) == [10] * 15 + [8] * 15


def test_the_maximum_is_honoured() -> None:
    assert sizes(*[100] * 5, floor=np.full(5, 900.0), highest=30) == [30] * 5
    assert sizes(*[990] * 5, highest=30)[-1] == 30


def hourly(*values: float) -> Series:
    """Hours of minutes."""
    return load_of(*np.repeat(values, 60).tolist(), step=MINUTE)


def test_an_hours_minimum_begins_the_buffer_before_it() -> None:
    floor = aws.known_floor(hourly(10, 30, 20), timedelta(minutes=5))
    assert floor.tolist() == [10] * 55 + [30] * 65 + [20] * 60
    assert aws.known_floor(hourly(10, 30, 20), timedelta(0)).tolist() == [10] * 60 + [30] * 60 + [20] * 60


def test_what_came_before_the_span_is_what_is_forecast_of() -> None:
    days = [100.0 + 50.0 * (hour % 24 == 9) for hour in range(24 * 10)]
    before, load = hourly(*days), hourly(*[100.0] * 24)
    after = Series(end=before.end + len(load) * MINUTE, step=MINUTE, values=load.values)
    floor = aws.floor_of(before, after)
    assert floor[9 * 60 - 6] == pytest.approx(100.0, rel=0.01)
    assert floor[9 * 60 - 5] == pytest.approx(150.0, rel=0.01)
    assert np.isnan(aws.floor_of(nothing_before(after), after)).all()


def nothing_before(load: Series) -> Series:
    return Series(end=load.start, step=load.step, values=np.zeros(0))


@pytest.mark.slow
@given(cut=st.integers(1, 3 * 24 * 12 - 1), seed=st.integers(0, 3))
@settings(deadline=None, max_examples=12)
def test_nothing_that_comes_is_known(cut: int, seed: int) -> None:
    """Truncation and other values after a moment change nothing until it, minimum and tracking together."""
    step = timedelta(minutes=5)
    values = 100.0 + waves(3 * 24 * 12, seed)
    other = np.concatenate([values[:cut], np.random.default_rng(seed).uniform(0, 9000, len(values) - cut)])  # seeded
    found = [
        aws.sizes(
            load,
            np.array([TARGET]),
            startup=MINUTE,
            initial=9,
            lowest=1,
            highest=9000,
            floor=aws.floor_of(nothing_before(load), load),
        ).sizes[: cut + 1, 0]
        for load in (load_of(*each, step=step) for each in (values, other, values[:cut]))
    ]
    assert found[0].tolist() == found[1].tolist()
    assert found[0][:cut].tolist() == found[2].tolist()


def test_the_log_tells_each_change() -> None:
    loads = [*[150.0] * 12, *[40.0] * 80]
    floor = np.array([*[120.0] * 4, *[60.0] * 88])
    asked = aws.sizes(
        load_of(*loads, step=STEP * 2),
        np.array([5.0, TARGET]),
        startup=MINUTE,
        initial=10,
        lowest=1,
        highest=99,
        floor=floor,
    )
    log = aws.log_of(asked, 1, TARGET)
    told = [words for words in log.steps if "->" in words]
    assert told == [
        "10 -> 12: forecast of the hour 120 / 10 per replica needs 12",
        "12 -> 15: 3 minutes above the target, load 150 / 10 per replica needs 15",
        "15 -> 6: 15 minutes below the target, load 40 / 10 per replica needs 4, held by the forecast of the hour",
    ]
    assert log.steps[1] == "stays at 12"
    assert (log.source[0], log.demand[0]) == ("Forecast", 120.0)
    assert (log.source[8], log.demand[8]) == ("Seen", 150.0)
    assert len(log.demand) == len(log.source) == len(log.steps) == len(loads)
    assert Capacity.of(asked.sizes[:, 1], initial=10, lag=2).ready.min() == 6


@pytest.mark.parametrize("buffer", [timedelta(hours=1), timedelta(seconds=-1)])
def test_a_buffer_that_aws_refuses_is_refused(buffer: timedelta) -> None:
    with pytest.raises(SimulationError, match="--scheduling-buffer must be from 0s to less than 1h"):
        aws.check(buffer, STEP)


def test_steps_of_more_than_an_hour_are_refused() -> None:
    with pytest.raises(SimulationError, match="--step: AWS's policies forecast by the hour"):
        aws.check(aws.BUFFER, timedelta(hours=2))
    aws.check(aws.BUFFER, timedelta(hours=1))
