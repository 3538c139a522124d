"""Which load does Prometheus know? The value now, and the past on the grid of steps, each asked for once.

Equal questions of many scalers are one question. The past is held, so that a tick asks only for points that closed
since. It must not decide what a missing value means: absent is NaN or None, with a reason, and never 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from controller.core.series import EPOCH, Observation, Sample, Series
from controller.ports import MetricError, MetricReason, MetricRequest, Secrets
from controller.sources.answers import answer, within
from controller.sources.credentials import ANONYMOUS, Access, Credentials, CredentialStore
from controller.sources.held import Pasts, index, missing
from controller.sources.prometheus_api import Endpoint, Limits, PrometheusApi
from controller.spec import PrometheusMetric

PAGE_POINTS = 10_000
"""Prometheus answers at most 11,000 points a series."""

_ANSWERED = {MetricReason.EMPTY, MetricReason.NOT_FINITE, MetricReason.NEGATIVE}
"""No usable value now, but the server works and its past is worth asking for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """Bounds on what observing costs. `tick_seconds`: all questions of one tick together, the rest waits for the next.

    `held_points`: of all histories together, 8 bytes each. `idle`: how long a history outlives its last use.
    """

    query: Limits = field(default_factory=Limits)
    tick_seconds: float = 15.0
    page_points: int = PAGE_POINTS
    held_points: int = 10_000_000
    idle: timedelta = timedelta(hours=1)


DEFAULT_LIMITS = SourceLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What makes two scalers ask the same."""

    address: str
    access: Access
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One past: a question on one grid."""

    question: _Question
    step: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What one tick learned. A line that is not in `failures` is up to date."""

    latest: Mapping[_Question, Sample | MetricError]
    failures: Mapping[_Line, MetricError]


class PrometheusSource:
    """A `Source` for Prometheus, Thanos, Mimir and what else speaks their HTTP API.

    `address`: the server of those scalers that name none. `on_query` hears of every query how many seconds it took.
    Close it when done.
    """

    def __init__(
        self,
        *,
        address: str,
        secrets: Secrets,
        limits: SourceLimits = DEFAULT_LIMITS,
        on_query: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._address = address
        self._credentials = CredentialStore(secrets)
        self._limits = limits
        self._api = PrometheusApi(limits.query, on_query)
        self._pasts: Pasts[_Line] = Pasts(points=limits.held_points, idle=limits.idle)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def observe(
        self, requests: Sequence[MetricRequest[PrometheusMetric]], now: datetime
    ) -> list[Observation | MetricError]:
        """One answer for each request, in order.

        An Observation without `latest` where the past is known but the present is not, so that a forecast can outlive
        an outage; a MetricError where neither is.
        """
        lines = [self._line(request) for request in requests]
        with self._pasts.used(zip(lines, (request.context for request in requests), strict=True), now):
            answers = await self._ask(lines, now)
        observations = [self._answer(*pair, answers, now) for pair in zip(requests, lines, strict=True)]
        self._pasts.evict(now)
        self._credentials.forget(now)
        return observations

    def _line(self, request: MetricRequest[PrometheusMetric]) -> _Line:
        address = request.metric.address or self._address
        question = _Question(address=address, access=Access.of(request), query=request.metric.query)
        return _Line(question=question, step=request.step)

    async def _ask(self, lines: Sequence[_Line], now: datetime) -> _Answers:
        deadline = asyncio.get_running_loop().time() + self._limits.tick_seconds
        asked: dict[_Question, dict[_Line, None]] = {}
        for line in lines:
            asked.setdefault(line.question, {})[line] = None
        found = await asyncio.gather(*(self._pursue(question, asked[question], now, deadline) for question in asked))
        failures = {line: error for _, errors in found for line, error in errors.items()}
        return _Answers(latest=dict(zip(asked, (latest for latest, _ in found), strict=True)), failures=failures)

    async def _pursue(
        self, question: _Question, lines: Iterable[_Line], now: datetime, deadline: float
    ) -> tuple[Sample | MetricError, dict[_Line, MetricError]]:
        """The present, then the past if the server answered; no question waits for another's server.

        The slots of an address are given in the order of asking, so the present of all comes before the past of any.
        """
        latest = await within(deadline, self._latest(question, now))
        failures: dict[_Line, MetricError] = {}
        if isinstance(latest, Sample) or latest.reason in _ANSWERED:
            for line in lines:
                failure = await within(deadline, self._update(line, now))
                if failure is not None:
                    failures[line] = failure
        return latest, failures

    async def _endpoint(self, question: _Question, now: datetime) -> Endpoint:
        credentials = await self._credentials.resolve(question.access, now)
        return Endpoint(address=question.address, credentials=credentials)

    async def _latest(self, question: _Question, now: datetime) -> Sample:
        return await self._api.instant(await self._endpoint(question, now), question.query, now)

    async def _update(self, line: _Line, now: datetime) -> None:
        """Read what closed since, and what a longer context needs; each page is kept as soon as it is read."""
        endpoint = await self._endpoint(line.question, now)
        past = self._pasts[line]
        last = index(now, line.step)
        for page in missing(past.held, last, past.context, self._limits.page_points):
            values = await self._api.range(endpoint, line.question.query, page, line.step)
            self._pasts[line] = past = past.merged(page, values, last)

    def _answer(
        self, request: MetricRequest[PrometheusMetric], line: _Line, answers: _Answers, now: datetime
    ) -> Observation | MetricError:
        return answer(
            history=self._history(line, request.context, now),
            latest=_fresh(answers.latest[line.question], request.max_age, now),
            failure=answers.failures.get(line),
        )

    def _history(self, line: _Line, context: int, now: datetime) -> Series:
        last = index(now, line.step)
        held = self._pasts[line].held
        values = held.window(last, context) if held else np.full(context, np.nan)
        return Series(end=EPOCH + last * line.step, step=line.step, values=values)


async def fetch_range(
    address: str,
    query: str,
    start: datetime,
    end: datetime,
    step: timedelta,
    *,
    credentials: Credentials = ANONYMOUS,
    limits: SourceLimits = DEFAULT_LIMITS,
) -> Series:
    """The steps of `query` that lie within [start, end], read page by page. Raises MetricError.

    `end` of the Series is the last multiple of `step` that is not after `end`; NaN where nothing usable was recorded.
    """
    last = index(end, step)
    count = last + (start - EPOCH) // -step
    if count < 1:
        raise ValueError(f"no whole step of {step} lies between {start} and {end}")
    api = PrometheusApi(limits.query)
    pages = sorted(missing(None, last, count, limits.page_points), key=lambda page: page.first)
    try:
        values = [
            await api.range(Endpoint(address=address, credentials=credentials), query, page, step) for page in pages
        ]
    finally:
        await api.close()
    return Series(end=EPOCH + last * step, step=step, values=np.concatenate(values))


async def fetch_label(
    address: str,
    query: str,
    label: str,
    now: datetime,
    *,
    credentials: Credentials = ANONYMOUS,
    limits: SourceLimits = DEFAULT_LIMITS,
) -> list[str]:
    """The values that `label` has at `now` among what `query` gives, sorted. Raises MetricError."""
    api = PrometheusApi(limits.query)
    try:
        return await api.label_values(Endpoint(address=address, credentials=credentials), query, label, now)
    finally:
        await api.close()


def _fresh(latest: Sample | MetricError, max_age: timedelta, now: datetime) -> Sample | MetricError:
    if isinstance(latest, MetricError) or now - latest.time <= max_age:
        return latest
    age, most = (now - latest.time).total_seconds(), max_age.total_seconds()
    message = f"the last sample is {age:.0f} s old, and {most:.0f} s is the most; check that its target is scraped"
    return MetricError(MetricReason.STALE, message)
