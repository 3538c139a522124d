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

from controller.core.memory import (
    HEADROOMS,
    Memory,
    MemoryFormatError,
    Pending,
    Plan,
    Recommendation,
    Rivals,
    SizeChange,
    Steering,
    TrackRecord,
)
from controller.core.series import EPOCH
from tests.builders import NOW, seconds

TIMES = st.integers(0, 4 * 10**9).map(lambda since: EPOCH + seconds(since))
SIZES = st.integers(0, 2**31 - 1)
LOADS = st.floats(0, 1e15)
MAYBE_LOADS = st.none() | LOADS
PENDING = st.builds(
    Pending,
    origin=TIMES,
    time=TIMES,
    upper=LOADS,
    forecast=LOADS,
    persistence=MAYBE_LOADS,
    seasonal=MAYBE_LOADS,
    has_band=st.booleans(),
)
RECORDS = st.builds(
    TrackRecord,
    pending=st.lists(PENDING, max_size=3).map(tuple),
    enrolled=st.none() | TIMES,
    settled=LOADS,
    watched=LOADS,
    covered=LOADS,
    loss=LOADS,
    loss_persistence=LOADS,
    loss_seasonal=LOADS,
    correction=st.floats(-1.0, 1.0),
)
PLANS = st.builds(
    Plan,
    time=TIMES,
    forecast=SIZES,
    reactive=SIZES,
    forecast_held=SIZES,
    reactive_held=SIZES,
    seen=LOADS,
    seen_held=LOADS,
)
NEEDED = st.dictionaries(st.integers(0, HEADROOMS), st.floats(1e-300, 1e15), max_size=3).map(
    lambda counts: tuple(counts.get(place, 0.0) for place in range(HEADROOMS + 1)) if counts else ()
)
SIZES_FOUND = st.builds(Recommendation, time=TIMES, replicas=SIZES)
RECOMMENDATIONS = st.builds(Recommendation, time=TIMES, replicas=SIZES, is_held=st.booleans())
MEMORIES = st.builds(
    Memory,
    size=st.none() | SIZES_FOUND,
    changes=st.lists(st.builds(SizeChange, time=TIMES, change=st.integers(-1000, 1000)), max_size=3).map(tuple),
    recommendations=st.lists(RECOMMENDATIONS, max_size=3).map(tuple),
    last_metric=st.none() | TIMES,
    track=RECORDS,
    steering=st.builds(
        Steering,
        shift=st.floats(-1, 20),
        headroom=st.floats(1, 8),
        time=st.none() | TIMES,
        settled=LOADS,
        short=LOADS,
        needed=NEEDED,
        objective=st.none() | st.floats(0.001, 0.5),
    ),
    rivals=st.builds(
        Rivals,
        plans=st.lists(PLANS, max_size=3).map(tuple),
        watched=LOADS,
        forecast_cost=LOADS,
        reactive_cost=LOADS,
        judged=LOADS,
        forecast_short=LOADS,
        reactive_short=LOADS,
    ),
    direction=st.sampled_from([-1, 0, 1]),
    turns=st.lists(TIMES, max_size=3).map(tuple),
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
        ("version", 5),
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


@pytest.mark.parametrize("version", [1, 2])
@given(memory=MEMORIES)
def test_of_an_older_version_all_but_what_was_learnt_is_kept(version: int, memory: Memory) -> None:
    """Its forecasts waited for one step and not for the highest of several, and nothing was steered."""
    stored = {key: memory.to_json()[key] for key in ("size", "changes", "recommendations", "lastMetric", "track")}
    expected = Memory(
        size=memory.size,
        changes=memory.changes,
        recommendations=memory.recommendations,
        last_metric=memory.last_metric,
    )
    assert Memory.from_json(json.loads(json.dumps(stored | {"version": version}))) == expected


@given(memory=MEMORIES)
def test_of_version_3_plans_are_dropped(memory: Memory) -> None:
    """They did not tell what was seen, and no loads were counted by the headroom that was needed."""
    stored = memory.to_json() | {"version": 3}
    stored["steering"] = {key: value for key, value in stored["steering"].items() if key not in ("needed", "objective")}
    stored["rivals"] = stored["rivals"] | {"plans": [plan[:5] for plan in stored["rivals"]["plans"]]}
    expected = replace(
        memory,
        steering=replace(memory.steering, needed=(), objective=None),
        rivals=replace(memory.rivals, plans=()),
    )
    assert Memory.from_json(json.loads(json.dumps(stored))) == expected


@pytest.mark.parametrize("needed", [[[HEADROOMS + 1, 2.0]], [[-1, 2.0]], [[3]], [2.0], {"3": 2.0}, None])
def test_a_count_of_no_headroom_is_refused(needed: object) -> None:
    with pytest.raises(MemoryFormatError):
        Memory.from_json(STORED | {"steering": STORED["steering"] | {"needed": needed}})


def test_a_headroom_that_no_load_needed_takes_no_room() -> None:
    needed = tuple(2.5 if place == 7 else 0.0 for place in range(HEADROOMS + 1))
    assert Memory(steering=Steering(needed=needed)).to_json()["steering"]["needed"] == [[7, 2.5]]


@pytest.mark.parametrize("key", ["size", "changes", "recommendations", "lastMetric"])
def test_a_malformed_version_2_is_refused(key: str) -> None:
    with pytest.raises(MemoryFormatError):
        Memory.from_json({name: value for name, value in STORED.items() if name != key} | {"version": 2})


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


def _grown(*sizes: int) -> Memory:
    """A memory of these sizes, one found every 15 seconds, the last one at NOW."""
    memory = Memory()
    for index, size in enumerate(sizes):
        now = NOW + seconds(15 * (index + 1 - len(sizes)))
        memory = memory.noticing(now, size, since=now - seconds(15), keep=seconds(3600))
    return memory


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=20), back=st.integers(0, 25))
def test_the_smallest_size_of_late_is_that_of_all_sizes(sizes: list[int], back: int) -> None:
    # a size that is found at one decision was asked for at the one before
    expected = min(sizes[max(0, len(sizes) - 1 - back) :])
    assert _grown(*sizes).smallest_since(NOW - seconds(15 * (back + 1))) == expected


def test_no_size_is_known_before_the_first_decision() -> None:
    assert Memory().smallest_since(NOW) is None


@pytest.mark.parametrize(
    ("sizes", "direction", "turns"),
    [((3, 3), 0, 0), ((3, 5, 6), 1, 0), ((3, 5, 4), -1, 1), ((3, 5, 5, 4, 4, 6), 1, 2), ((5, 3, 1), -1, 0)],
)
def test_a_turn_is_a_change_the_other_way(sizes: tuple[int, ...], direction: int, turns: int) -> None:
    memory = _grown(*sizes)
    assert (memory.direction, len(memory.turns)) == (direction, turns)


def test_a_turn_is_forgotten_after_an_hour() -> None:
    memory = _grown(3, 5, 4)
    later = memory.turns[0] + seconds(3600)
    assert memory.noticing(later, 4, since=NOW, keep=seconds(60)).turns == ()
