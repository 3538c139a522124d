"""Which adapter serves this scaler? By the kind of its metric and of its target.

Each class is one of the ports made of two; the cycle knows of one each. Must not know an adapter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TypeGuard

from controller.aws_spec import CloudWatchMetric, GroupRef
from controller.core.series import Observation
from controller.core.startup import LeadTime
from controller.outcome import Problem
from controller.ports import LeadTimes, MetricError, MetricRequest, Owner, Owners, Source, Target, TargetState
from controller.registry import Scaler
from controller.spec import AnyTarget, FloorRef, Metric, PrometheusMetric, ScalerSpec, TargetRef


class Sources:
    """A `Source`: CloudWatch's own for its metrics, Prometheus's for all others, both at once."""

    def __init__(self, *, prometheus: Source[PrometheusMetric], cloudwatch: Source[CloudWatchMetric]) -> None:
        self._prometheus = prometheus
        self._cloudwatch = cloudwatch

    async def observe(
        self, requests: Sequence[MetricRequest[Metric]], now: datetime
    ) -> list[Observation | MetricError]:
        """One answer for each request, in order."""
        of_prometheus, of_cloudwatch = await asyncio.gather(
            self._prometheus.observe([one for one in requests if _is_of_prometheus(one)], now),
            self._cloudwatch.observe([one for one in requests if _is_of_cloudwatch(one)], now),
        )
        answers = {True: iter(of_cloudwatch), False: iter(of_prometheus)}
        return [next(answers[_is_of_cloudwatch(one)]) for one in requests]


class Targets:
    """A `Target`: an Auto Scaling group, the floor of an autoscaler, or anything with a scale subresource."""

    def __init__(self, *, workloads: Target[TargetRef], floors: Target[FloorRef], groups: Target[GroupRef]) -> None:
        self._workloads = workloads
        self._floors = floors
        self._groups = groups

    async def read(self, namespace: str, ref: AnyTarget) -> TargetState:
        """The size now. Raises TargetError."""
        if isinstance(ref, GroupRef):
            return await self._groups.read(namespace, ref)
        if isinstance(ref, FloorRef):
            return await self._floors.read(namespace, ref)
        return await self._workloads.read(namespace, ref)

    async def write(self, namespace: str, ref: AnyTarget, state: TargetState, replicas: int) -> None:
        """Ask for `replicas`. Raises TargetError."""
        if isinstance(ref, GroupRef):
            await self._groups.write(namespace, ref, state, replicas)
        elif isinstance(ref, FloorRef):
            await self._floors.write(namespace, ref, state, replicas)
        else:
            await self._workloads.write(namespace, ref, state, replicas)


class AllOwners:
    """`Owners` of any kind of target: those in Kubernetes, an autoscaler's floor among them, and groups."""

    def __init__(self, *, workloads: Owners[TargetRef | FloorRef], groups: Owners[GroupRef]) -> None:
        self._workloads = workloads
        self._groups = groups

    async def owner(self, namespace: str, ref: AnyTarget, now: datetime, *, generation: int = 0) -> Owner | None:
        """Who else sets the target's size. Raises TargetError."""
        if isinstance(ref, GroupRef):
            return await self._groups.owner(namespace, ref, now, generation=generation)
        return await self._workloads.owner(namespace, ref, now, generation=generation)


class AllLeadTimes:
    """`LeadTimes` of either kind of target."""

    def __init__(self, *, workloads: LeadTimes, groups: LeadTimes) -> None:
        self._workloads = workloads
        self._groups = groups

    def lead_time(
        self, scaler: Scaler, spec: ScalerSpec, state: TargetState, now: datetime
    ) -> tuple[LeadTime, Problem | None]:
        """What is known now, at once."""
        lead_times = self._groups if isinstance(spec.target, GroupRef) else self._workloads
        return lead_times.lead_time(scaler, spec, state, now)

    def forget(self, uid: str) -> None:
        """Drop what is held of a scaler that is gone."""
        self._workloads.forget(uid)
        self._groups.forget(uid)


def _is_of_prometheus(request: MetricRequest[Metric]) -> TypeGuard[MetricRequest[PrometheusMetric]]:
    return isinstance(request.metric, PrometheusMetric)


def _is_of_cloudwatch(request: MetricRequest[Metric]) -> TypeGuard[MetricRequest[CloudWatchMetric]]:
    return isinstance(request.metric, CloudWatchMetric)
