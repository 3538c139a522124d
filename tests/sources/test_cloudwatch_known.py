"""Is what is known what a slow reader would know, however late values come and however seldom CloudWatch answers?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.series import EPOCH
from controller.sources.cloudwatch_api import Question
from controller.sources.cloudwatch_known import REREAD, Known, Line
from controller.sources.periods import SECOND, Points
from tests.sources.watching import CLOSED, METRIC, MINUTE

CONTEXT, MAX_AGE = 12, timedelta(minutes=6)
LINE = Line(metric=METRIC, step=MINUTE)


@dataclass(frozen=True, slots=True)
class World:
    """`loads`: value and delay (seconds) of each minute since CLOSED, None where none was ever put."""

    loads: list[tuple[float, int] | None]

    def seen(self, now: datetime) -> dict[datetime, float]:
        """By the end of their minute."""
        found = {}
        for number, put in enumerate(self.loads):
            end = CLOSED + (number + 1) * MINUTE
            if put is not None and end + put[1] * SECOND <= now:
                found[end] = put[0]
        return found

    def answer(self, question: Question, now: datetime) -> Points:
        """What CloudWatch has."""
        found = {end: load for end, load in self.seen(now).items() if question.start < end <= question.end}
        ends = [(end - EPOCH) // SECOND for end in found]
        return Points(ends=np.array(ends, np.int64), values=np.array(list(found.values()), np.float64))


def step_by_hand(seen: dict[datetime, float], end: datetime, step: timedelta) -> float:
    there = [load for time, load in seen.items() if end - step < time <= end]
    return sum(there) / len(there) if there else math.nan


puts = st.one_of(st.none(), st.tuples(st.floats(0, 1e6), st.integers(0, int(REREAD.total_seconds()))))


@given(
    loads=st.lists(puts, min_size=1, max_size=60),
    gaps=st.lists(st.tuples(st.integers(1, 900), st.booleans()), min_size=1, max_size=40),
    each=st.sampled_from([1, 5]),
)
def test_the_past_is_what_a_slow_reader_sees(
    loads: list[tuple[float, int] | None], gaps: list[tuple[int, bool]], each: int
) -> None:
    """A tick may be answered or not; after the last, which is, all that can be seen by then is known."""
    world, line, now = World(loads), replace(LINE, step=each * MINUTE), CLOSED
    known = Known(held_points=10_000, idle=timedelta(days=1))
    for gap, is_answered in [*gaps, (60, True)]:
        now += gap * SECOND
        with known.pasts.used([(line, CONTEXT + 2 + 6)], now):
            if is_answered:
                read(known, line, now, world.answer)
            history = known.history(line, CONTEXT, MAX_AGE, now)
    seen = world.seen(now)
    newest = max(seen, default=EPOCH)
    end = newest if now - newest <= MAX_AGE else now
    assert history.end == end - (end - EPOCH) % line.step
    expected = [step_by_hand(seen, history.end - back * line.step, line.step) for back in range(CONTEXT)][::-1]
    np.testing.assert_allclose(history.values, expected)


def read(known: Known, line: Line, now: datetime, answer: Callable[[Question, datetime], Points]) -> bool:
    """Whether anything new was asked for."""
    question = known.recent(line.metric, [line], now)
    if question is not None:
        known.take_recent(question, [line], answer(question, now), now)
    while (gap := known.gap(line, now, together=1)) is not None:
        known.take(gap, answer(gap.question, now) if gap.question else None, now)
    return question is not None


def test_what_an_answer_lacks_stays_as_it_was_seen() -> None:
    """CloudWatch is read from many places, and one may lag behind another."""
    known = Known(held_points=10_000, idle=timedelta(days=1))
    full = World([(1.0, 0), (2.0, 0), (3.0, 0)])
    lagging = World([(1.0, 0), (2.0, 0), None, None, (5.0, 0)])
    for now, world in ((CLOSED + 3 * MINUTE, full), (CLOSED + 5 * MINUTE, lagging)):
        with known.pasts.used([(LINE, 10)], now):
            read(known, LINE, now, world.answer)
            history = known.history(LINE, 5, MAX_AGE, now)
    np.testing.assert_array_equal(history.values, [1, 2, 3, math.nan, 5])


def test_a_value_that_grew_is_read_again() -> None:
    known = Known(held_points=10_000, idle=timedelta(days=1))
    with known.pasts.used([(LINE, 10)], CLOSED):
        read(known, LINE, CLOSED + MINUTE, World([(1.0, 0)]).answer)
        read(known, LINE, CLOSED + 2 * MINUTE, World([(4.0, 0), (2.0, 0)]).answer)
        assert known.history(LINE, 2, MAX_AGE, CLOSED + 2 * MINUTE).values.tolist() == [4, 2]


def test_nothing_is_asked_before_a_period_has_ended() -> None:
    known = Known(held_points=10_000, idle=timedelta(days=1))
    with known.pasts.used([(LINE, 10)], CLOSED):
        read(known, LINE, CLOSED + MINUTE, World([(1.0, 0)]).answer)
        assert known.recent(METRIC, [LINE], CLOSED + MINUTE + 59 * SECOND) is None
        assert known.recent(METRIC, [LINE], CLOSED + 2 * MINUTE) is not None


def test_a_value_that_is_late_is_asked_for_until_it_comes() -> None:
    known = Known(held_points=10_000, idle=timedelta(days=1))
    world = World([(1.0, 0), (2.0, 40)])
    with known.pasts.used([(LINE, 10)], CLOSED):
        for seconds, is_asked in ((120, True), (135, True), (150, True), (165, True), (175, False)):
            now = CLOSED + seconds * SECOND
            assert read(known, LINE, now, world.answer) == is_asked


@pytest.mark.parametrize("lag", [65, 90, 130, 170])
@pytest.mark.parametrize("interval", [5, 15, 30, 60])
def test_values_that_are_always_late_are_asked_for_when_they_are_due(lag: int, interval: int) -> None:
    """Twice in each minute at the most, and after a while each is seen by the first tick that can."""
    known = Known(held_points=10_000, idle=timedelta(days=1))
    world = World([(float(number), lag) for number in range(60)])
    asked = 0
    with known.pasts.used([(LINE, 10)], CLOSED):
        for tick in range(1, 3600 // interval):
            now = CLOSED + tick * interval * SECOND
            is_asked = read(known, LINE, now, world.answer)
            newest = known.newest(METRIC)
            if tick * interval > 1800:
                asked += is_asked
                assert newest is not None
                assert newest.end == max(world.seen(now))
    assert asked <= 2 * 31


def test_after_a_long_pause_all_is_read_anew() -> None:
    known = Known(held_points=10_000, idle=timedelta(days=9))
    later = CLOSED + timedelta(days=3)
    for now in (CLOSED + MINUTE, later):
        with known.pasts.used([(LINE, 10)], now):
            read(known, LINE, now, World([(1.0, 0)]).answer)
            history = known.history(LINE, 10, MAX_AGE, now)
    assert history.end == later
    assert np.isnan(history.values).all()


@pytest.mark.parametrize(("pause", "is_missed_at_once"), [(timedelta(hours=12), True), (timedelta(days=3), False)])
def test_what_a_short_pause_missed_is_asked_for_at_once(pause: timedelta, is_missed_at_once: bool) -> None:
    """After a long one only the last minutes are: the present of all others does not wait for days of one."""
    known, later = Known(held_points=10_000, idle=timedelta(days=9)), CLOSED + pause
    with known.pasts.used([(LINE, 10)], CLOSED):
        read(known, LINE, CLOSED + MINUTE, World([(1.0, 0)]).answer)
        question = known.recent(METRIC, [LINE], later)
    assert question is not None
    assert (question.start < CLOSED) == is_missed_at_once
    assert question.start < CLOSED or question.start >= later - timedelta(minutes=10)
