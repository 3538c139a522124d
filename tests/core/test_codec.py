"""Does every value come back from JSON as it was, and is everything else refused by its place?"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.core import record as _shares_policies  # noqa: F401
from controller.core.codec import LONGEST, CodecError, from_json, to_json
from controller.core.policy import Policy
from controller.core.series import Series
from tests.builders import NOW, policy, seconds, series


class Colour(StrEnum):
    RED = "Red"


@dataclass(frozen=True, kw_only=True)
class Part:
    load: float
    is_kept: bool = False


@dataclass(frozen=True, kw_only=True)
class Whole:
    count: int
    name: str
    colour: Colour
    time: datetime
    gap: timedelta
    part_of_it: Part | None
    parts: tuple[Part, ...]
    pair: tuple[int, str]
    by_colour: Mapping[Colour, Part]


ZONES = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
PARTS = st.builds(Part, load=st.floats(allow_nan=False), is_kept=st.booleans())
WHOLES = st.builds(
    Whole,
    count=st.integers(),
    name=st.text(),
    colour=st.sampled_from(Colour),
    time=st.datetimes(timezones=ZONES),
    gap=st.timedeltas(min_value=timedelta(days=-3650), max_value=timedelta(days=3650)),
    part_of_it=st.none() | PARTS,
    parts=st.lists(PARTS, max_size=3).map(tuple),
    pair=st.tuples(st.integers(), st.text()),
    by_colour=st.dictionaries(st.sampled_from(Colour), PARTS),
)


def _read_again(kind: Any, value: Any) -> Any:
    return from_json(kind, json.loads(json.dumps(to_json(kind, value), allow_nan=False)))


@given(WHOLES)
def test_a_dataclass_comes_back(whole: Whole) -> None:
    assert _read_again(Whole, whole) == whole


@given(st.floats(allow_nan=False))
def test_no_bit_of_a_number_is_lost(number: float) -> None:
    assert struct.pack("d", _read_again(float, number)) == struct.pack("d", number)


def test_what_is_no_number_stays_none() -> None:
    assert math.isnan(_read_again(float, math.nan))


@given(st.lists(st.lists(st.floats(), min_size=2, max_size=2), min_size=1, max_size=4))
def test_an_array_comes_back(rows: list[list[float]]) -> None:
    array = np.array(rows)
    np.testing.assert_array_equal(_read_again(NDArray[np.float64], array), array)


@given(st.lists(st.floats() | st.just(math.nan), max_size=9))
def test_a_series_comes_back_with_its_gaps(values: list[float]) -> None:
    found: Series = _read_again(Series, series(values))
    assert (found.end, found.step) == (NOW, seconds(300))
    np.testing.assert_array_equal(found.values, series(values).values)


PLAIN = to_json(
    Whole,
    Whole(
        count=1,
        name="a",
        colour=Colour.RED,
        time=NOW,
        gap=seconds(1),
        part_of_it=None,
        parts=(Part(load=1.0),),
        pair=(1, "a"),
        by_colour={Colour.RED: Part(load=2.0)},
    ),
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 1.0}, "count must be int, not 1.0"),
        ({"count": True}, "count must be int, not True"),
        ({"name": None}, "name must be str, not None"),
        ({"colour": "Blue"}, "colour: 'Blue' is not a valid Colour"),
        ({"time": "2026-03-02T12:00:00"}, "time has no zone"),
        ({"time": 5}, "time must be an ISO 8601 time, not 5"),
        ({"gap": "long"}, "gap must be a number, not 'long'"),
        ({"gap": 1e300}, "gap: "),
        ({"gap": "nan"}, "gap: "),
        ({"partOfIt": {"load": 1.0, "lode": 2.0}}, "partOfIt.lode is not known to this release"),
        ({"partOfIt": {}}, "partOfIt: .*load"),
        ({"partOfIt": 7}, "partOfIt must be an object, not 7"),
        ({"parts": [{"load": 1.0}, {"load": []}]}, r"parts\[1\].load must be a number, not \[\]"),
        ({"parts": {}}, "parts must be a list, not {}"),
        ({"pair": [1]}, "pair must have 2 items, not 1"),
        ({"pair": [1, 2]}, r"pair\[1\] must be str, not 2"),
        ({"byColour": {"Blue": {"load": 1.0}}}, "byColour: 'Blue'"),
        ({"byColour": {"Red": {"load": None}}}, "byColour.Red.load must be a number, not None"),
        ({"byColour": []}, r"byColour must be an object, not \[\]"),
    ],
    ids=str,
)
def test_what_is_refused_is_named_by_its_place(change: dict[str, Any], words: str) -> None:
    with pytest.raises(CodecError, match=words):
        from_json(Whole, PLAIN | change)


HELD = to_json(Series, series([1.0, math.nan]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"length": LONGEST + 1}, "series.length must be at most 1000000, not 1000001"),
        ({"length": -1}, "series.length must be at most"),
        ({"known": [[2, 1.0]]}, "series.known has a step 2 before the end of 2 steps"),
        ({"known": [[-1, 1.0]]}, "series.known has a step -1"),
        ({"step": 0.0}, "series: step must be positive"),
        ({"more": 1}, "series must have end, step, length and known"),
    ],
    ids=str,
)
def test_a_series_that_cannot_be(change: dict[str, Any], words: str) -> None:
    with pytest.raises(CodecError, match=words):
        from_json(Series, HELD | change, "series")


@pytest.mark.parametrize("raw", [[[1.0], [1.0, 2.0]], [["a"]], "a"], ids=str)
def test_an_array_that_cannot_be(raw: object) -> None:
    with pytest.raises(CodecError, match="quantiles must be"):
        from_json(NDArray[np.float64], raw, "quantiles")


@pytest.mark.parametrize("kind", [set[int], int | str, object], ids=str)
def test_a_type_that_json_cannot_tell_is_a_mistake(kind: Any) -> None:
    with pytest.raises(TypeError):
        to_json(kind, None)


def test_a_shared_value_is_written_as_it_is_and_not_as_another_was() -> None:
    rails = [policy(high=high) for high in range(1, 5000)]  # more than are remembered
    for one in (*rails, *rails[-9:]):
        assert to_json(Policy, one)["maxReplicas"] == one.max_replicas
