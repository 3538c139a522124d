"""The hourly forecast keeps AWS's rules of when and of what, knows nothing of what comes, and finds a rhythm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.series import Series
from training.simulate.hourly import AHEAD, Floats, Habits, Hours, forecast, predicted

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
FIRST = int(MONDAY.timestamp()) // 3600
BUFFER = timedelta(seconds=300)


def hours(values: Floats) -> Hours:
    return Hours(first=FIRST, values=values)


def rhythm(count: int, seed: int = 3) -> Floats:
    at = np.arange(count)
    weekend = np.where(at // 24 % 7 >= 5, 0.5, 1.0)
    noise = np.random.default_rng(seed).normal(0, 1, count)  # seeded
    return np.asarray(weekend * (100 + 50 * np.sin(at * 2 * np.pi / 24)) + noise)


def load(values: Floats, step: timedelta, start: datetime = MONDAY) -> Series:
    return Series(end=start + len(values) * step, step=step, values=np.asarray(values, np.float64))


def test_an_hour_is_the_mean_of_what_is_known_of_its_steps() -> None:
    nan = float("nan")
    quarters = load(np.array([1.0, 2.0, nan, 6.0, nan, nan, nan, nan, 4.0]), timedelta(minutes=15))
    found = Hours.of(quarters)
    assert found.first == FIRST
    assert found.values[[0, 2]].tolist() == [3.0, 4.0]
    assert np.isnan(found.values[1])


def test_a_step_belongs_to_the_hour_in_which_it_ends() -> None:
    found = Hours.of(load(np.array([1.0, 2.0, 3.0]), timedelta(minutes=40)))  # the second ends at 1:20
    assert found.values.tolist() == [1.0, 2.5]


@pytest.mark.parametrize("cut", [1, 7, 60, 239])
def test_two_loads_that_follow_one_another_are_one(cut: int) -> None:
    values, step = rhythm(240), timedelta(minutes=7)
    first, second = load(values[:cut], step), load(values[cut:], step, MONDAY + cut * step)
    assert Hours.of(first, second).values == pytest.approx(Hours.of(load(values, step)).values, nan_ok=True)


@given(known=st.integers(0, 60))
def test_nothing_is_forecast_of_less_than_24_hours(known: int) -> None:
    values = np.full(60, np.nan)
    values[:known] = 10.0
    said = predicted(hours(values), timedelta(0))
    made = [at for at in range(0, 60, 6) if min(at, known) >= 24]
    assert np.isfinite(said).tolist() == [any(at <= hour < at + 48 for at in made) for hour in range(60)]


def test_it_looks_back_no_further_than_14_days() -> None:
    values = rhythm(24 * 20)
    older = values.copy()
    at = 24 * 18
    older[: at - 14 * 24] = 1e6
    assert (
        predicted(hours(values), BUFFER)[at + 1 : at + 7].tolist()
        == predicted(hours(older), BUFFER)[at + 1 : at + 7].tolist()
    )
    older[at - 14 * 24] = 1e6
    assert predicted(hours(values), BUFFER)[at + 1] != predicted(hours(older), BUFFER)[at + 1]


def test_it_is_made_anew_every_6_hours_on_the_clock() -> None:
    values = rhythm(24 * 10)
    said = predicted(Hours(first=FIRST - 2, values=values), timedelta(0))  # begins at 22:00
    for at in (24 * 8 + 2, 24 * 8 + 8):  # at 0 and at 6 o'clock
        ahead = forecast(values[:at], FIRST - 2 + at, Habits())
        assert said[at : at + 6].tolist() == ahead[:6].tolist()


@pytest.mark.parametrize(("buffer", "since"), [(timedelta(0), 0), (BUFFER, 1), (timedelta(minutes=59), 1)])
def test_an_hour_goes_by_the_forecast_that_was_there_when_it_was_scheduled(buffer: timedelta, since: int) -> None:
    values = rhythm(24 * 10)
    said, at = predicted(hours(values), buffer), 24 * 8
    older, newer = (forecast(values[:made], FIRST + made, Habits()) for made in (at - 6, at))
    assert said[at : at + 6].tolist() == [*older[6 : 6 + since], *newer[since:6]]


def test_without_new_data_a_forecast_lasts_48_hours() -> None:
    values = np.full(24 * 20, np.nan)
    values[: 24 * 2] = rhythm(24 * 2)
    said = predicted(hours(values), timedelta(0))
    last = np.flatnonzero(np.isfinite(said)).max()
    # The last forecast of 24 known hours in 14 days is made 13 days after the first 24 hours were over.
    assert last == 24 + 14 * 24 + AHEAD - 1


@pytest.mark.slow
@given(cut=st.integers(25, 239), seed=st.integers(0, 5))
def test_nobody_knows_what_comes(cut: int, seed: int) -> None:
    values = rhythm(240, seed)
    said = predicted(hours(values), BUFFER)
    shorter = predicted(hours(values[:cut]), BUFFER)
    other = values.copy()
    other[cut:] = np.random.default_rng(seed).uniform(0, 1e6, 240 - cut)  # seeded
    assert said[:cut] == pytest.approx(shorter, nan_ok=True)
    # An hour after `cut` that was scheduled before is not touched by what came since.
    until = cut + (-cut) % 6 + 1
    assert said[:until] == pytest.approx(predicted(hours(other), BUFFER)[:until], nan_ok=True)


def test_on_noise_it_is_no_better_than_the_mean() -> None:
    values = np.random.default_rng(5).poisson(50, 24 * 40).astype(np.float64)  # seeded
    said = predicted(hours(values), BUFFER)
    known = np.isfinite(said)
    error, spread = values[known] - said[known], values[known] - values[known].mean()
    assert (error**2).mean() >= 0.95 * (spread**2).mean()


def test_it_finds_the_week() -> None:
    values = rhythm(24 * 28)
    said = predicted(hours(values), BUFFER)[24 * 14 :]
    real = values[24 * 14 :]
    daily = predicted(hours(values), BUFFER, Habits(usual=1e9, carried=0.0))[24 * 14 :]  # of hours of the day only
    errors = [np.sqrt(((one - real) ** 2).mean()) for one in (said, daily)]
    assert errors[0] < 0.8 * errors[1]


def test_the_level_of_the_last_hours_is_carried_in_part() -> None:
    even = np.full(24 * 14, 10.0)
    even[-3:] = 20.0
    usual = forecast(even, FIRST + len(even), Habits(carried=0.0))
    raised = forecast(even, FIRST + len(even), Habits(carried=0.5))
    assert np.median(usual) == pytest.approx(10.0, rel=0.02)
    daily = 10.0 + 10.0 / 14  # of those hours of the day
    weekly = daily + (20.0 - 2 * daily + 10.0) / (2 + 4)  # two of them, of which as much is believed as of 2 in 6
    assert np.median(raised / usual) == pytest.approx(1.0 + 0.5 * (20.0 / weekly - 1.0))


@given(st.lists(st.floats(0, 1e9) | st.just(float("nan")), min_size=24, max_size=400))
def test_it_is_never_below_zero_and_always_a_number(values: list[float]) -> None:
    seen = np.array(values)
    if np.isfinite(seen).any():
        found = forecast(seen, FIRST, Habits())
        assert np.isfinite(found).all()
        assert (found >= 0.0).all()
