"""What stands in for the world in tests? One fake for each port of `controller.ports`, plus a recorder of their order.

Fakes hold data and fail on demand; they never compute what the product should.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controller.core.card import Card
from controller.core.forecast import Forecast
from controller.core.series import Observation
from controller.core.startup import LeadTime
from controller.outcome import Outcome, Problem, Stage
from controller.ports import ForecastRequest, MetricError, MetricRequest, ModelError, Owner, StatusError, TargetState
from controller.registry import Scaler
from controller.spec import AnyTarget, Metric, ModelRef, ScalerSpec
from tests.builders import card, forecast

DIGEST = "ab" * 32


@dataclass(kw_only=True)
class FakeSource:
    """Answers by query; what it has no answer for is `answer`. An exception as `answer` is raised for the batch."""

    answer: Observation | MetricError | Exception
    by_query: dict[str, Observation | MetricError] = field(default_factory=dict)
    batches: list[list[MetricRequest[Metric]]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    async def observe(
        self, requests: Sequence[MetricRequest[Metric]], now: datetime
    ) -> list[Observation | MetricError]:
        self.batches.append(list(requests))
        self.calls.append("observe")
        if isinstance(self.answer, Exception) and not isinstance(self.answer, MetricError):
            raise self.answer
        return [self.by_query.get(request.metric.load[-1] or "", self.answer) for request in requests]


@dataclass(kw_only=True)
class FakeModels:
    """One card for all; `answer` is the forecast or its error, the peak at the history's end by default."""

    model: Card | Exception = field(default_factory=card)
    digest: str = DIGEST
    answer: Callable[[ForecastRequest], Forecast | ModelError] = lambda request: forecast(
        0.0, origin=request.history.end
    )
    batches: list[list[ForecastRequest]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def card(self, model: ModelRef) -> tuple[Card, str]:
        self.calls.append("card")
        if isinstance(self.model, Exception):
            raise self.model
        return self.model, self.digest

    def forecast(self, requests: Sequence[ForecastRequest]) -> list[Forecast | ModelError]:
        self.batches.append(list(requests))
        self.calls.append("forecast")
        return [self.answer(request) for request in requests]


@dataclass(kw_only=True)
class FakeTarget:
    """Sizes by target name, 1 where none was set, and what else a target says of itself; errors while they are there.

    Whoever reads the one that is `hanging` waits until `release`.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    beside: dict[str, dict[str, Any]] = field(default_factory=dict)
    read_error: Exception | None = None
    write_error: Exception | None = None
    failing: str | None = None
    hanging: str | None = None
    release: asyncio.Event = field(default_factory=asyncio.Event)
    written: list[tuple[str, int]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    async def read(self, namespace: str, ref: AnyTarget) -> TargetState:
        self.calls.append("read")
        if ref.name == self.hanging:
            await self.release.wait()
        self._fail(ref, self.read_error)
        return TargetState(replicas=self.sizes.get(ref.name, 1), resource_version="7", **self.beside.get(ref.name, {}))

    async def write(self, namespace: str, ref: AnyTarget, state: TargetState, replicas: int) -> None:
        self.calls.append("write")
        self._fail(ref, self.write_error)
        self.sizes[ref.name] = replicas
        self.written.append((ref.name, replicas))

    def _fail(self, ref: AnyTarget, error: Exception | None) -> None:
        """`failing` names the only target with errors; None means all of them."""
        if error is not None and self.failing in {None, ref.name}:
            raise error


@dataclass(kw_only=True)
class FakeOwners:
    """Other autoscalers by target name, in words where no cure matters."""

    owners: dict[str, str | Owner] = field(default_factory=dict)
    error: Exception | None = None
    calls: list[str] = field(default_factory=list)

    async def owner(self, namespace: str, ref: AnyTarget, now: datetime, *, generation: int = 0) -> Owner | None:
        self.calls.append("owner")
        if self.error is not None:
            raise self.error
        owner = self.owners.get(ref.name)
        return Owner(words=owner) if isinstance(owner, str) else owner


@dataclass(kw_only=True)
class FakeLeadTimes:
    """The same for all: what the spec has where `answer` is None."""

    answer: LeadTime | None = None
    problem: Problem | None = None
    forgotten: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def lead_time(
        self, scaler: Scaler, spec: ScalerSpec, state: TargetState, now: datetime
    ) -> tuple[LeadTime, Problem | None]:
        self.calls.append("lead-time")
        return self.answer or LeadTime.given(spec.policy.lead_time), self.problem

    def forget(self, uid: str) -> None:
        self.forgotten.append(uid)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event as it was emitted."""

    type: str
    reason: str
    note: str
    uid: str


@dataclass(kw_only=True)
class FakeStatusWriter:
    """Keeps the statuses by uid as the API server would; `error` is raised while it is there.

    `after`: the object as it is after a patch, as far as that is known.
    """

    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    patches: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    error: StatusError | None = None
    event_error: StatusError | None = None
    after: Mapping[str, Any] | None = None

    async def patch_status(
        self, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        if self.error is not None:
            raise self.error
        self.patches.append(status)
        patched = self.statuses.get(uid, {}) | dict(status)
        self.statuses[uid] = {key: value for key, value in patched.items() if value is not None}
        return self.after

    async def emit(
        self, namespace: str, name: str, uid: str, *, type_: str, reason: str, note: str, now: datetime
    ) -> None:
        if self.event_error is not None:
            raise self.event_error
        self.events.append(Event(type=type_, reason=reason, note=note, uid=uid))


@dataclass(kw_only=True)
class FakeReporter:
    """Keeps the last outcome of each scaler by name, and how many there were; `told` is set with the first."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    timed: list[Stage] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    error: Exception | None = None
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def report(self, scaler: Scaler, outcome: Outcome) -> None:
        self.calls.append("report")
        if self.error is not None:
            raise self.error
        self.outcomes[scaler.name] = outcome
        self.reported.append(scaler.name)
        self.told.set()

    def took(self, stage: Stage, seconds: float) -> None:
        self.timed.append(stage)
