"""Is a made-up load made of what was asked for, and of nothing else?"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.small import DAY, HOUR
from training.generated import Workload, generate, sample

_MANY = 1e9  # events a day: chance arrivals are too even to matter
_STEP = timedelta(minutes=5)
_SLOTS = 288


def _days(workload: Workload, *, seed: int = 1, days: int = 28) -> NDArray[np.float64]:
    """Relative to what is usual in a step; [days, slots]."""
    values = workload.series(seed, step=_STEP, season=DAY, seasons=days).values
    return values.reshape(days, _SLOTS) / (workload.a_day * workload.unit / _SLOTS)


def test_without_anything_there_are_only_chance_arrivals() -> None:
    values = Workload(a_day=288 * 50).series(1, step=_STEP, season=DAY, seasons=28).values

    np.testing.assert_allclose((values.mean(), values.var()), 50, rtol=0.05)


def test_the_unit_scales_the_values_and_changes_nothing_else() -> None:
    plain, scaled = (_days(Workload(unit=unit, daily=0.5)) for unit in (1.0, 0.25))

    np.testing.assert_allclose(plain, scaled)


@pytest.mark.parametrize("step", [timedelta(seconds=15), timedelta(minutes=1), _STEP, HOUR])
def test_a_day_brings_the_same_load_in_steps_of_any_length(step: timedelta) -> None:
    workload = Workload(daily=0.5, jobs=24, bursts=4, noise=0.05)
    values = workload.series(1, step=step, season=DAY, seasons=56).values
    calm = Workload(daily=0.5).series(1, step=step, season=DAY, seasons=56).values

    # Jobs are there 1/6 of the time with twice the load, a burst brings 10 minutes of twice the load.
    extra = 57_600 * (24 * 2 / 144 + 4 * 2 / 144)
    np.testing.assert_allclose((values.sum() - calm.sum()) / 56, extra, rtol=0.15)


def test_the_day_swings_and_peaks_when_it_should() -> None:
    mean = _days(Workload(a_day=_MANY, daily=0.5, peak=0.25, twice=0.0)).mean(axis=0)

    assert abs(int(mean.argmax()) - 72) <= 1
    np.testing.assert_allclose((mean.max(), mean.min()), (1.5, 0.5), rtol=0.01)


def test_another_time_zone_moves_the_day() -> None:
    here, there = (_days(Workload(a_day=_MANY, daily=0.5, zone=zone)).mean(axis=0) for zone in (0.0, 0.25))

    np.testing.assert_allclose(np.roll(here, -72), there, rtol=0.001)


def test_the_series_ends_with_a_weekend() -> None:
    by_day = _days(Workload(a_day=_MANY, weekend=0.4), days=10).mean(axis=1)

    np.testing.assert_allclose(by_day, [1, 0.6, 0.6, 1, 1, 1, 1, 1, 0.6, 0.6], rtol=0.001)


def test_outside_business_hours_little_is_left() -> None:
    mean = _days(Workload(a_day=_MANY, open_from=0.25, open_for=0.5, closed=0.1)).mean(axis=0)

    np.testing.assert_allclose(mean, np.repeat([0.1, 1, 0.1], [72, 144, 72]), rtol=0.01)


def test_the_ripple_is_that_of_every_day() -> None:
    days = np.log(_days(Workload(a_day=_MANY, ripple=0.2)))

    np.testing.assert_allclose(days[0].std(), 0.2, rtol=0.01)
    np.testing.assert_allclose(days[0], days[-1], atol=0.01)


def test_noise_is_beyond_chance_and_forgets_at_once() -> None:
    change = np.log(_days(Workload(a_day=_MANY, noise=0.2))).ravel()

    np.testing.assert_allclose(change.std(), 0.2, rtol=0.05)
    assert abs(np.corrcoef(change[1:], change[:-1])[0, 1]) < 0.05


@pytest.mark.parametrize(("field", "memory"), [("wander", "memory"), ("jitter", "jitter_memory")])
def test_wandering_forgets_as_slowly_as_it_should(field: str, memory: str) -> None:
    change = np.log(_days(Workload(a_day=_MANY, **{field: 0.2, memory: 10 / _SLOTS}), days=200)).ravel()

    np.testing.assert_allclose(change.std(), 0.2, rtol=0.1)
    np.testing.assert_allclose(np.corrcoef(change[10:], change[:-10])[0, 1], np.exp(-1), atol=0.05)


def test_the_trend_grows_by_the_day() -> None:
    by_day = _days(Workload(a_day=_MANY, trend=0.02)).mean(axis=1)

    np.testing.assert_allclose(np.diff(np.log(by_day)), 0.02, rtol=0.05)


def test_shifts_jump_and_stay() -> None:
    levels = _days(Workload(a_day=_MANY, shifts=0.5)).ravel()
    jumps = np.abs(np.diff(levels)) > 0.01

    assert 7 <= jumps.sum() <= 21
    assert np.abs(np.diff(levels))[~jumps].max() < 0.01


def test_ramps_never_jump() -> None:
    levels = np.log(_days(Workload(a_day=_MANY, ramps=1, ramp_height=0.5)).ravel())

    assert np.ptp(levels) > 0.5
    assert np.abs(np.diff(levels)).max() < 0.3 * np.ptp(levels)


def test_a_burst_comes_at_once_and_fades() -> None:
    levels = _days(Workload(a_day=_MANY, bursts=0.2, burst_length=1 / 24, burst_height=5)).ravel()
    top = int(levels.argmax())

    assert levels[top - 1] < 1.1
    np.testing.assert_allclose((levels[top + 12] - 1) / (levels[top] - 1), np.exp(-1), rtol=0.05)


def test_jobs_run_at_fixed_times() -> None:
    days = _days(Workload(a_day=_MANY, jobs=4, job_length=1 / 24, job_height=3))

    assert (days > 2).sum(axis=1).tolist() == [4 * 12] * 28
    np.testing.assert_allclose(days[0], days[-1], rtol=0.01)


def test_gaps_are_missing_and_never_zero() -> None:
    values = _days(Workload(gaps=2, gap_length=1 / 24), days=200).ravel()

    np.testing.assert_allclose(np.isnan(values).mean(), 2 / 24, rtol=0.3)
    assert values[np.isfinite(values)].min() > 0.5


@pytest.mark.parametrize("seed", range(40))
def test_a_sample_is_a_load(seed: int) -> None:
    values = sample(seed).series(seed, step=HOUR, season=DAY, seasons=14).values

    known = values[np.isfinite(values)]
    assert len(values) == 14 * 24
    assert len(known) > 100
    assert (known >= 0).all()
    assert known.max() > 0


def test_samples_differ_and_come_again() -> None:
    assert sample(1) == sample(1) != sample(2)


def test_generate_is_what_it_was() -> None:
    """Other tests and the seasonal model rest on these traces."""
    values = generate(1, step=HOUR, season=DAY, seasons=28).values

    np.testing.assert_array_equal(values[:6], [149, 129, 113, 88, 99, 101])
