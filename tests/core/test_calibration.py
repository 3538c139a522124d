"""Trust and correction, on records by hand and on seeded synthetic loads."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.calibration import (
    CORRECTION_RATE,
    MAX_PENDING,
    corrected,
    coverage,
    pinball,
    rate,
    shifted,
    shifted_one,
    spacing,
    trust,
    updated,
)
from controller.core.forecast import Forecast
from controller.core.memory import TrackRecord
from controller.core.policy import Policy
from tests.builders import NOW, STEP, forecast, policy, series

UNTRIED = TrackRecord()
LEVEL = 0.9
DAY = 288  # steps


def _over(window: timedelta) -> Policy:
    """Rules that prepare for so much time, for the quantile 0.9."""
    return policy(lead=window, interval=timedelta(0))


NONE = 1e-9  # a spare replica that costs next to nothing


def _lived(loads: list[float], upper: Callable[[int], float], record: TrackRecord = UNTRIED) -> list[TrackRecord]:
    """The record after each step, when step t is forecast one step ahead as `upper(t)`."""
    records = []
    for t in range(1, len(loads)):
        now = NOW + t * STEP
        history = series(loads[max(0, t - DAY - 1) : t], end=now)
        record = updated(record, history, forecast(upper(t), origin=now), _over(STEP))
        records.append(record)
    return records


def _noise(count: int, scale: float = 10.0) -> list[float]:
    generator = np.random.default_rng(7)
    return [float(load) for load in generator.normal(100, scale, count)]


@pytest.mark.parametrize(("actual", "loss"), [(110.0, 9.0), (100.0, 0.0), (90.0, 1.0)])
def test_pinball_of_calling_100_the_quantile_nine_tenths(actual: float, loss: float) -> None:
    # 0.9 x (110 - 100) = 9 where it fell short, 0.1 x (100 - 90) = 1 where it was too much
    assert pinball(LEVEL, 100.0, actual) == pytest.approx(loss)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [(0.0, 1.0), (1.0, 1.0), (1.1, 0.8), (1.25, 0.5), (1.4, 0.2), (1.5, 0.0), (99.0, 0.0)],
)
def test_trust_falls_linearly_from_one_to_one_and_a_half_times_the_naive_loss(loss: float, expected: float) -> None:
    record = TrackRecord(settled=1e6, loss=loss * 1e6, loss_persistence=1e6, loss_seasonal=3e6)
    assert trust(record, spare=NONE) == pytest.approx(expected, abs=1e-3)


# twice the naive loss: 1 + n / (n + 24) x (2 - 1), and the weight is (1.5 - that) / 0.5
@pytest.mark.parametrize(("settled", "expected"), [(0, 1.0), (1, 0.92), (6, 0.6), (24, 0.0)])
def test_trust_is_lost_the_faster_the_more_is_settled(settled: float, expected: float) -> None:
    record = TrackRecord(settled=settled, loss=2 * settled, loss_persistence=settled, loss_seasonal=settled)
    assert trust(record, spare=NONE) == pytest.approx(expected, abs=1e-6)


# no forecast counts for worse than four times the naive: 1 + 1 / 25 x 3 = 1.12
@pytest.mark.parametrize(("settled", "loss", "expected"), [(10, 0.0, 1.0), (1, 0.1, 0.76), (10, 0.1, 0.0)])
def test_trust_beside_a_perfect_naive(settled: float, loss: float, expected: float) -> None:
    assert trust(TrackRecord(settled=settled, loss=loss), spare=NONE) == pytest.approx(expected)


# (loss + spare) / (0 + spare) for each forecast: a tenth of a spare replica is 1.1, one whole is 2, and so no trust
@pytest.mark.parametrize(("loss", "expected"), [(0.1, 0.8), (1.0, 0.0)])
def test_trust_forgives_what_is_less_than_a_spare_replica(loss: float, expected: float) -> None:
    record = TrackRecord(settled=1e6, loss=loss * 1e6)
    assert trust(record, spare=1.0) == pytest.approx(expected, abs=1e-3)


@given(loss=st.floats(0, 1e6), naive=st.floats(1e-3, 1e6))
def test_trust_is_a_share(loss: float, naive: float) -> None:
    record = TrackRecord(settled=10, loss=loss, loss_persistence=naive, loss_seasonal=naive)
    assert 0.0 <= trust(record, spare=1.0) <= 1.0


def test_trust_is_lost_by_a_bad_forecast_and_won_back_by_a_good_one() -> None:
    loads = _noise(3 * DAY)
    records = _lived(loads, lambda t: 300.0 if t < DAY else 113.0)  # the 0.9 quantile of N(100, 10) is 112.8
    assert (trust(records[DAY - 1], spare=NONE), trust(records[-1], spare=NONE)) == (0.0, 1.0)


def test_trust_moves_in_small_steps() -> None:
    records = _lived(_noise(3 * DAY), lambda t: 130.0 if t < DAY else 113.0)
    weights = np.array([trust(record, spare=NONE) for record in records[30:]])
    assert np.abs(np.diff(weights)).max() < 0.35


@pytest.mark.parametrize("upper", [100.0, 105.0, 140.0])
def test_correction_brings_any_constant_forecast_to_its_coverage(upper: float) -> None:
    loads = _noise(3000, scale=5.0)
    records = _lived(loads, lambda _: upper)
    held = [loads[t + 1] <= corrected(records[t - 1], forecast(upper), LEVEL)[0] for t in range(1000, len(loads) - 1)]
    assert np.mean(held) == pytest.approx(LEVEL, abs=0.03)


def test_correction_stays_within_its_bounds() -> None:
    records = _lived([1000.0] * 400, lambda _: 1.0)
    assert records[-1].correction == 3.0


def test_coverage_is_unknown_until_enough_is_settled() -> None:
    assert coverage(TrackRecord(watched=5.0, covered=5.0)) is None


def test_coverage_is_the_share_of_late_forecasts_that_held() -> None:
    assert coverage(TrackRecord(watched=8.0, covered=6.0)) == 0.75


def test_without_a_forecast_nothing_is_learnt() -> None:
    assert updated(UNTRIED, series([1.0]), None, _over(STEP)) is UNTRIED


def test_the_same_forecast_is_taken_in_once() -> None:
    once = updated(UNTRIED, series([1.0]), forecast(5.0), _over(STEP))
    assert updated(once, series([1.0]), forecast(5.0), _over(STEP)) == once


@pytest.mark.parametrize(
    ("lead", "ahead", "upper"),
    [
        (timedelta(0), 1, 5.0),
        (STEP, 1, 5.0),
        (STEP + timedelta(seconds=15), 2, 6.0),
        (9 * STEP, 3, 7.0),  # no further than the horizon
    ],
)
def test_what_waits_for_the_truth_by_lead(lead: timedelta, ahead: int, upper: float) -> None:
    (pending,) = updated(UNTRIED, series([1.0]), forecast(5, 6, 7), _over(lead)).pending
    assert (pending.time, pending.upper) == (NOW + ahead * STEP, upper)


def test_a_correction_is_in_units_of_the_band_of_each_step() -> None:
    # levels 0.5 and 0.9: half of the upper one is the band; a quarter of that is added
    np.testing.assert_allclose(corrected(TrackRecord(correction=0.25), forecast(8, 16), LEVEL), [9, 18])


@given(correction=st.floats(-1.0, 3.0), lower=st.floats(0, 1e9), spread=st.floats(0, 1e9), top=st.floats(0, 1e9))
def test_no_correction_goes_below_zero_or_above_eight_times_the_level(
    correction: float, lower: float, spread: float, top: float
) -> None:
    rows = np.array([[lower, lower + spread, lower + spread + top]])
    wide = Forecast(origin=NOW, step=STEP, levels=(0.5, LEVEL, 0.99), quantiles=rows)
    assert 0.0 <= corrected(TrackRecord(correction=correction), wide, LEVEL)[0] <= 8 * (lower + spread)


@given(correction=st.floats(-20.0, 20.0), upper=st.floats(0, 1e300), band=st.floats(0, 1e300))
def test_one_value_is_shifted_as_many_are_to_the_last_bit(correction: float, upper: float, band: float) -> None:
    assert shifted_one(correction, upper, band) == shifted(correction, np.array([upper]), np.array([band]))[0]


@pytest.mark.parametrize(("load", "came"), [(0.0, 0.0), (50.0, 80.0)])
def test_a_forecast_without_a_band_is_scored_but_teaches_no_correction(load: float, came: float) -> None:
    flat = Forecast(origin=NOW, step=STEP, levels=(0.5, 0.9), quantiles=np.array([[load, load]]))
    before = TrackRecord(correction=0.25)
    waiting = updated(before, series([1.0]), flat, _over(STEP))
    after = updated(waiting, series([1.0, came], end=NOW + STEP), flat, _over(STEP))
    assert corrected(before, flat, LEVEL)[0] == load
    assert (after.settled, after.correction) == (1.0, 0.25)


# each miss of the quantile 0.9 raises it by 0.9 of a step; the later the truth comes, the smaller the step
@pytest.mark.parametrize("ahead", [1, 4, 16])
def test_a_miss_far_ahead_moves_the_correction_less(ahead: int) -> None:
    expected = forecast(*[5.0] * 16)
    waiting = updated(UNTRIED, series([1.0]), expected, _over(ahead * STEP))
    after = updated(waiting, series([99.0] * ahead, end=NOW + ahead * STEP), expected, _over(ahead * STEP))
    assert after.correction == pytest.approx(0.9 * CORRECTION_RATE / math.sqrt(ahead))


@pytest.mark.parametrize(("ahead", "steps", "waiting"), [(1, 1, 1), (72, 1, 72), (73, 2, 37), (288, 4, 72)])
def test_what_waits_is_thinned_evenly_where_the_lead_spans_many_steps(ahead: int, steps: int, waiting: int) -> None:
    record, most = UNTRIED, 0
    for t in range(2 * ahead):
        now = NOW + t * STEP
        record = updated(record, series([1.0], end=now), forecast(*[5.0] * ahead, origin=now), _over(ahead * STEP))
        most = max(most, len(record.pending))
    apart = {later.time - one.time for one, later in pairwise(record.pending)}
    assert (spacing(ahead), most, apart - {steps * STEP}) == (steps, waiting, set())
    assert rate(ahead, 0.9) == pytest.approx(CORRECTION_RATE / math.sqrt(waiting))


@pytest.mark.parametrize(("level", "further"), [(0.05, 1.0), (0.5, 1.0), (0.9, 1.0), (0.975, 2.0), (0.99, 10**0.5)])
def test_the_rarer_a_miss_is_meant_to_be_the_further_it_moves_the_correction(level: float, further: float) -> None:
    assert rate(4, level) == pytest.approx(further * rate(4, 0.9))


@pytest.mark.parametrize(("ahead", "steps"), [(1, 1), (145, 3)])
def test_what_is_lately_does_not_depend_on_how_many_are_scored(ahead: int, steps: int) -> None:
    """Of two truths that follow each other, the earlier has lost what a quarter of a season, 72 steps, halves."""
    record = UNTRIED
    for t in range(ahead + steps + 1):
        now = NOW + t * STEP
        expected = forecast(*[5.0] * ahead, origin=now)
        record = updated(record, series([1.0] * DAY, end=now), expected, _over(ahead * STEP))
    assert record.settled == pytest.approx(1 + 0.5 ** (steps / 72))


def test_a_lead_that_got_shorter_leaves_no_more_waiting_than_is_allowed() -> None:
    record = UNTRIED
    for t in range(300):
        now, lead = NOW + t * STEP, (144 if t < 141 else 72) * STEP
        record = updated(record, series([1.0], end=now), forecast(*[5.0] * 144, origin=now), _over(lead))
        assert len(record.pending) <= MAX_PENDING


def test_a_step_that_was_never_recorded_settles_nothing() -> None:
    waiting = updated(UNTRIED, series([1.0]), forecast(5.0), _over(STEP))
    after = updated(waiting, series([1.0, math.nan], end=NOW + STEP), forecast(5.0), _over(STEP))
    assert (after.settled, after.pending) == (0.0, ())


def test_a_naive_forecast_that_had_nothing_to_say_draws() -> None:
    records = _lived(_noise(20), lambda _: 113.0)  # no season is held yet
    assert records[-1].loss_seasonal == pytest.approx(records[-1].loss)
