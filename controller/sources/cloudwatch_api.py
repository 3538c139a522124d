"""What did CloudWatch answer? Questions in as few calls as can be, points or a MetricError that names the cure out.

Remembers nothing of an answer. Facts, of AWS's reference:
- A call takes 500 queries, one of them Metrics Insights (SELECT), and answers with 100,800 points; more come in pages,
  but not where metric math is among the queries. Mistakes in one query refuse the whole call.
- All queries of a call share one range. It decides which periods are answered, whatever the age of a point.
- A value's time is the begin of its period, and a period that is not over yet has a value.
- A search gives several results of one Id; pages go on with the same Id. Points without data are left out.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from controller.aws import (
    Aws,
    AwsError,
    CredentialsError,
    DeniedError,
    LateError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnavailableError,
)
from controller.aws_spec import AwsAccess, CloudWatchMetric
from controller.core.series import EPOCH
from controller.ports import MetricError, MetricReason
from controller.sources.periods import SECOND, Points, tier

Answer = Points | MetricError
Json = Mapping[str, Any]

MOST_QUERIES = 500
MOST_POINTS = 100_800
_MOST_PAGES = 1000
_WASTE = 2.0
"""So many times the points that its questions need a call may ask for, by giving them one range."""

_COMPLETE, _FORBIDDEN, _INTERNAL = "Complete", "Forbidden", "InternalError"
_NO_NUMBER = "ArithmeticError"
"""Of metric math whose value is no number somewhere: such points are left out, and so missing."""
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The values of `period` (the metric's own, or a multiple) in [start, end), both multiples of it and aware."""

    metric: CloudWatchMetric
    period: timedelta
    start: datetime
    end: datetime

    @property
    def points(self) -> float:
        """How many there can be."""
        return (self.end - self.start) / self.period

    @property
    def is_math(self) -> bool:
        """Metric math or Metrics Insights."""
        return self.metric.expression is not None

    @property
    def is_insights(self) -> bool:
        """A query of Metrics Insights, which has a call of its own."""
        return (self.metric.expression or "").lstrip().upper().startswith("SELECT")

    @property
    def kind(self) -> tuple[bool, bool, int]:
        """What those have in common that one call can ask."""
        return self.is_math, self.is_insights, tier(self.period)


class RefusalError(MetricError):
    """Asking again gives the same, until somebody corrects the question."""


def batches(questions: Iterable[Question]) -> Iterator[list[Question]]:
    """Which are asked by one call: up to 500 of like age, with no more points than one page has."""
    kinds: defaultdict[tuple[bool, bool, int], list[Question]] = defaultdict(list)
    for question in questions:
        kinds[question.kind].append(question)
    for alike in kinds.values():
        batch = _Batch()
        for question in sorted(alike, key=lambda one: (one.start, one.end)):
            if not batch.fits(question):
                yield batch.questions
                batch = _Batch()
            batch.add(question)
        yield batch.questions


class _Batch:
    """Questions in the order of their starts, on their way into one call."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self._end = EPOCH
        self._needed = self._rate = 0.0

    def fits(self, question: Question) -> bool:
        if not self.questions:
            return True
        if len(self.questions) == MOST_QUERIES or question.is_insights:
            return False
        span = (max(self._end, question.end) - self.questions[0].start).total_seconds()
        points = span * (self._rate + 1 / question.period.total_seconds())
        return points <= min(MOST_POINTS, _WASTE * (self._needed + question.points))

    def add(self, question: Question) -> None:
        self.questions.append(question)
        self._end = max(self._end, question.end)
        self._needed += question.points
        self._rate += 1 / question.period.total_seconds()


class CloudWatchApi:
    """A client for any number of regions and roles. Close it when done."""

    def __init__(self, aws: Aws, at_once: int) -> None:
        """`at_once`: calls to one region as one role, so that a slow one holds up no other."""
        self._aws = aws
        self._slots: defaultdict[AwsAccess, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(at_once))
        self._running: set[asyncio.Task[_Found]] = set()

    async def close(self) -> None:
        """Wait for no answer any more."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def ask(self, access: AwsAccess, batch: Sequence[Question]) -> dict[Question, Answer]:
        """An answer to each question of one of `batches`.

        What AWS refuses is asked again by halves, until it is known which question it refuses.
        """
        try:
            found = await self._call(access, batch)
        except (RefusedError, MissingError, _UntoldError) as error:
            if len(batch) == 1:
                return {batch[0]: _refused(error, batch[0])}
            half = len(batch) // 2
            return {**await self.ask(access, batch[:half]), **await self.ask(access, batch[half:])}
        except AwsError as error:
            return dict.fromkeys(batch, _translated(access, error))
        return {question: found.answer(f"q{place}", question) for place, question in enumerate(batch)}

    async def _call(self, access: AwsAccess, batch: Sequence[Question]) -> _Found:
        """Not cancelled with whoever waits for it: its thread goes on, and takes its slot until it ends."""
        slot = self._slots[access]
        await slot.acquire()
        task = asyncio.create_task(self._pages(access, batch))
        self._running.add(task)
        task.add_done_callback(lambda _: slot.release())
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _pages(self, access: AwsAccess, batch: Sequence[Question]) -> _Found:
        found = _Found()
        pages = self._aws.pages(
            access,
            "cloudwatch",
            "get_metric_data",
            MetricDataQueries=[_query(f"q{place}", question) for place, question in enumerate(batch)],
            StartTime=min(question.start for question in batch),
            EndTime=max(question.end for question in batch),
            ScanBy="TimestampAscending",
            MaxDatapoints=MOST_POINTS,
        )
        async for page in pages:
            found.add(page)
            if found.pages == _MOST_PAGES:
                raise _UntoldError(f"it answers with more than {_MOST_PAGES} pages")
        return found


class _UntoldError(AwsError):
    """CloudWatch says something about the call and not of which query."""


class _Found:
    """Results of one call, put together over its pages."""

    def __init__(self) -> None:
        self._series: defaultdict[str, dict[tuple[str, int], list[Json]]] = defaultdict(dict)
        self._last: dict[str, Json] = {}
        self.pages = 0

    def add(self, page: Json) -> None:
        """Raises _UntoldError where the page warns of something."""
        self.pages += 1
        if page.get("Messages"):
            raise _UntoldError(_words(page["Messages"]))
        seen: defaultdict[tuple[str, str], int] = defaultdict(int)
        for result in page.get("MetricDataResults", ()):
            name, label = result["Id"], result.get("Label", "")
            self._series[name].setdefault((label, seen[name, label]), []).append(result)
            seen[name, label] += 1
            self._last[name] = result

    def answer(self, name: str, question: Question) -> Answer:
        """To one question."""
        every = self._series.get(name, {})
        if len(every) > 1:
            return _several(question, [label for label, _ in every])
        problem = _problem(self._last[name], question) if every else None
        if problem is not None:
            return problem
        return _points([result for parts in every.values() for result in parts], question)


def _points(results: Sequence[Json], question: Question) -> Points:
    """Those of periods that begin and end within the question."""
    begins = [time.timestamp() for result in results for time in result["Timestamps"]]
    values = np.array([value for result in results for value in result["Values"]], np.float64)
    ends = np.array(begins, np.float64).astype(np.int64) + question.period // SECOND
    wanted = (ends > question.start.timestamp()) & (ends <= question.end.timestamp())
    order = np.argsort(ends[wanted], kind="stable")
    return Points(ends=ends[wanted][order], values=values[wanted][order])


def _query(name: str, question: Question) -> dict[str, object]:
    metric, period = question.metric, question.period // SECOND
    if metric.expression is not None:
        return {"Id": name, "Expression": metric.expression, "Period": period}
    dimensions = [{"Name": key, "Value": value} for key, value in metric.dimensions]
    what = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": what, "Period": period, "Stat": metric.stat}}


def _problem(result: Json, question: Question) -> MetricError | None:
    """What CloudWatch says of a result that cannot be used."""
    status = result.get("StatusCode", _COMPLETE)
    told = [one for one in result.get("Messages", ()) if one.get("Code") != _NO_NUMBER]
    words = f": {_words(told)}" if told else ""
    if status == _FORBIDDEN:
        cure = "allow cloudwatch:GetMetricData, in every account that the metric is of"
        return MetricError(MetricReason.UNAUTHORIZED, f"CloudWatch forbids {_name(question)}{words}; {cure}")
    if status == _INTERNAL:
        message = f"CloudWatch failed to answer {_name(question)}{words}; the next tick asks again"
        return MetricError(MetricReason.UNAVAILABLE, message)
    if status != _COMPLETE or told:
        message = f"CloudWatch warns that load may be left out of {_name(question)} ({status}){words}"
        return MetricError(MetricReason.PARTIAL, message)
    return None


def _several(question: Question, labels: Sequence[str]) -> MetricError:
    named = ", ".join(sorted(labels)[:_MOST_NAMED]) + (", ..." if len(labels) > _MOST_NAMED else "")
    message = f"{_name(question)} gives {len(labels)} series where one is needed; wrap it in SUM(); they are: {named}"
    return MetricError(MetricReason.AMBIGUOUS, message)


def _refused(error: AwsError, question: Question) -> RefusalError:
    if isinstance(error, _UntoldError):
        message = f"CloudWatch warns that load may be left out of {_name(question)}: {error}"
        return RefusalError(MetricReason.PARTIAL, message)
    return RefusalError(MetricReason.QUERY_INVALID, f"{error}; correct {_name(question)} of spec.metric.cloudwatch")


def _translated(access: AwsAccess, error: AwsError) -> MetricError:
    """What concerns every question to this region as this role."""
    who = access.role.arn if access.role else "the controller's own identity"
    reason, cure = _reason(error)
    return MetricError(reason, f"{error}; {cure.format(who=who, region=access.region)}")


def _reason(error: AwsError) -> tuple[MetricReason, str]:
    match error:
        case CredentialsError():
            return MetricReason.UNAUTHORIZED, "correct the credentials of {who}"
        case DeniedError():
            return MetricReason.UNAUTHORIZED, "allow cloudwatch:GetMetricData to {who}"
        case ThrottledError():
            return MetricReason.THROTTLED, "GetMetricData is asked for too often in {region}; raise its quota"
        case LateError():
            return MetricReason.TIMEOUT, "check that {region} can be reached, and the network policy"
        case UnavailableError(code=""):
            return MetricReason.UNREACHABLE, "check the region {region} and the network policy"
        case _:
            return MetricReason.UNAVAILABLE, "the next tick asks again"


def _name(question: Question) -> str:
    metric = question.metric
    return "the expression" if metric.expression is not None else f"{metric.stat} of {metric.namespace} {metric.name}"


def _words(messages: Iterable[Json]) -> str:
    return "; ".join(f"{one.get('Value', '')} ({one.get('Code', '')})" for one in messages)[:500]
