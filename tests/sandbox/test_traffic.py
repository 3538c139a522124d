"""Traces count what came, leave gaps as gaps, and the made ones repeat exactly."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from sandbox.traffic import Trace, TraceMissing, nasa, recorded_or_made, synthetic

START = datetime.fromisoformat("2026-01-05T00:00:00+00:00")
MINUTE = timedelta(minutes=1)


def trace(*counts: float) -> Trace:
    return Trace(name="t", start=START, step=MINUTE, counts=np.array(counts, dtype=np.float64))


def total(of: Trace, minutes: float) -> float:
    return float(of.totals_at(np.array([(START + minutes * MINUTE).timestamp()]))[0])


@pytest.mark.parametrize(
    ("minutes", "expected"), [(0, 0.0), (0.5, 5.0), (1, 10.0), (1.25, 15.0), (2, 30.0), (2.5, 30.0), (3, 30.0)]
)
def test_a_total_grows_evenly_within_a_step(minutes: float, expected: float) -> None:
    assert total(trace(10, 20, 0), minutes) == pytest.approx(expected)


@pytest.mark.parametrize("minutes", [-1, -0.01, 3.01, 10])
def test_outside_the_trace_there_is_no_total(minutes: float) -> None:
    assert np.isnan(total(trace(10, 20, 30), minutes))


@pytest.mark.parametrize(
    ("minutes", "expected"), [(1, 10.0), (1.01, np.nan), (2.5, np.nan), (2.99, np.nan), (3, 10.0), (3.5, 25.0)]
)
def test_a_gap_has_no_total_but_two_ends(minutes: float, expected: float) -> None:
    assert total(trace(10, np.nan, np.nan, 30), minutes) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0, 3, [1, 2, 3]), (1, 2, [2]), (0.5, 2.5, [2]), (-5, 9, [1, 2, 3]), (2, 1, []), (5, 9, [])],
)
def test_a_part_holds_the_steps_that_lie_wholly_in_it(first: float, last: float, expected: list[float]) -> None:
    assert trace(1, 2, 3).between(START + first * MINUTE, START + last * MINUTE).counts.tolist() == expected


def test_a_part_knows_when_it_begins() -> None:
    assert trace(1, 2, 3).between(START + MINUTE, START + 9 * MINUTE).start == START + MINUTE


def test_made_traffic_repeats_exactly() -> None:
    first, second = (synthetic(start=START, days=2, seed=7).counts for _ in range(2))
    assert np.array_equal(first, second)


def test_another_seed_makes_other_traffic() -> None:
    first, second = (synthetic(start=START, days=2, seed=seed).counts for seed in (7, 8))
    assert not np.array_equal(first, second)


def test_made_traffic_is_busier_by_day_and_on_workdays() -> None:
    days = synthetic(start=START, days=7).counts.reshape(7, 24, 60).mean(axis=2)
    assert days[:5].mean() > days[5:].mean()
    assert days[:, 16].mean() > 2 * days[:, 4].mean()


def nasa_in(directory: Path) -> dict[str, str]:
    (directory / "nasa").mkdir()
    rows = "timestamp,requests\n1995-07-01T00:00:00-04:00,42\n1995-07-01T00:01:00-04:00,\n1995-07-01T00:02:00-04:00,0\n"
    (directory / "nasa" / "requests-1min.csv").write_text(rows, encoding="utf-8")
    return {"PREDICTIVE_SCALER_DATA": str(directory)}


def test_a_recording_keeps_missing_apart_from_zero(tmp_path: Path) -> None:
    np.testing.assert_array_equal(nasa(nasa_in(tmp_path)).counts, [42, np.nan, 0])


def test_a_recording_begins_when_it_says(tmp_path: Path) -> None:
    assert nasa(nasa_in(tmp_path)).start == datetime.fromisoformat("1995-07-01T04:00:00+00:00")


def test_a_recording_that_is_not_here_says_how_to_point_to_it(tmp_path: Path) -> None:
    with pytest.raises(TraceMissing, match="PREDICTIVE_SCALER_DATA may name the directory"):
        nasa({"PREDICTIVE_SCALER_DATA": str(tmp_path)})


def test_without_a_recording_traffic_is_made_and_says_so(tmp_path: Path) -> None:
    made, words = recorded_or_made({"PREDICTIVE_SCALER_DATA": str(tmp_path)})
    assert (made.name, words.split(",")[0]) == ("synthetic", "generated traffic")
