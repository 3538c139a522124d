"""The size that a scaler would have, against a list of all sizes and when they were asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.policy import Policy
from controller.core.scorecard import Tally
from controller.core.shadow import MOST_STARTING, Fleet, Shadow, decided, is_short, judged, meet
from tests.builders import INTERVAL, NOW, policy, rules, seconds

LEAD = seconds(60)
POLICY = policy(lead=LEAD)  # ten load units a replica
SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=40)


def _tick(index: int) -> datetime:
    return NOW + index * INTERVAL


def _smallest(sizes: list[int], index: int, startup: timedelta) -> int:
    """Of the sizes that stood since `startup` before tick `index`: each stands until the next one is asked for."""
    reach = startup // INTERVAL
    return min(sizes[max(0, index - reach) : index + 1])


@given(sizes=SIZES, startup=st.sampled_from([seconds(0), seconds(15), seconds(60), seconds(150)]))
def test_as_many_are_ready_as_there_were_all_the_start_up_time(sizes: list[int], startup: timedelta) -> None:
    fleet = Fleet(started=sizes[0])
    for index, size in enumerate(sizes):
        fleet = fleet.resized(_tick(index), size, startup)
        assert (fleet.size, fleet.started) == (size, _smallest(sizes, index, startup))


@given(sizes=st.lists(st.integers(0, 200), min_size=1, max_size=60))
def test_many_batches_are_few_and_never_ready_too_early(sizes: list[int]) -> None:
    startup = seconds(3600)
    fleet = Fleet(started=sizes[0])
    for index, size in enumerate(sizes):
        fleet = fleet.resized(_tick(index), size, startup)
        assert len(fleet.starting) <= MOST_STARTING
    for ahead in range(300):
        later = _tick(len(sizes) + ahead)
        stood = [*sizes, *[sizes[-1]] * (ahead + 1)]
        assert fleet.at(later, startup).started <= _smallest(stood, len(stood) - 1, startup)
    assert fleet.at(_tick(len(sizes)) + startup, startup).started == sizes[-1]


@given(sizes=SIZES)
def test_a_shadow_can_be_read_back(sizes: list[int]) -> None:
    shadow = Shadow.of(NOW, 3)
    for index, size in enumerate(sizes):
        shadow = decided(meet(shadow, _tick(index), size, POLICY), _tick(index), size + 1, POLICY)
    assert Shadow.from_json(shadow.to_json()) == shadow


@pytest.mark.parametrize("raw", [{}, {"time": NOW.isoformat(), "own": {"started": 1}}, {"time": "2026-03-02T12:00:00"}])
def test_what_is_no_shadow_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Shadow.from_json(raw)


def test_a_shadow_begins_with_the_size_that_was_found() -> None:
    assert meet(None, NOW, 7, POLICY) == Shadow.of(NOW, 7)


def test_the_shadow_gets_what_was_decided_and_not_what_the_workload_has() -> None:
    shadow = decided(meet(None, NOW, 2, POLICY), NOW, 5, POLICY)
    later = meet(shadow, NOW + INTERVAL, 9, POLICY)
    assert (later.own.size, later.actual.size) == (5, 9)


def test_a_new_size_of_the_workload_counts_from_the_last_decision_on() -> None:
    shadow = meet(decided(Shadow.of(NOW, 2), NOW, 2, POLICY), NOW + INTERVAL, 9, POLICY)
    assert shadow.actual.at(NOW + LEAD, LEAD).started == 9


def test_a_size_found_after_an_outage_counts_from_one_interval_ago() -> None:
    back = NOW + timedelta(hours=1)
    actual = meet(Shadow.of(NOW, 2), back, 9, POLICY).actual
    ready = [actual.at(back - INTERVAL + after, LEAD).started for after in (LEAD - seconds(1), LEAD)]
    assert ready == [2, 9]


def test_while_nobody_decides_the_shadow_keeps_its_size() -> None:
    back = NOW + timedelta(days=2)
    shadow = meet(decided(Shadow.of(NOW, 2), NOW, 5, POLICY), back, 2, POLICY)
    assert shadow.own.at(back, LEAD) == Fleet(started=5)


@pytest.mark.parametrize("found", [0, 4])
def test_what_is_switched_off_or_on_again_is_so_for_the_shadow_too(found: int) -> None:
    off = meet(decided(Shadow.of(NOW, 2), NOW, 5, POLICY), NOW + INTERVAL, 0, POLICY)
    assert meet(off, NOW + 2 * INTERVAL, found, POLICY) == Shadow.of(NOW + 2 * INTERVAL, found)


@pytest.mark.parametrize(
    ("load", "elapsed", "tally"),
    [
        pytest.param(30.0, 15, (15, 15 * 5, 15, 15 * 4, 0), id="short"),  # 2 of 5 are ready: 30 > 2 x 10 x 1.1
        pytest.param(22.0, 15, (15, 15 * 5, 0, 15 * 4, 0), id="within-tolerance"),
        pytest.param(45.0, 30, (30, 30 * 5, 30, 30 * 4, 30), id="both-short"),
        pytest.param(0.0, 15, (15, 15 * 5, 0, 15 * 4, 0), id="a-true-zero"),
        pytest.param(None, 15, (0, 0, 0, 0, 0), id="missing"),
        pytest.param(30.0, 151, (0, 0, 0, 0, 0), id="nobody-was-there"),
        pytest.param(30.0, 0, (0, 0, 0, 0, 0), id="no-time-passed"),
        pytest.param(30.0, -15, (0, 0, 0, 0, 0), id="the-clock-was-put-back"),
    ],
)
def test_what_both_had(load: float | None, elapsed: float, tally: tuple[float, ...]) -> None:
    shadow = Shadow(time=NOW, own=Fleet(started=2, starting=((NOW, 3),)), actual=Fleet(started=4))
    assert judged(shadow, NOW + seconds(elapsed), load, POLICY).sums == tally


def test_what_is_switched_off_is_not_judged() -> None:
    assert judged(Shadow.of(NOW, 0), NOW + INTERVAL, 30.0, POLICY) == Tally()


@pytest.mark.parametrize(
    ("changes", "most"),
    [({}, 110.0), ({"objective": 0.01}, 100.0), ({"scale_up": rules(tolerance=0.25)}, 125.0)],
)
def test_a_shortage_begins_where_the_rules_say(changes: dict[str, object], most: float) -> None:
    rule: Policy = replace(POLICY, **changes)  # type: ignore[arg-type]
    assert [is_short(load, 10, rule) for load in (most * (1 + 1e-12), most * 1.001)] == [False, True]


def test_a_clock_that_was_put_back_makes_nothing_of_the_future() -> None:
    shadow = decided(Shadow.of(NOW, 2), NOW, 5, POLICY)
    earlier = NOW - timedelta(hours=2)
    again = decided(meet(shadow, earlier, 2, POLICY), earlier, 5, POLICY)
    assert (again.time, again.own.at(earlier + LEAD, LEAD).started) == (earlier, 5)
