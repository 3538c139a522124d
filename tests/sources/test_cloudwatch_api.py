"""Do few calls ask everything, each once, and none for more than CloudWatch gives?"""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.sources.cloudwatch_api import MOST_POINTS, MOST_QUERIES, Question, batches
from controller.sources.periods import SECOND, tier
from tests.sources.watching import CLOSED, METRIC, MINUTE, expression, request

DAY = timedelta(days=1)


def recent(count: int, *, periods: tuple[timedelta, ...] = (MINUTE,)) -> list[Question]:
    """What a tick asks: the last minutes of each."""
    made = []
    for number in range(count):
        period = periods[number % len(periods)]
        start = CLOSED - max(7 * MINUTE, 3 * period)
        made.append(Question(metric=request(f"load-{number}").metric, period=period, start=start, end=CLOSED))
    return made


@pytest.mark.parametrize(("count", "calls"), [(1, 1), (500, 1), (501, 2), (1000, 2), (1001, 3)])
def test_five_hundred_metrics_are_one_call(count: int, calls: int) -> None:
    assert len(list(batches(recent(count)))) == calls


def test_periods_of_like_age_are_asked_together() -> None:
    assert len(list(batches(recent(500, periods=(MINUTE, 2 * MINUTE))))) == 1
    assert len(list(batches(recent(500, periods=(MINUTE, 10 * SECOND))))) == 2  # which are kept for three hours only


def test_a_long_past_is_not_asked_of_all_for_the_sake_of_one() -> None:
    one = Question(metric=METRIC, period=MINUTE, start=CLOSED - 10 * DAY, end=CLOSED)
    found = [len(batch) for batch in batches([*recent(400), one]) if one in batch]
    assert found[0] <= 2


questions = st.builds(
    lambda number, text, period, back, length: Question(
        metric=(request(f"load-{number}") if text is None else expression(f"{text}{number}")).metric,
        period=period * SECOND,
        start=CLOSED - (back + length) * period * SECOND,
        end=CLOSED - back * period * SECOND,
    ),
    st.integers(0, 2000),
    st.sampled_from([None, None, "SUM(x)", " select "]),
    st.sampled_from([10, 60, 60, 60, 300, 3600]),
    st.integers(0, 3000),
    st.integers(1, 150_000),
)


@given(asked=st.lists(questions, max_size=60, unique=True), copies=st.integers(1, 12))
def test_every_question_is_asked_by_one_call_that_may_ask_it(asked: list[Question], copies: int) -> None:
    every = [
        Question(metric=request(f"{one.metric.name}-{copy}").metric, period=one.period, start=one.start, end=one.end)
        if copy
        else one
        for one in asked
        for copy in range(copies if one.metric.expression is None else 1)
    ]
    found = list(batches(every))
    assert sorted(map(repr, (one for batch in found for one in batch))) == sorted(map(repr, every))
    for batch in found:
        start, end = min(one.start for one in batch), max(one.end for one in batch)
        assert len(batch) <= MOST_QUERIES
        assert len(batch) == 1 or sum((end - start) / one.period for one in batch) <= MOST_POINTS * (1 + 1e-9)
        assert len({tier(one.period) for one in batch}) == 1
        assert len({one.metric.expression is None for one in batch}) == 1
        assert len(batch) == 1 or not any("select" in (one.metric.expression or "") for one in batch)
