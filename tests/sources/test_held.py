"""Which points are held, and which are asked for?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.sources.held import Held, Page, missing


def held(first: int, count: int) -> Held:
    return Held(first=first, values=truth(first, count))


def truth(first: int, count: int) -> NDArray[np.float64]:
    return np.arange(first, first + count, dtype=np.float64)


def spans(pages: list[Page]) -> list[tuple[int, int]]:
    return [(page.first, page.first + page.count - 1) for page in pages]


@pytest.mark.parametrize(
    ("have", "last", "count", "pages"),
    [
        pytest.param(None, 100, 5, [(96, 100)], id="nothing held"),
        pytest.param(None, 100, 25, [(91, 100), (81, 90), (76, 80)], id="newest page first"),
        pytest.param((96, 5), 100, 5, [], id="nothing new"),
        pytest.param((96, 5), 101, 5, [(99, 101)], id="one new point, two read again"),
        pytest.param((96, 5), 100, 7, [(94, 95)], id="a longer context asks for what lies before"),
        pytest.param((96, 5), 101, 7, [(99, 101), (95, 95)], id="both ends"),
        pytest.param((96, 5), 108, 5, [(104, 108)], id="no more than the context after a pause"),
        pytest.param((96, 5), 200, 5, [(196, 200)], id="all anew after a long pause"),
        pytest.param((96, 5), 99, 3, [], id="a clock that went back"),
    ],
)
def test_pages_that_are_missing(
    have: tuple[int, int] | None, last: int, count: int, pages: list[tuple[int, int]]
) -> None:
    assert spans(list(missing(held(*have) if have else None, last, count, largest=10))) == pages


def test_a_page_replaces_what_it_overlaps() -> None:
    merged = held(10, 4).merged(Page(first=12, count=3), np.array([-1.0, -2.0, -3.0]))
    assert merged.values.tolist() == [10, 11, -1, -2, -3]


def test_a_page_apart_replaces_everything() -> None:
    merged = held(10, 4).merged(Page(first=20, count=1), np.array([20.0]))
    assert (merged.first, merged.values.tolist()) == (20, [20.0])


@pytest.mark.parametrize(
    ("last", "count", "expected"),
    [
        (13, 2, [12, 13]),
        (13, 6, [np.nan, np.nan, 10, 11, 12, 13]),
        (15, 3, [13, np.nan, np.nan]),
        (30, 2, [np.nan, np.nan]),
        (9, 1, [np.nan]),
    ],
)
def test_a_window_is_nan_where_nothing_is_held(last: int, count: int, expected: list[float]) -> None:
    np.testing.assert_array_equal(held(10, 4).window(last, count), expected)


def test_held_points_cannot_be_changed_through_a_window() -> None:
    window = held(10, 2).merged(Page(first=12, count=1), truth(12, 1)).window(12, 3)
    with pytest.raises(ValueError, match="read-only"):
        window[0] = 0.0


@given(
    ticks=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 30)), min_size=1, max_size=12),
    largest=st.integers(4, 15),
)
def test_asking_for_what_is_missing_always_completes_the_window(ticks: list[tuple[int, int]], largest: int) -> None:
    have: Held | None = None
    last = 1000
    for forward, count in ticks:
        last += forward
        for page in missing(have, last, count, largest):
            assert page.count <= largest
            values = truth(page.first, page.count)
            have = have.merged(page, values) if have else Held(first=page.first, values=values)
        assert have is not None
        np.testing.assert_array_equal(have.window(last, count), truth(last - count + 1, count))
