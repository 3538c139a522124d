"""Which adapters does the cycle meet the world with? Settings in; for each port one that knows all kinds behind it.

Must not run anything: what is built here waits to be asked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

from controller.aws import Aws
from controller.fence import seconds_left
from controller.forecaster import OnnxModels
from controller.kubernetes_api import KubernetesApi
from controller.metrics import Metrics
from controller.places.models import PlacedModels
from controller.registry import Registry
from controller.routes import AllLeadTimes, AllOwners, Sources, Targets
from controller.settings import Settings
from controller.sources import cloudwatch as cloudwatch_source
from controller.sources import prometheus as prometheus_source
from controller.sources.cloudwatch import CloudWatchSource
from controller.sources.prometheus import PrometheusSource
from controller.sources.prometheus_api import Limits
from controller.targets.asg import GroupTarget
from controller.targets.asg_groups import Groups
from controller.targets.asg_owners import GroupOwners
from controller.targets.asg_startup import GroupLeadTimes
from controller.targets.claims import Claims
from controller.targets.hpa import FloorTarget
from controller.targets.owners import AutoscalerOwners
from controller.targets.scale import ScaleTarget
from controller.targets.startup import PodLeadTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """All that the cycle meets the world with."""

    source: Sources
    models: PlacedModels
    target: Targets
    floors: FloorTarget
    owners: AllOwners
    lead_times: AllLeadTimes


@contextlib.asynccontextmanager
async def connected(
    settings: Settings, api: KubernetesApi, metrics: Metrics, registry: Registry, clock: Callable[[], datetime]
) -> AsyncIterator[Adapters]:
    """One of each kind for Kubernetes and Prometheus, and one for AWS, which nothing is asked of until it is needed."""
    async with contextlib.AsyncExitStack() as stack:
        aws = Aws(timeout_seconds=settings.aws_timeout_seconds, clock=clock, on_call=metrics.called, fence=seconds_left)
        stack.callback(aws.close)
        groups, claims = Groups(aws), Claims()
        workloads = ScaleTarget(api, claims=claims)
        floors = FloorTarget(api, workloads=workloads, claims=claims, scaling=registry.scaling)
        pods, launches = PodLeadTimes(api), GroupLeadTimes(groups)
        for lead_times in (pods, launches):
            stack.push_async_callback(lead_times.aclose)
        yield Adapters(
            source=_sources(settings, api, aws, metrics, stack),
            models=_models(settings, aws, metrics, clock),
            floors=floors,
            target=Targets(workloads=workloads, floors=floors, groups=GroupTarget(groups)),
            owners=AllOwners(
                workloads=AutoscalerOwners(api, namespaces=settings.namespaces, claims=claims),
                groups=GroupOwners(groups),
            ),
            lead_times=AllLeadTimes(workloads=pods, groups=launches),
        )


def _sources(
    settings: Settings, api: KubernetesApi, aws: Aws, metrics: Metrics, stack: contextlib.AsyncExitStack
) -> Sources:
    query, call = settings.query_timeout_seconds, settings.aws_timeout_seconds
    prometheus = PrometheusSource(
        address=settings.prometheus_address,
        secrets=api,
        limits=prometheus_source.SourceLimits(query=Limits(query_seconds=query), tick_seconds=3 * query),
        on_query=metrics.queried,
    )
    cloudwatch = CloudWatchSource(aws, limits=cloudwatch_source.SourceLimits(tick_seconds=3 * call, fill_seconds=call))
    stack.push_async_callback(prometheus.close)
    stack.push_async_callback(cloudwatch.close)
    return Sources(prometheus=prometheus, cloudwatch=cloudwatch)


def _models(settings: Settings, aws: Aws, metrics: Metrics, clock: Callable[[], datetime]) -> PlacedModels:
    return PlacedModels(
        OnnxModels(settings.models_dirs),
        settings.models_cache,
        aws,
        clock=clock,
        environment=os.environ,
        allowed=settings.model_places,
        cache_bytes=round(settings.models_cache_mib * 2**20),
        on_fetch=metrics.fetched,
    )
