"""Is the lead time the 95th percentile of how long pods took, and is nothing else mistaken for a start-up?"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.core.startup import (
    ENOUGH,
    KEPT,
    LONGEST,
    PROGRESS,
    LeadTime,
    LeadTimeSource,
    Pod,
    StartUps,
    StartUpsFormatError,
    lead_time,
    seen,
)
from tests.builders import NOW, seconds

DEFAULT = timedelta(minutes=2)
NOTHING = StartUps()
HOUR = timedelta(hours=1)
TOOK = st.integers(0, 599)
"""Seconds from created to Ready that are believed of any pod."""

WAITED = st.integers(0, 600)


def uid(number: int) -> str:
    return f"{number:08x}-8d2c-4f6e-9b1a-0123456789ab"


def ready(number: int, took: float, *, template: str = "a", at: datetime = NOW) -> Pod:
    """A pod that was Ready at `at`, `took` seconds after it was created."""
    return Pod(uid=uid(number), template=template, created=at - seconds(took), ready=at)


def waiting(number: int, waited: float, *, template: str = "a") -> Pod:
    """A pod that was created `waited` seconds ago and is not Ready."""
    return Pod(uid=uid(number), template=template, created=NOW - seconds(waited), ready=None)


def pods(took: Iterable[float], waited: Iterable[float] = ()) -> list[Pod]:
    starts = [ready(number, one) for number, one in enumerate(took)]
    return starts + [waiting(len(starts) + number, one) for number, one in enumerate(waited)]


def known(found: Iterable[Pod], before: StartUps = NOTHING, now: datetime = NOW) -> LeadTime:
    return lead_time(now, seen(now, found, before), DEFAULT)


def learnt(found: Iterable[Pod], before: StartUps = NOTHING) -> float:
    """The lead time in seconds."""
    return known(found, before).duration.total_seconds()


def hidden(took: float) -> float:
    """What a start-up may have taken whose times were cut to whole seconds."""
    return took + 1


def redistributed(took: Sequence[int], waited: Sequence[int]) -> int:
    """The 95th percentile by Efron's "redistribution to the right" (1967): what waits hands its share to all later."""
    times = sorted([(hidden(one), 0) for one in took] + [(one, 1) for one in waited])
    share = [Fraction(1, len(times)) for _ in times]
    ready_by = Fraction(0)
    for place, (time, waits) in enumerate(times):
        later = len(times) - place - 1
        if waits:
            share[place + 1 :] = [one + share[place] / later for one in share[place + 1 :]]
        else:
            ready_by += share[place]
            if ready_by >= Fraction(95, 100):
                return int(time)
    return int(times[-1][0])


@given(took=st.lists(TOOK, min_size=ENOUGH, max_size=KEPT))
def test_it_is_the_start_up_that_19_of_20_do_not_exceed(took: list[int]) -> None:
    assert learnt(pods(took)) == hidden(sorted(took)[math.ceil(Fraction(95 * len(took), 100)) - 1])


@given(took=st.lists(TOOK, min_size=ENOUGH, max_size=KEPT), waited=st.lists(WAITED, max_size=KEPT))
@example(took=[*range(100, 140)], waited=[5] * 10)
@example(took=[*range(100, 140)], waited=[120] * 3)
def test_pods_that_wait_are_lower_bounds(took: list[int], waited: list[int]) -> None:
    assert learnt(pods(took, waited)) == redistributed(took, waited)


@given(took=st.lists(TOOK, max_size=KEPT), waited=st.lists(WAITED, max_size=KEPT - 1), one_more=WAITED)
def test_one_more_that_waits_never_shortens_it(took: list[int], waited: list[int], one_more: int) -> None:
    assert learnt(pods(took, [*waited, one_more])) >= learnt(pods(took, waited))


@given(took=st.lists(TOOK, max_size=KEPT), waited=st.lists(WAITED, max_size=5), later=st.integers(0, 20_000))
def test_while_pods_wait_it_grows(took: list[int], waited: list[int], later: int) -> None:
    start_ups = seen(NOW, pods(took, waited), NOTHING)
    hours = timedelta(hours=5) - seconds(600)  # beyond 6 h those that wait are no longer start-ups
    after = NOW + min(seconds(later), hours)
    assert lead_time(after, start_ups, DEFAULT).duration >= lead_time(NOW, start_ups, DEFAULT).duration


@given(order=st.permutations(pods([5, 50, 500, 3, 7], [60, 0, 400])))
def test_the_order_of_a_list_says_nothing(order: list[Pod]) -> None:
    assert seen(NOW, order, NOTHING) == seen(NOW, pods([5, 50, 500, 3, 7], [60, 0, 400]), NOTHING)


@pytest.mark.parametrize(
    ("took", "is_first", "expected"),
    [(3600, True, 3601), (3600, False, 120), (21_601, True, 120)],
    ids=["the first time", "perhaps not the first time", "no start-up"],
)
def test_a_long_start_up_is_believed_where_its_end_is_known_to_be_the_first(
    took: float, is_first: bool, expected: float
) -> None:
    start_ups = seen(NOW, [replace(one, is_first=is_first) for one in pods([took] * ENOUGH)], NOTHING)
    assert lead_time(NOW, start_ups, DEFAULT).duration == seconds(expected)


@given(took=st.lists(TOOK, max_size=2 * KEPT), waited=st.lists(WAITED, max_size=2 * KEPT))
def test_another_look_at_the_same_pods_says_nothing_new(took: list[int], waited: list[int]) -> None:
    once = seen(NOW, pods(took, waited), NOTHING)
    assert seen(NOW, pods(took, waited), once) == once


@given(
    starts=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 580)), min_size=ENOUGH, max_size=KEPT),
    looks=st.sets(st.integers(0, 4000), max_size=20),
)
def test_it_does_not_hang_on_when_one_looked(starts: list[tuple[int, int]], looks: set[int]) -> None:
    """Pods created and Ready over an hour, looked at at any times and at last when all are Ready."""

    def at(time: datetime) -> list[Pod]:
        made = [(number, NOW + seconds(created), seconds(took)) for number, (created, took) in enumerate(starts)]
        return [
            Pod(
                uid=uid(number), template="a", created=created, ready=created + took if created + took <= time else None
            )
            for number, created, took in made
            if created <= time
        ]

    start_ups = NOTHING
    for look in [*sorted(looks), 4000]:
        start_ups = seen(NOW + seconds(look), at(NOW + seconds(look)), start_ups)
    expected = sorted(took for _, took in starts)[math.ceil(Fraction(95 * len(starts), 100)) - 1]
    assert lead_time(NOW + seconds(4000), start_ups, DEFAULT).duration == seconds(hidden(expected))


@pytest.mark.parametrize(
    ("took", "waited", "expected", "source"),
    [
        ([], [], 120, LeadTimeSource.DEFAULT),
        ([3], [], 120, LeadTimeSource.DEFAULT),
        ([3, 3, 3, 3], [], 120, LeadTimeSource.DEFAULT),
        ([3, 3, 3, 3, 3], [], 4, LeadTimeSource.LEARNT),
        ([119, 119, 119, 119, 119], [], 120, LeadTimeSource.LEARNT),
        ([200], [], 201, LeadTimeSource.LEARNT),
        ([], [240], 240, LeadTimeSource.LEARNT),
        ([], [60], 120, LeadTimeSource.DEFAULT),
    ],
    ids=[
        "none",
        "one",
        "four",
        "five",
        "five that take as long as the default",
        "one slow",
        "one that waits long",
        "one that waits",
    ],
)
def test_few_start_ups_can_lengthen_the_default_and_not_shorten_it(
    took: list[float], waited: list[float], expected: float, source: LeadTimeSource
) -> None:
    found = known(pods(took, waited))
    assert (found.duration, found.source) == (seconds(expected), source)


@pytest.mark.parametrize(
    ("others", "expected"), [(10, 240), (18, 240), (19, 31)], ids=["1 of 11", "1 of 19", "1 of 20"]
)
def test_a_pod_that_waits_counts_as_one_of_all(others: int, expected: float) -> None:
    assert learnt(pods([30] * others, [240])) == expected


@pytest.mark.parametrize(("hours", "expected"), [(0.1, 360), (0.2, 600), (5.9, 600), (6.1, 120)])
def test_a_pod_that_waits_for_ever_says_ten_minutes_and_in_the_end_nothing(hours: float, expected: float) -> None:
    assert learnt(pods([], [3600 * hours])) == expected


@pytest.mark.parametrize("others", [0, ENOUGH])
def test_a_pod_that_waits_longer_says_more_without_another_look(others: int) -> None:
    start_ups = seen(NOW, pods([30] * others, [40]), NOTHING)
    assert lead_time(NOW + seconds(200), start_ups, DEFAULT).duration == seconds(240)


def test_a_pod_that_waited_and_is_gone_says_nothing() -> None:
    assert learnt([], seen(NOW, pods([], [240]), NOTHING)) == 120


def test_pods_that_wait_for_ever_do_not_hide_those_that_start() -> None:
    assert learnt([*(waiting(number, 7 * 3600) for number in range(KEPT)), waiting(99, 240)]) == 240


def test_what_was_counted_is_told() -> None:
    found = known([*pods([5, 6], [7]), ready(9, 5, template="b", at=NOW - HOUR), waiting(10, 5000, template="b")])
    assert (found.template, found.samples, found.waiting) == ("a", 2, 1)


SLOW = pods([300] * 5)
FAST = [ready(10 + number, 20, template="b", at=NOW + timedelta(minutes=30)) for number in range(5)]
LATER = NOW + HOUR


@pytest.mark.parametrize(("started", "expected"), [(0, 301), (1, 301), (4, 301), (5, 21)])
def test_a_new_template_is_learnt_anew_once_enough_of_it_started(started: int, expected: float) -> None:
    before = seen(NOW, SLOW, NOTHING)
    assert known(SLOW + FAST[:started], before, LATER).duration == seconds(expected)


def test_a_new_template_that_is_slower_is_believed_at_once() -> None:
    quick = [ready(number, 20) for number in range(5)]
    slower = ready(9, 400, template="b", at=NOW + timedelta(minutes=30))
    assert known([*quick, slower], seen(NOW, quick, NOTHING), LATER).duration == seconds(401)


def test_the_template_before_comes_back_with_what_was_known_of_it() -> None:
    both = seen(LATER, SLOW + FAST, seen(NOW, SLOW, NOTHING))
    again = ready(30, 290, at=LATER + timedelta(minutes=10))
    assert known([*SLOW, *FAST, again], both, LATER + HOUR).duration == seconds(301)


def test_start_ups_of_pods_that_vanished_stay_known() -> None:
    assert learnt([], seen(NOW, SLOW, NOTHING)) == 301


def test_the_last_start_ups_count() -> None:
    long_ago = [ready(number, 500, at=NOW - HOUR) for number in range(KEPT)]
    of_late = [ready(100 + number, 20) for number in range(KEPT)]
    assert learnt(of_late, seen(NOW - HOUR, long_ago, NOTHING)) == 21


def test_a_pod_that_was_ready_again_keeps_its_first_time() -> None:
    before = seen(NOW, pods([30] * 5), NOTHING)
    again = [replace(pod, ready=NOW + seconds(300)) for pod in pods([30] * 5)]
    assert known(again, before, LATER).duration == seconds(31)


def test_a_pod_that_lost_ready_does_not_wait() -> None:
    before = seen(NOW, pods([30] * 5), NOTHING)
    lost = [replace(pod, ready=None) for pod in pods([30] * 5)]
    assert known(lost, before, LATER).waiting == 0


def test_what_nobody_watched_is_believed_up_to_the_deadline_of_a_deployment() -> None:
    """Else all pods that were Ready again after an outage of a database would have taken days to start."""
    minute = timedelta(minutes=1)
    quick, slow = PROGRESS - minute, PROGRESS + minute
    found = known([*pods([quick.total_seconds()] * 5), *(ready(10 + one, slow.total_seconds()) for one in range(9))])
    assert (found.samples, found.duration) == (5, quick + seconds(1))


def test_what_was_seen_to_wait_is_believed_however_long() -> None:
    before = seen(NOW, pods([], [10] * 5), NOTHING)
    slow = [replace(pod, ready=NOW + timedelta(minutes=20)) for pod in pods([], [10] * 5)]
    assert known(slow, before, LATER).duration == timedelta(minutes=20, seconds=11)


@pytest.mark.parametrize("hours", [6, 7, 1000])
def test_beyond_the_longest_lead_time_nothing_is_believed(hours: float) -> None:
    before = seen(NOW, pods([], [0] * 5), NOTHING)
    late = NOW + timedelta(hours=hours)
    assert known([replace(pod, ready=late) for pod in pods([], [0] * 5)], before, late + HOUR).samples == 0


@pytest.mark.parametrize("ahead", [1, 3600])
def test_a_clock_that_is_ahead_gives_no_start_up_that_ended_before_it_began(ahead: float) -> None:
    assert known([ready(number, -ahead) for number in range(5)]).samples == 0


def test_a_start_up_of_the_future_counts_when_it_is_past() -> None:
    ahead = [ready(number, 30, at=NOW + seconds(10)) for number in range(5)]
    before = seen(NOW, ahead, NOTHING)
    assert lead_time(NOW, before, DEFAULT).samples == 0
    assert known(ahead, before, NOW + seconds(10)).duration == seconds(31)


def test_a_pod_of_the_future_has_not_waited_yet() -> None:
    assert learnt(pods([], [-600])) == 120


@given(took=st.lists(TOOK, max_size=3 * KEPT), waited=st.lists(WAITED, max_size=3 * KEPT))
def test_what_is_kept_is_small(took: list[int], waited: list[int]) -> None:
    start_ups = seen(NOW, pods(took, waited), NOTHING)
    assert len(json.dumps(start_ups.to_json())) < 4096


@given(took=st.lists(TOOK, max_size=KEPT), waited=st.lists(WAITED, max_size=KEPT), at=st.integers(0, 7 * 3600))
def test_it_is_within_the_bounds_of_a_spec(took: list[int], waited: list[int], at: int) -> None:
    start_ups = seen(NOW, pods(took, waited), NOTHING)
    assert timedelta(0) <= lead_time(NOW + seconds(at), start_ups, DEFAULT).duration <= LONGEST


def test_what_was_stored_is_kept_within_the_bounds() -> None:
    assert lead_time(NOW, StartUps(learnt=7 * HOUR), DEFAULT).duration == LONGEST


PODS = st.builds(
    Pod,
    uid=st.integers(0, 99).map(uid),
    template=st.sampled_from(["", "a", "5d9f8c7b6"]),
    created=st.integers(-40_000, 40_000).map(lambda off: NOW + seconds(off)),
    ready=st.none() | st.integers(-40_000, 40_000).map(lambda off: NOW + seconds(off)),
)


@given(looks=st.lists(st.tuples(st.integers(0, 9), st.lists(PODS, max_size=12)), max_size=6))
def test_json_text_and_back_is_equal(looks: list[tuple[int, list[Pod]]]) -> None:
    """Whatever pods tell, in any order and contradicting themselves."""
    start_ups = NOTHING
    for hour, found in looks:
        start_ups = seen(NOW + hour * HOUR, found, start_ups)
        lead = lead_time(NOW + hour * HOUR, start_ups, DEFAULT).duration
        assert timedelta(0) <= lead <= LONGEST
    assert StartUps.from_json(json.loads(json.dumps(start_ups.to_json(), allow_nan=False))) == start_ups


STORED: dict[str, Any] = seen(NOW, pods([30] * 5, [20]), NOTHING).to_json()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 0),
        ("version", 2),
        ("version", None),
        ("templates", []),
        ("templates", None),
        ("template", 7),
        ("learnt", "soon"),
        ("learnt", 1e300),
        ("done", [[1]]),
        ("done", [["00000000", 0, "now", 3]]),
        ("waiting", {"a": 1}),
        ("waiting", [["00000000", 9, 0]]),
    ],
)
def test_what_cannot_be_read_is_refused(key: str, value: object) -> None:
    with pytest.raises(StartUpsFormatError):
        StartUps.from_json(STORED | {key: value})


@pytest.mark.parametrize("key", sorted(STORED))
def test_what_is_missing_is_refused(key: str) -> None:
    stored = copy.deepcopy(STORED)
    del stored[key]
    with pytest.raises(StartUpsFormatError):
        StartUps.from_json(stored)


def test_that_of_the_spec_is_what_the_spec_says() -> None:
    assert LeadTime.given(seconds(0.5)) == LeadTime(duration=seconds(0.5), source=LeadTimeSource.SPEC)
