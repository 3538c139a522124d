"""Memory through JSON and back; what else is stored there is refused in words."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.memory import Memory, MemoryFormatError, Pending, Recommendation, SizeChange, TrackRecord
from controller.core.series import EPOCH
from tests.builders import NOW, seconds

TIMES = st.integers(0, 4 * 10**9).map(lambda since: EPOCH + seconds(since))
SIZES = st.integers(0, 2**31 - 1)
LOADS = st.floats(0, 1e15)
MAYBE_LOADS = st.none() | LOADS
PENDING = st.builds(
    Pending, time=TIMES, upper=LOADS, persistence=MAYBE_LOADS, seasonal=MAYBE_LOADS, has_band=st.booleans()
)
RECORDS = st.builds(
    TrackRecord,
    pending=st.lists(PENDING, max_size=3).map(tuple),
    enrolled=st.none() | TIMES,
    settled=LOADS,
    covered=LOADS,
    loss=LOADS,
    loss_persistence=LOADS,
    loss_seasonal=LOADS,
    correction=st.floats(-1.0, 1.0),
)
RECOMMENDATIONS = st.builds(Recommendation, time=TIMES, replicas=SIZES)
MEMORIES = st.builds(
    Memory,
    size=st.none() | RECOMMENDATIONS,
    changes=st.lists(st.builds(SizeChange, time=TIMES, change=st.integers(-1000, 1000)), max_size=3).map(tuple),
    recommendations=st.lists(RECOMMENDATIONS, max_size=3).map(tuple),
    last_metric=st.none() | TIMES,
    track=RECORDS,
)
STORED: dict[str, Any] = Memory(
    size=Recommendation(time=NOW, replicas=3), changes=(SizeChange(time=NOW, change=1),), last_metric=NOW
).to_json()


@given(memory=MEMORIES)
def test_json_text_and_back_is_equal(memory: Memory) -> None:
    assert Memory.from_json(json.loads(json.dumps(memory.to_json(), allow_nan=False))) == memory


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 0),
        ("version", 3),
        ("version", None),
        ("size", [NOW.isoformat()]),
        ("size", ["yesterday", 3]),
        ("size", ["2026-03-02T12:00:00", 3]),  # a time without zone
        ("size", 3),
        ("changes", None),
        ("changes", [["2026-03-02T12:00:00Z", "three"]]),
        ("changes", [[1, 2, 3]]),
        ("recommendations", "none"),
        ("lastMetric", 12),
        ("track", []),
        ("track", {}),
        ("track", None),
    ],
)
def test_malformed_field_is_refused(key: str, value: object) -> None:
    with pytest.raises(MemoryFormatError):
        Memory.from_json(copy.deepcopy(STORED) | {key: value})


@pytest.mark.parametrize("key", sorted(STORED))
def test_absent_field_is_refused(key: str) -> None:
    with pytest.raises(MemoryFormatError):
        Memory.from_json({name: value for name, value in STORED.items() if name != key})


def _as_version_1(memory: Memory) -> Any:
    """As the version before wrote it: the correction was a share of the load, and what waited had no band."""
    stored = memory.to_json()
    track = stored["track"]
    return stored | {"version": 1, "track": track | {"pending": [one[:4] for one in track["pending"]]}}


@given(memory=MEMORIES)
def test_of_version_1_all_but_the_correction_is_kept(memory: Memory) -> None:
    waiting = tuple(replace(one, has_band=False) for one in memory.track.pending)
    expected = replace(memory, track=replace(memory.track, pending=waiting, correction=0.0))
    assert Memory.from_json(json.loads(json.dumps(_as_version_1(memory)))) == expected


@pytest.mark.parametrize("track", [[], {}, None, {"pending": [[NOW.isoformat(), 1.0]]}], ids=repr)
def test_a_malformed_version_1_is_refused(track: object) -> None:
    with pytest.raises(MemoryFormatError):
        Memory.from_json(copy.deepcopy(STORED) | {"version": 1, "track": track})


def test_a_size_that_differs_is_a_change_at_the_last_decision() -> None:
    noticed = Memory(size=Recommendation(time=NOW, replicas=3)).noticing(
        NOW + seconds(15), 5, since=NOW, keep=seconds(60)
    )
    assert noticed.changes == (SizeChange(time=NOW, change=2),)


def test_a_size_that_differs_after_a_long_silence_is_a_late_change() -> None:
    memory = Memory(size=Recommendation(time=NOW - seconds(600), replicas=3))
    assert memory.noticing(NOW + seconds(15), 5, since=NOW, keep=seconds(60)).changes[0].time == NOW


def test_the_same_size_is_no_change() -> None:
    noticed = Memory(size=Recommendation(time=NOW, replicas=3)).noticing(
        NOW + seconds(15), 3, since=NOW, keep=seconds(60)
    )
    assert noticed.changes == ()


@pytest.mark.parametrize(("age", "is_kept"), [(59, True), (60, False), (61, False)])
def test_a_change_is_kept_by_age(age: float, is_kept: bool) -> None:
    memory = Memory(changes=(SizeChange(time=NOW - timedelta(seconds=age), change=2),))
    assert bool(memory.noticing(NOW, 3, since=NOW, keep=seconds(60)).changes) is is_kept
