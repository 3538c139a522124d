"""Do steps hold what an obvious loop says, with gaps never zero and no load lost?"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from training.datasets.buckets import Cells
from training.datasets.reading import Gathering
from training.datasets.request import DataError
from training.datasets.seconds import Seconds, in_order

_NOW = datetime(2024, 2, 1, tzinfo=UTC)
_MINUTE = 60
_BEGIN = 28_000_000 * _MINUTE  # a whole hour

_rows = st.lists(st.tuples(st.integers(0, 300), st.one_of(st.none(), st.integers(0, 1000))), min_size=1, max_size=80)
_chunks = st.lists(_rows, min_size=1, max_size=4)


def _gathered(chunks: list[list[tuple[int, int | None]]]) -> Gathering:
    gathering = Gathering(_MINUTE, _NOW)
    for rows in chunks:
        times = np.array([_BEGIN + minute * _MINUTE for minute, _ in rows], np.int64)
        gathering.add(times, np.array([np.nan if value is None else value for _, value in rows], np.float64))
    return gathering


def _obvious(chunks: list[list[tuple[int, int | None]]]) -> dict[int, int]:
    """What each minute holds: the first value that came for it."""
    held: dict[int, int] = {}
    for minute, value in (row for rows in chunks for row in rows):
        if value is not None:
            held.setdefault(minute, value)
    return held


@settings(max_examples=40, deadline=None)
@given(_chunks, st.sampled_from([1, 5, 15]))
def test_a_step_is_the_sum_of_its_whole_parts_or_missing(chunks: list[list[tuple[int, int | None]]], size: int) -> None:
    held = _obvious(chunks)
    tally = _gathered([*chunks, [(minute, 7) for minute in range(301, 700)]]).tally("load")  # so that minutes are usual
    held |= dict.fromkeys(range(301, 700), 7)

    series = tally.series("load", timedelta(minutes=size), "sum")
    first = (series.start.timestamp() - _BEGIN) / _MINUTE
    for place, value in enumerate(series.values):
        parts = [held.get(int(first) + place * size + part) for part in range(size)]
        expected = np.nan if None in parts else sum(part for part in parts if part is not None)
        np.testing.assert_equal(value, expected)


@settings(max_examples=40, deadline=None)
@given(_chunks)
def test_no_load_is_lost_and_everything_odd_is_counted(chunks: list[list[tuple[int, int | None]]]) -> None:
    gathering = _gathered(chunks)
    held, rows = _obvious(chunks), [row for part in chunks for row in part]
    quality = gathering.quality()

    assert gathering.tally("load").sums["load"].sum() == sum(held.values())
    assert (quality.rows, quality.empty) == (len(rows), sum(value is None for _, value in rows))
    assert quality.duplicates == len(rows) - quality.empty - len(held)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-100_000, 100_000), min_size=1, max_size=200))
def test_a_set_of_seconds_is_a_set(times: list[int]) -> None:
    seconds, known = Seconds(), set[int]()
    for part in (sorted(set(times[::2])), sorted(set(times[1::2]))):
        assert seconds.add(np.array(part, np.int64)).tolist() == [time not in known for time in part]
        known |= set(part)

    ordered = sorted(known)
    assert seconds.ends() == (ordered[0], ordered[-1])
    assert [
        pair for part in seconds.neighbours() for pair in zip(*(each.tolist() for each in part), strict=True)
    ] == list(pairwise(ordered))


@given(st.lists(st.integers(-9, 9), max_size=20))
@example([])
@example([1, 2, 3])
@example([1, 1, 3])
def test_times_are_put_in_order_once(times: list[int]) -> None:
    assert in_order(np.array(times, np.int64)).tolist() == sorted(set(times))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-50_000, 50_000), st.integers(0, 9)), min_size=1, max_size=200))
def test_cells_hold_sums_in_any_order(rows: list[tuple[int, int]]) -> None:
    cells, held = Cells(10, rows=1), defaultdict[int, int](int)
    for part in (rows[::2], rows[1::2]):
        cells.add(np.array([time for time, _ in part], np.int64), np.array([[float(value) for _, value in part]]))
    for time, value in rows:
        held[time // 10] += value

    begin, sums = cells.dense()
    assert {begin // 10 + place: value for place, value in enumerate(sums[0].tolist()) if value} == {
        place: value for place, value in held.items() if value
    }


def test_outages_are_told_to_the_second() -> None:
    gathering = _gathered([[(minute, 1) for minute in (*range(10), *range(20, 40))]])

    ((since, until),) = gathering.quality().outages
    assert (since.timestamp(), until.timestamp()) == (_BEGIN + 10 * _MINUTE, _BEGIN + 20 * _MINUTE)


@pytest.mark.parametrize(
    ("minute", "value", "message"), [(1, -3, "row 2 .*below zero, -3"), (9**7, 1, "row 2 .*future")]
)
def test_impossible_rows_are_named(minute: int, value: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _gathered([[(0, 1)], [(minute, value)]])


def test_a_stray_time_is_told_and_does_not_fill_the_memory() -> None:
    cells = Cells(1, rows=7)
    for time in (0, 28_000_000 * _MINUTE):
        cells.add(np.array([time], np.int64), np.ones((7, 1)))

    with pytest.raises(DataError, match=r"the times go back to 1970-01-01: \d+ steps of 0:00:01 are too many; remove"):
        cells.dense()
