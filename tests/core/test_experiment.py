"""Whose window is it, and what did it come to? The schedule by its properties, the tallies against an obvious count."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.experiment import (
    Arm,
    Experiment,
    Plan,
    Sight,
    Tally,
    arm_at,
    begun,
    interrupted,
    is_washed_out,
    side,
    tallied,
    wash_out,
    window_at,
)
from controller.core.memory import MemoryFormatError, Steering
from tests.builders import NOW, policy, rules, seconds

MINUTE = timedelta(minutes=1)
BOTH = (Arm.REACTIVE, Arm.PREDICTIVE)
POLICY = policy(lead=seconds(45), down=rules(window=60), low=2, high=20)  # washed out after 45 + 15 + 60 s
IDENTITIES = st.text(min_size=1, max_size=20)


def plan(windows: int = 4, minutes: float = 10, arms: tuple[Arm, Arm] = BOTH) -> Plan:
    return Plan(windows=windows, window_length=minutes * MINUTE, arms=arms)


def experiment(identity: str = "web", of: Plan | None = None) -> Experiment:
    return begun(NOW, identity, of or plan(), Steering())


def sight(after: float, load: float | None = 50.0, size: int = 5, ready: int = 5) -> Sight:
    """So many seconds after the start."""
    return Sight(now=NOW + seconds(after), load=load, size=size, ready=ready)


def told(*sights: Sight, of: Experiment | None = None) -> Experiment:
    state = of or experiment()
    for one in sights:
        state = tallied(POLICY, state, one)
    return state


@given(identity=IDENTITIES, pair=st.integers(0, 99))
def test_each_pair_has_one_window_for_each_arm(identity: str, pair: int) -> None:
    assert {side(experiment(identity), 2 * pair + window) for window in (0, 1)} == {0, 1}


def test_which_arm_comes_first_is_a_fair_coin_in_every_hour() -> None:
    """Neither arm always gets the even windows: over 400 scalers, each pair falls either way about as often."""
    for pair in range(24):
        first = Counter(side(experiment(f"scaler {number}"), 2 * pair) for number in range(400))
        assert 150 < first[0] < 250  # five standard deviations


def test_the_coin_of_one_pair_tells_nothing_of_the_next() -> None:
    falls = Counter((side(experiment(str(number)), 0), side(experiment(str(number)), 2)) for number in range(400))
    assert all(60 < falls[both] < 140 for both in ((0, 0), (0, 1), (1, 0), (1, 1)))


def test_another_start_throws_the_coins_anew() -> None:
    again = replace(experiment(), start=NOW + timedelta(days=1))
    assert [side(experiment(), 2 * pair) for pair in range(64)] != [side(again, 2 * pair) for pair in range(64)]


@given(windows=st.integers(4, 200), minutes=st.integers(10, 1440), at=st.floats(0, 1, exclude_max=True))
def test_a_window_is_counted_from_the_start(windows: int, minutes: int, at: float) -> None:
    state = experiment(of=plan(windows, minutes))
    number = int(at * windows)
    moments = (number * minutes * MINUTE, (number + 1) * minutes * MINUTE - timedelta.resolution)
    assert [window_at(state, NOW + moment) for moment in moments] == [number, number]


def test_there_is_no_window_after_the_last() -> None:
    state = experiment(of=plan(4, 10))
    assert [window_at(state, NOW + minutes * MINUTE) for minutes in (39.9, 40, 400)] == [3, None, None]


def test_before_the_start_it_is_the_first_window() -> None:
    """The clock was put back."""
    assert window_at(experiment(), NOW - timedelta(days=1)) == 0


def test_what_has_ended_stays_ended_when_the_clock_is_put_back() -> None:
    assert window_at(replace(experiment(), is_ended=True), NOW) is None


@pytest.mark.parametrize(
    ("arms", "arm"),
    [
        (BOTH, Arm.PREDICTIVE),
        ((Arm.PREDICTIVE, Arm.REACTIVE), Arm.PREDICTIVE),
        ((Arm.REACTIVE, Arm.REACTIVE), Arm.REACTIVE),
        ((Arm.PREDICTIVE, Arm.PREDICTIVE), Arm.PREDICTIVE),
    ],
)
def test_after_the_end_the_forecast_decides_where_it_was_tried(arms: tuple[Arm, Arm], arm: Arm) -> None:
    assert arm_at(experiment(of=plan(arms=arms)), NOW + timedelta(days=9)) is arm


def test_the_wash_out_is_until_replicas_came_and_went() -> None:
    assert wash_out(plan(), POLICY) == seconds(45 + 15 + 60)


def test_the_wash_out_is_at_most_half_a_window() -> None:
    assert wash_out(plan(), policy(lead=timedelta(hours=1))) == 5 * MINUTE


@pytest.mark.parametrize(("after", "expected"), [(0, False), (119, False), (120, True), (599, True), (600, False)])
def test_each_window_begins_with_a_wash_out(after: float, expected: bool) -> None:
    assert is_washed_out(POLICY, experiment(), NOW + seconds(after)) is expected


def test_a_sum_of_one_window() -> None:
    state = told(
        sight(120),
        sight(135, load=50, size=5, ready=5),  # 50 = 5 x 10: enough
        sight(150, load=51, size=6, ready=5),  # short, and grown
        sight(165, load=5, size=6, ready=6),  # half a replica, but no less than two are wanted
    )
    assert state.tallies == (
        Tally(known=45, replicas=15 * (5 + 6 + 6), needed=15 * (5 + 5.1 + 2), short=15, changes=1),
    )


def test_a_load_beyond_the_most_replicas_needs_no_more_than_these() -> None:
    (tally,) = told(sight(120), sight(130, load=10_000, size=20, ready=20)).tallies
    assert (tally.needed, tally.short) == (200, 10)


@pytest.mark.parametrize(
    "sights",
    [
        pytest.param([sight(0), sight(15)], id="wash-out"),
        pytest.param([sight(119), sight(134)], id="began-in-the-wash-out"),
        pytest.param([sight(300), sight(300 + 151)], id="longer-than-a-load-is-fresh"),
        pytest.param([sight(300), sight(315, load=None)], id="load-not-known"),
        pytest.param([sight(300), sight(315, size=0)], id="switched-off"),
        pytest.param([sight(300), sight(300)], id="no-time"),
        pytest.param([sight(300), sight(290)], id="clock-put-back"),
        pytest.param([sight(300)], id="the-first"),
        pytest.param([sight(2400), sight(2415)], id="ended"),
    ],
)
def test_time_that_does_not_count(sights: Sequence[Sight]) -> None:
    assert all(tally == Tally() for tally in told(*sights).tallies)


def test_time_over_the_end_of_a_window_is_of_neither() -> None:
    assert told(sight(590), sight(605)).tallies == (Tally(), Tally())


def test_the_time_until_the_next_sight_does_not_count_where_others_interfered() -> None:
    state = told(sight(300), of=experiment())
    state = told(sight(315), sight(330), of=interrupted(state))
    assert [tally.known for tally in state.tallies] == [15]


def test_windows_that_nobody_watched_are_empty() -> None:
    state = told(sight(0), sight(2000))
    assert state.tallies == (Tally(),) * 4


def test_the_last_window_ends_the_experiment() -> None:
    assert [told(sight(after)).is_ended for after in (2399, 2400)] == [False, True]


_SIGHTS = st.lists(
    st.builds(
        Sight,
        now=st.integers(0, 2500).map(lambda after: NOW + seconds(after)),
        load=st.none() | st.floats(0, 400),
        size=st.integers(0, 25),
        ready=st.integers(0, 25),
    ),
    max_size=60,
).map(lambda sights: sorted(sights, key=lambda one: one.now))


@given(sights=_SIGHTS)
def test_tallies_equal_a_count_of_each_second(sights: list[Sight]) -> None:
    """The oracle looks at every second alone: whose sight is it, which window is it in, and does it count?"""
    known, replicas, needed, short = ([0.0] * 4 for _ in range(4))
    for before, after in pairwise(sights):
        begin, end = ((one.now - NOW).total_seconds() for one in (before, after))
        is_usable = after.load is not None and after.size > 0 and end - begin <= 150
        if not is_usable or begin % 600 < 120 or begin // 600 != (end - 1) // 600:
            continue
        for second in range(int(begin), int(end)):
            if second >= 2400:
                continue
            window = second // 600
            load = after.load or 0.0
            known[window] += 1
            replicas[window] += after.size
            needed[window] += min(20, max(2, load / 10))
            short[window] += load > 10 * after.ready
    tallies = (*told(*sights).tallies, *[Tally()] * 4)[:4]
    for window, tally in enumerate(tallies):
        found = (tally.known, tally.replicas, tally.needed, tally.short)
        assert found == pytest.approx((known[window], replicas[window], needed[window], short[window]))


@given(sights=_SIGHTS, cut=st.integers(0, 60))
def test_a_restart_loses_nothing(sights: list[Sight], cut: int) -> None:
    """What is stored at any moment goes on as if it had never been stored, up to the tenth of a second that is kept."""
    halfway = told(*sights[:cut])
    restored = Experiment.from_json(json.loads(json.dumps(halfway.to_json())))
    one, other = (told(*sights[cut:], of=state) for state in (halfway, restored))
    for kept, lost in zip(one.tallies, other.tallies, strict=True):
        assert (kept.known, kept.replicas, kept.short) == (lost.known, lost.replicas, lost.short)
        assert kept.needed == pytest.approx(lost.needed, abs=0.1)
    assert (one.time, one.size, one.is_ended) == (other.time, other.size, other.is_ended)


def test_what_is_stored_is_what_is_read() -> None:
    steering = Steering(shift=0.25, headroom=1.5, time=NOW, settled=9.0, short=1.0)
    state = told(sight(120), sight(135), of=begun(NOW, "web", plan(7, 12.5), steering))
    assert Experiment.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_what_is_stored_stays_small() -> None:
    """200 windows of a day each with the longest numbers there can be: far below what an object may hold (1.5 MB)."""
    full = Tally(known=86399.9, replicas=8639999999.9, needed=8639999999.9, short=86399.9, changes=5760)
    state = replace(experiment(of=plan(200, 1440)), tallies=(full,) * 200)
    assert len(json.dumps(state.to_json())) < 15_000


@pytest.mark.parametrize(
    "change",
    [
        {"version": 99},
        {"start": "2026-03-02T12:00:00"},
        {"plan": [4, 600.0, "reactive"]},
        {"plan": [4, 600.0, "reactive", "clever"]},
        {"tallies": [[1, 2]]},
        {"reactive": None},
        {"time": 7},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_cannot_be_read_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(MemoryFormatError, match="experiment"):
        Experiment.from_json({**experiment().to_json(), **change})


def test_what_lacks_a_part_is_refused() -> None:
    raw = experiment().to_json()
    del raw["identity"]
    with pytest.raises(MemoryFormatError, match="experiment"):
        Experiment.from_json(raw)


def test_the_reactive_arm_begins_with_the_headroom_that_was_learnt() -> None:
    steering = Steering(shift=3.0, headroom=1.2, time=NOW - MINUTE, settled=900.0, short=9.0)
    assert begun(NOW, "web", plan(), steering).reactive == Steering(headroom=1.2, time=NOW - MINUTE)


def test_times_are_those_of_the_plan() -> None:
    end: datetime = experiment(of=plan(6, 20)).end
    assert end == NOW + timedelta(hours=2)
