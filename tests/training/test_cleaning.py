"""Is what is odd left out of a fit, and nothing else: no habit, no new level, no noise, no value of the test?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.core.series import Series
from tests.training.small import DAY, END, HOUR, WINDOW, noise, series_of, trace
from training.cleaning.deviations import deviations
from training.cleaning.flags import _FAR, HOWS, Flags, How, flag
from training.datasets import Dataset
from training.families.seasonal import PERSISTENCE, SEASONAL_NAIVE
from training.generated import generate
from training.job import Job
from training.windows import Window

Floats = NDArray[np.float64]

LOOKING: tuple[How, ...] = ("zscore", "forest", "both")
QUARTER = timedelta(minutes=15)
FINE = Window.fitting(step=QUARTER, season=DAY, horizon=6 * HOUR)
_DAY = 96  # quarters


def _fine(seasons: int = 28, seed: int = 1) -> Floats:
    return generate(seed, step=QUARTER, season=DAY, seasons=seasons).values.copy()


def _flagged(values: Floats, how: How = "zscore", window: Window = FINE) -> Flags:
    return flag(series_of(values, step=window.step), window, UTC, how)


_ODD = np.s_[10 * _DAY + 50 : 10 * _DAY + 58]


@cache
def _surge(how: How) -> Flags:
    """Two hours of six times the load."""
    values = _fine()
    values[_ODD] *= 6
    return _flagged(values, how)


@pytest.mark.parametrize("how", ["zscore", *(pytest.param(how, marks=pytest.mark.slow) for how in ("forest", "both"))])
def test_a_surge_is_flagged(how: How) -> None:
    found = _surge(how)

    assert found.mask[_ODD].all()
    assert found.mask.sum() <= 0.01 * len(found.mask)
    assert max(found.spans, key=lambda span: abs(span.off)).off > 0


def test_an_outage_that_was_recorded_as_zero_is_flagged() -> None:
    values = _fine()
    values[_ODD] = 0
    found = _flagged(values)

    assert found.mask[_ODD].all()
    assert min(span.off for span in found.spans) < -_FAR


def test_a_span_says_when_and_why() -> None:
    span = next(each for each in _surge("both").spans if each.off > 2 * _FAR)

    start = END - 18 * DAY + 50 * QUARTER
    assert abs(span.start - start) <= 2 * QUARTER
    assert abs(span.end - (start + 8 * QUARTER)) <= 2 * QUARTER
    assert span.why == f"far from its season, easily isolated: {span.off:+.1f} usual deviations"


def test_what_is_flagged_becomes_missing_and_nothing_else_changes() -> None:
    values = _fine()
    values[1000:1008] *= 6
    found = _flagged(values)
    cleaned = found.removed_from(series_of(values, step=QUARTER)).values

    assert np.isnan(cleaned[found.mask]).all()
    np.testing.assert_array_equal(cleaned[~found.mask], values[~found.mask])


_HABITS = {
    # A quarter of an hour, up to half an hour early or late; two hours on Tuesdays; a backup on working days.
    "daily peak": [day * _DAY + 40 + late for day, late in enumerate(np.random.default_rng(1).integers(-2, 3, 28))],
    "weekly job": [(7 * week + 1) * _DAY + 12 + place for week in range(4) for place in range(8)],
    "working days": [day * _DAY + 90 + place for day in range(28) if day % 7 < 5 for place in range(2)],
}


@pytest.mark.parametrize("habit", _HABITS)
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("factor", [3, 20])
def test_what_comes_back_is_not_flagged(habit: str, seed: int, factor: float) -> None:
    values = _fine(seed=seed)
    values[_HABITS[habit]] *= factor

    assert not _flagged(values).mask[_HABITS[habit]].any()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("growth", ["none", "trend", "new level"])
def test_a_growing_load_is_not_flagged(seed: int, growth: str) -> None:
    """But for what chance makes of the odd hour."""
    values = _fine(seed=seed)
    if growth == "trend":
        values *= np.linspace(1, 5, len(values))
    if growth == "new level":
        values[15 * _DAY + 30 :] *= 3

    assert _flagged(values).mask.mean() <= 0.007


@pytest.mark.slow
def test_the_forest_spares_habits_too() -> None:
    values = _fine()
    values[_HABITS["weekly job"]] *= 6

    assert not _flagged(values, "forest").mask[_HABITS["weekly job"]].any()


@pytest.mark.slow
def test_a_short_series_has_a_forest_of_its_own_size(recwarn: pytest.WarningsRecorder) -> None:
    values = trace().values[: 14 * 24].copy()
    values[200:206] *= 5

    assert _flagged(values, "forest", WINDOW).mask[200:206].any()
    assert not recwarn.list


def test_noise_is_not_flagged() -> None:
    assert flag(noise(), WINDOW, UTC, "zscore").mask.sum() <= 2  # of 1,176 hours


@pytest.mark.parametrize("how", LOOKING)
@pytest.mark.parametrize(
    ("values", "about"),
    [
        (np.full(1000, 7.0), "the load does the same every season"),
        (np.zeros(1000), "the load is idle most of the time"),
        (np.where(np.arange(1000) % 9 == 0, 5.0, 0.0), "the load is idle most of the time"),
        (np.arange(60.0), "fewer than 3 seasons are recorded"),
        (np.full(1000, np.nan), "fewer than 3 seasons are recorded"),
        (np.empty(0), "fewer than 3 seasons are recorded"),
    ],
)
def test_where_nothing_can_be_said_nothing_is_flagged(how: How, values: Floats, about: str) -> None:
    found = _flagged(values, how, WINDOW)

    assert not found.mask.any()
    assert found.about == f"nothing is flagged, since {about}"


@pytest.mark.slow
@given(
    seed=st.integers(0, 1000),
    share=st.floats(0, 0.5),
    factor=st.floats(0, 100),
    gaps=st.floats(0, 0.6),
)
@settings(deadline=None, max_examples=25)
def test_never_more_than_a_bounded_share_is_flagged(seed: int, share: float, factor: float, gaps: float) -> None:
    random = np.random.default_rng(seed)
    values = trace().values.copy()
    values[random.random(len(values)) < share] *= factor
    values[random.random(len(values)) < gaps] = np.nan
    found = _flagged(values, "zscore", WINDOW)

    assert found.mask.sum() <= 0.03 * np.isfinite(values).sum()


@pytest.mark.slow
def test_neither_the_unit_nor_the_run_matters() -> None:
    """The forest is seeded."""
    values = _fine()
    values[_ODD] *= 6

    np.testing.assert_array_equal(_flagged(values * 1024, "forest").mask, _surge("forest").mask)


def test_both_flags_only_what_either_finds() -> None:
    both, far = _surge("both").mask, _surge("zscore").mask

    assert not (both & ~far).any()


def test_a_weekend_is_compared_with_weekends() -> None:
    """Four quiet weekends; on the second Saturday somebody works."""
    values = _fine()
    values[12 * _DAY + 40 : 12 * _DAY + 56] *= 2.5
    far = deviations(series_of(values, step=QUARTER), FINE, UTC).far

    assert far[12 * _DAY + 44 : 12 * _DAY + 52].min() > 2 * np.quantile(np.abs(far), 0.98)


# In a job


def _spoiled() -> Series:
    """An odd span in the past and one in the test."""
    values = trace().values.copy()
    values[300:304] *= 9
    values[-60:-56] *= 9
    return series_of(values)


def _job(how: How) -> Job:
    return Job.of(Dataset(series=_spoiled(), zone=UTC, about="made up"), WINDOW, END - 4 * DAY, how=how)


@pytest.mark.slow
def test_the_past_is_cleaned_and_the_test_is_not() -> None:
    job = _job("zscore")

    assert np.isnan(job.lessons.values[300:304]).all()
    assert len(job.lessons) == len(trace()) - 4 * 24
    np.testing.assert_array_equal(job.dataset.series.values, _spoiled().values)
    assert (
        job.try_out(PERSISTENCE, name="p").report.model.count
        == _job("off").try_out(PERSISTENCE, name="p").report.model.count
    ).all()


@pytest.mark.slow
def test_what_is_scored_is_what_came() -> None:
    """Persistence learns nothing but its band: its errors are the same however the past is cleaned."""
    reports = [_job(how).try_out(PERSISTENCE, name="p").report for how in ("off", "zscore")]

    np.testing.assert_allclose(reports[1].model.rmse, reports[0].model.rmse, rtol=1e-6)
    assert (
        reports[1].model.rmse[0]
        > 2
        * Job.of(Dataset(series=trace(), zone=UTC, about="made up"), WINDOW, END - 4 * DAY)
        .try_out(PERSISTENCE, name="p")
        .report.model.rmse[0]
    )


def test_the_card_says_how_much_was_learned_from() -> None:
    trained = _job("zscore").try_out(SEASONAL_NAIVE, name="s").model.card.trained

    assert trained is not None
    assert trained.samples == len(trace()) - 4 * 24 - int(_job("zscore").flags.mask.sum())


def test_spans_are_told_in_the_data_s_zone() -> None:
    start, end, why = _job("zscore").excluded()[0]

    assert start <= datetime(2024, 1, 13, 12, tzinfo=UTC) < datetime(2024, 1, 13, 16, tzinfo=UTC) <= end
    assert "usual deviations" in why


def test_off_is_off() -> None:
    assert not _job("off").flags.mask.any()
    assert _job("off").flags.about == "nothing was looked for"
    assert set(HOWS) == {"off", *LOOKING}
