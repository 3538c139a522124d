"""Whom may CloudWatch's source ask now? Not who throttles it, for a growing while, nor what was refused just now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.aws_spec import AwsAccess, CloudWatchMetric
from controller.ports import MetricError, MetricReason
from controller.sources.cloudwatch_api import Answer, Question, RefusalError

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(seconds=60)
REFUSED_FOR = timedelta(minutes=5)
"""A wrong question is asked by calls of its own until it is found; so long it is not asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pause:
    """Of one region and role. `wait`: how long it is; the next one is twice as long."""

    until: datetime
    wait: timedelta
    error: MetricError


class Patience:
    """Pauses by region and role, and refusals by metric."""

    def __init__(self) -> None:
        self._pauses: dict[AwsAccess, _Pause] = {}
        self._refusals: dict[CloudWatchMetric, tuple[datetime, RefusalError]] = {}

    def objection(self, question: Question, now: datetime) -> MetricError | None:
        """Why the question is not asked now."""
        until, refusal = self._refusals.get(question.metric, (now, None))
        if refusal is not None and now < until:
            return refusal
        pause = self._pauses.get(question.metric.access)
        return pause.error if pause is not None and now < pause.until else None

    def learn(self, access: AwsAccess, answers: Mapping[Question, Answer], now: datetime) -> None:
        """From the answers of one call."""
        for question, answer in answers.items():
            if isinstance(answer, RefusalError):
                self._refusals[question.metric] = now + REFUSED_FOR, answer
        throttled = [one for one in answers.values() if is_throttled(one)]
        if not throttled:
            self._pauses.pop(access, None)
        elif isinstance(throttled[0], MetricError):
            self._pause(access, throttled[0], now)

    def forget(self, now: datetime) -> None:
        """Refusals that are over, and pauses of those whom nobody asked since."""
        self._refusals = {metric: held for metric, held in self._refusals.items() if now < held[0]}
        self._pauses = {access: one for access, one in self._pauses.items() if now < one.until + 2 * LONGEST_WAIT}

    def _pause(self, access: AwsAccess, error: MetricError, now: datetime) -> None:
        """Once for all calls of a tick."""
        before = self._pauses.get(access)
        if before is not None and now < before.until:
            return
        wait = min(2 * before.wait, LONGEST_WAIT) if before else FIRST_WAIT
        told = MetricError(error.reason, f"{error}; it is left alone for {wait.total_seconds():.0f} s")
        self._pauses[access] = _Pause(until=now + wait, wait=wait, error=told)


def is_throttled(answer: Answer) -> bool:
    """Whether asking less for a while helps."""
    return isinstance(answer, MetricError) and answer.reason == MetricReason.THROTTLED
