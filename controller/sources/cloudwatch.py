"""Which load does CloudWatch know? The newest value, and the past on the grid of steps, asked for by the hundreds.

Values come when their period is over, and late: the newest that has come is the present, the past ends with the step
that it ends or lies behind, and the last minutes are read again with every new value. It must not decide what a missing
value means: absent is NaN or None, with a reason, and never 0.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.aws import Aws
from controller.aws_spec import AwsAccess, CloudWatchMetric
from controller.core.series import Observation, Sample
from controller.ports import MetricError, MetricReason, MetricRequest
from controller.sources.answers import answer, within
from controller.sources.cloudwatch_api import Answer, CloudWatchApi, Question, batches
from controller.sources.cloudwatch_known import Gap, Known, Line, Newest
from controller.sources.cloudwatch_patience import Patience
from controller.sources.periods import MINUTE, Points

_LONGEST_SHORT_STEP = timedelta(hours=1)
"""Of periods below a minute, which CloudWatch keeps for three hours only."""

Request = MetricRequest[CloudWatchMetric]
Failures = dict[Line, MetricError]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """Bounds on what observing costs. `tick_seconds`: all questions of one tick together, the rest waits for the next.

    `fill_seconds`: of a tick, after which it does not go on with a past that is not held yet. `at_once`: calls to one
    region as one role. `held_points`: of all histories together, 8 bytes each. `idle`: how long a history outlives its
    last use.
    """

    tick_seconds: float = 15.0
    fill_seconds: float = 5.0
    at_once: int = 2
    held_points: int = 10_000_000
    idle: timedelta = timedelta(hours=1)


DEFAULT_LIMITS = SourceLimits()


class CloudWatchSource:
    """A `Source` for CloudWatch, in any number of regions and as any number of roles. Close it when done."""

    def __init__(self, aws: Aws, *, limits: SourceLimits = DEFAULT_LIMITS) -> None:
        """`aws` stays the caller's to close."""
        self._limits = limits
        self._api = CloudWatchApi(aws, limits.at_once)
        self._known = Known(held_points=limits.held_points, idle=limits.idle)
        self._patience = Patience()

    async def close(self) -> None:
        """Wait for no answer any more."""
        await self._api.close()

    async def observe(self, requests: Sequence[Request], now: datetime) -> list[Observation | MetricError]:
        """One answer for each request, in order.

        An Observation without `latest` where the past is known but the present is not, so that a forecast can outlive
        an outage; a MetricError where neither is.
        """
        lines = [_line(request) for request in requests]
        pairs = zip(lines, requests, strict=True)
        needs = [(line, _needed(request)) for line, request in pairs if isinstance(line, Line)]
        with self._known.pasts.used(needs, now):
            failures = await self._ask(dict.fromkeys(line for line, _ in needs), now)
            answers = [self._answer(*pair, failures, now) for pair in zip(requests, lines, strict=True)]
        self._known.forget(now)
        self._patience.forget(now)
        return answers

    async def _ask(self, lines: Iterable[Line], now: datetime) -> Failures:
        """What could not be brought up to date, and why; no region waits for another."""
        accesses: defaultdict[AwsAccess, list[Line]] = defaultdict(list)
        for line in lines:
            accesses[line.metric.access].append(line)
        failures: Failures = {}
        for failed in await asyncio.gather(*(self._pursue(alike, now) for alike in accesses.values())):
            failures |= failed
        return failures

    async def _pursue(self, lines: Collection[Line], now: datetime) -> Failures:
        """The present of all, then the past of those whose present was answered."""
        began = asyncio.get_running_loop().time()
        deadline = began + self._limits.tick_seconds
        failures = await self._read_recent(lines, now, deadline)
        answered = [line for line in lines if line not in failures]
        return failures | await self._fill(answered, now, began + self._limits.fill_seconds, deadline)

    async def _read_recent(self, lines: Iterable[Line], now: datetime, deadline: float) -> Failures:
        metrics: defaultdict[CloudWatchMetric, list[Line]] = defaultdict(list)
        for line in lines:
            metrics[line.metric].append(line)
        asked = {self._known.recent(metric, alike, now): alike for metric, alike in metrics.items()}
        failures: Failures = {}
        for question, found in (await self._put([one for one in asked if one is not None], now, deadline)).items():
            if isinstance(found, MetricError):
                failures |= dict.fromkeys(asked[question], found)
            else:
                self._known.take_recent(question, asked[question], found, now)
        return failures

    async def _fill(self, lines: Collection[Line], now: datetime, until: float, deadline: float) -> Failures:
        """Page by page of all alike, the newest first, until `until`; each page is kept as soon as it is read."""
        failures: Failures = {}
        while gaps := [gap for line in lines if (gap := self._known.gap(line, now, len(lines))) is not None]:
            if asyncio.get_running_loop().time() >= until:
                return failures | {gap.line: _unfinished() for gap in gaps}
            failures |= await self._close(gaps, now, deadline)
            lines = [gap.line for gap in gaps if gap.line not in failures]
        return failures

    async def _close(self, gaps: Iterable[Gap], now: datetime, deadline: float) -> Failures:
        found = await self._put([gap.question for gap in gaps if gap.question is not None], now, deadline)
        failures: Failures = {}
        for gap in gaps:
            told = found[gap.question] if gap.question is not None else None
            if isinstance(told, MetricError):
                failures[gap.line] = told
            else:
                self._known.take(gap, told, now)
        return failures

    async def _put(self, questions: Iterable[Question], now: datetime, deadline: float) -> dict[Question, Answer]:
        """To CloudWatch, in as few calls as can be; those that are to wait are answered at once."""
        answers: dict[Question, Answer] = {}
        open_questions = []
        for question in dict.fromkeys(questions):
            objection = self._patience.objection(question, now)
            if objection is None:
                open_questions.append(question)
            else:
                answers[question] = objection
        for found in await asyncio.gather(*(self._call(batch, now, deadline) for batch in batches(open_questions))):
            answers |= found
        return answers

    async def _call(self, batch: Sequence[Question], now: datetime, deadline: float) -> dict[Question, Answer]:
        access = batch[0].metric.access
        found = await within(deadline, self._api.ask(access, batch))
        if isinstance(found, MetricError):
            return dict.fromkeys(batch, found)
        self._patience.learn(access, found, now)
        return {question: self._told(question, said, now) for question, said in found.items()}

    def _told(self, question: Question, said: Answer, now: datetime) -> Answer:
        """Of a failure also, for how long nobody will ask again."""
        return said if isinstance(said, Points) else self._patience.objection(question, now) or said

    def _answer(
        self, request: Request, line: Line | MetricError, failures: Failures, now: datetime
    ) -> Observation | MetricError:
        if isinstance(line, MetricError):
            return line
        failure = failures.get(line)
        return answer(
            history=self._known.history(line, request.context, request.max_age, now),
            latest=_latest(self._known.newest(line.metric), failure, request, now),
            failure=failure,
        )


def _line(request: Request) -> Line | MetricError:
    metric = request.metric
    if not request.context:  # nobody forecasts, and a step is what it likes
        return Line(metric=metric, step=metric.period)
    step, period = request.step.total_seconds(), metric.period.total_seconds()
    if request.step % metric.period:
        message = f"a step of the model, {step:g} s, is no whole number of periods of {period:g} s"
        return _bad_period(f"{message}; set spec.metric.cloudwatch.period to one that divides it")
    if metric.period < MINUTE and request.step > _LONGEST_SHORT_STEP:
        message = f"CloudWatch keeps periods of {period:g} s for three hours only, too short for steps of {step:g} s"
        return _bad_period(f"{message}; set spec.metric.cloudwatch.period to 60s or more")
    return Line(metric=metric, step=request.step)


def _bad_period(message: str) -> MetricError:
    return MetricError(MetricReason.PERIOD_INVALID, message)


def _needed(request: Request) -> int:
    """Steps to hold: the context, wherever it ends while values are late."""
    return request.context and request.context + 2 - -request.max_age // request.step


def _latest(
    newest: Newest | None, failure: MetricError | None, request: Request, now: datetime
) -> Sample | MetricError:
    """The newest value while it is not too old, whether CloudWatch answers now or not."""
    name = _name(request.metric)
    if newest is None or now - newest.end > request.max_age:
        return failure or _absent(name, newest, request, now)
    if not math.isfinite(newest.value):
        return MetricError(MetricReason.NOT_FINITE, f"{name} is {newest.value}; divide by what is never zero")
    if newest.value < 0:
        return MetricError(
            MetricReason.NEGATIVE,
            f"{name} is {newest.value:g}, and a load is never negative; ask for what grows with it",
        )
    return Sample(time=newest.end, value=newest.value)


def _absent(name: str, newest: Newest | None, request: Request, now: datetime) -> MetricError:
    if newest is None:
        cure = "correct it" if request.metric.expression else "check region, namespace, metricName and all dimensions"
        return MetricError(MetricReason.EMPTY, f"CloudWatch has no value of {name} lately; {cure}, and that it is put")
    age, most = (now - newest.end).total_seconds(), request.max_age.total_seconds()
    message = f"the last value of {name} ended {age:.0f} s ago, and {most:.0f} s is the most; check that it is put"
    return MetricError(MetricReason.STALE, message)


def _unfinished() -> MetricError:
    return MetricError(MetricReason.TIMEOUT, "the past is still being read; the next tick goes on")


def _name(metric: CloudWatchMetric) -> str:
    return "the expression" if metric.expression is not None else f"{metric.stat} of {metric.namespace} {metric.name}"
