"""For how long is nobody asked, and who?"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from controller.ports import MetricError, MetricReason
from controller.sources.cloudwatch_api import Answer, Question, RefusalError
from controller.sources.cloudwatch_patience import LONGEST_WAIT, REFUSED_FOR, Patience
from controller.sources.periods import SECOND, Points
from tests.sources.watching import CLOSED, METRIC, MINUTE, NOW, access

QUESTION = Question(metric=METRIC, period=MINUTE, start=CLOSED - 5 * MINUTE, end=CLOSED)
ELSEWHERE = replace(QUESTION, metric=replace(METRIC, access=access("us-east-1")))
AS_ROLE = replace(QUESTION, metric=replace(METRIC, access=access(role="arn:aws:iam::123456789012:role/other")))
OTHER = replace(QUESTION, metric=replace(METRIC, name="Other"))
ANSWERED = Points(ends=np.empty(0, np.int64), values=np.empty(0))
THROTTLED = MetricError(MetricReason.THROTTLED, "too often")
REFUSED = RefusalError(MetricReason.QUERY_INVALID, "wrong")


def ask(patience: Patience, answer: Answer, now: datetime) -> bool:
    """Whether it may be asked; if so, CloudWatch says `answer`."""
    if patience.objection(QUESTION, now) is not None:
        return False
    patience.learn(METRIC.access, {QUESTION: answer}, now)
    patience.forget(now)
    return True


def test_who_throttles_is_left_alone_for_longer_and_longer() -> None:
    patience = Patience()
    asked = [second for second in range(250) if ask(patience, THROTTLED, NOW + second * SECOND)]
    assert asked == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert f"left alone for {LONGEST_WAIT.total_seconds():.0f} s" in str(
        patience.objection(QUESTION, NOW + 250 * SECOND)
    )


def test_one_answer_ends_the_waiting() -> None:
    patience = Patience()
    for second in (0, 1, 3):
        ask(patience, THROTTLED, NOW + second * SECOND)
    ask(patience, ANSWERED, NOW + 7 * SECOND)
    ask(patience, THROTTLED, NOW + 8 * SECOND)
    assert ask(patience, ANSWERED, NOW + 9 * SECOND)


def test_two_calls_of_one_tick_are_one_throttling() -> None:
    patience = Patience()
    for _ in range(2):
        patience.learn(METRIC.access, {QUESTION: THROTTLED}, NOW)
    assert patience.objection(QUESTION, NOW + SECOND) is None


@pytest.mark.parametrize("question", [ELSEWHERE, AS_ROLE])
def test_another_region_or_role_is_asked(question: Question) -> None:
    patience = Patience()
    patience.learn(METRIC.access, {QUESTION: THROTTLED}, NOW)
    assert patience.objection(QUESTION, NOW) is not None
    assert patience.objection(question, NOW) is None


def test_a_wrong_question_waits_and_no_other_does() -> None:
    patience = Patience()
    patience.learn(METRIC.access, {QUESTION: REFUSED, OTHER: ANSWERED}, NOW)
    for later, is_open in ((timedelta(0), False), (REFUSED_FOR - SECOND, False), (REFUSED_FOR, True)):
        assert (patience.objection(QUESTION, NOW + later) is None) == is_open
        assert patience.objection(OTHER, NOW + later) is None
