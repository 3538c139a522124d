"""How is the controller put together? Settings in, adapters built, kopf and the HTTP server started.

The only file that knows all others, and the only one that looks at the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import gmtime
from typing import Any

from aiohttp import web
from pythonjsonlogger.json import JsonFormatter

from controller.aws import Aws
from controller.cycle import Cycle
from controller.forecaster import OnnxModels
from controller.handlers import Watch
from controller.http_api import HttpApi
from controller.kubernetes_api import ConfigurationError, KubernetesApi
from controller.ledger import Ledger
from controller.metrics import Metrics
from controller.places.models import PlacedModels
from controller.registry import Registry
from controller.relist import Relist
from controller.report import Report
from controller.routes import AllLeadTimes, AllOwners, Sources, Targets
from controller.scheduler import Scheduler
from controller.settings import Settings, SettingsError
from controller.sources import cloudwatch as cloudwatch_source
from controller.sources import prometheus as prometheus_source
from controller.sources.cloudwatch import CloudWatchSource
from controller.sources.prometheus import PrometheusSource
from controller.sources.prometheus_api import Limits
from controller.status_writer import KubernetesStatusWriter
from controller.targets.asg import GroupTarget
from controller.targets.asg_groups import Groups
from controller.targets.asg_owners import GroupOwners
from controller.targets.asg_startup import GroupLeadTimes
from controller.targets.owners import AutoscalerOwners
from controller.targets.scale import ScaleTarget
from controller.targets.startup import PodLeadTimes

log = logging.getLogger("controller")


def main() -> None:
    """Run the controller until SIGTERM or SIGINT; exit 2 on settings or credentials that cannot be used."""
    try:
        settings = Settings.from_environment(os.environ)
        _configure_logging(settings)
        asyncio.run(_run(settings))
    except (SettingsError, ConfigurationError) as error:
        sys.stderr.write(f"predictive-scaler-controller: {error}\n")
        sys.exit(2)


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics()
    async with await KubernetesApi.connect() as api, _adapters(settings, api, metrics) as adapters:
        await _serve(settings, api, adapters, metrics, stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adapters:
    """All that the cycle meets the world with."""

    source: Sources
    models: PlacedModels
    target: Targets
    owners: AllOwners
    lead_times: AllLeadTimes


@contextlib.asynccontextmanager
async def _adapters(settings: Settings, api: KubernetesApi, metrics: Metrics) -> AsyncIterator[_Adapters]:
    """One of each kind for Kubernetes and Prometheus, and one for AWS, which nothing is asked of until it is needed."""
    async with contextlib.AsyncExitStack() as stack:
        aws = Aws(timeout_seconds=settings.aws_timeout_seconds, clock=_now, on_call=metrics.called)
        stack.callback(aws.close)
        groups = Groups(aws)
        pods, launches = PodLeadTimes(api), GroupLeadTimes(groups)
        for lead_times in (pods, launches):
            stack.push_async_callback(lead_times.aclose)
        yield _Adapters(
            source=_sources(settings, api, aws, metrics, stack),
            models=_models(settings, aws, metrics),
            target=Targets(workloads=ScaleTarget(api), groups=GroupTarget(groups)),
            owners=AllOwners(
                workloads=AutoscalerOwners(api, namespaces=settings.namespaces), groups=GroupOwners(groups)
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


def _models(settings: Settings, aws: Aws, metrics: Metrics) -> PlacedModels:
    return PlacedModels(
        OnnxModels(settings.models_dirs),
        settings.models_cache,
        aws,
        clock=_now,
        environment=os.environ,
        allowed=settings.model_places,
        cache_bytes=round(settings.models_cache_mib * 2**20),
        on_fetch=metrics.fetched,
    )


async def _serve(
    settings: Settings, api: KubernetesApi, adapters: _Adapters, metrics: Metrics, stop: asyncio.Event
) -> None:
    registry, ledger = Registry(), Ledger(settings.records_mib)
    writer = KubernetesStatusWriter(api, instance=socket.gethostname())
    report = Report(writer=writer, metrics=metrics, ledger=ledger)
    cycle = Cycle(
        source=adapters.source,
        models=adapters.models,
        target=adapters.target,
        owners=adapters.owners,
        lead_times=adapters.lead_times,
        reporter=report,
        registry=registry,
    )

    def forget(uid: str) -> None:
        cycle.forget(uid)
        report.forget(uid)

    scheduler = Scheduler(
        registry=registry,
        cycle=cycle,
        default_address=settings.prometheus_address,
        on_gone=forget,
        on_lag=metrics.lagged,
        clock=_now,
    )
    relist = Relist(api=api, registry=registry, namespaces=settings.namespaces, clock=_now)
    http = HttpApi(
        registry=registry,
        ledger=ledger,
        metrics=metrics.registry,
        alive=lambda: scheduler.alive,
        listed=lambda: relist.last,
        clock=_now,
    )
    metrics.count(registry)
    serving = _listening(http.application(), settings)
    async with serving, _watching(settings, registry):
        log.info("started", extra={"address": settings.http_address, "namespaces": settings.namespaces or "all"})
        await asyncio.gather(relist.run(stop), scheduler.run(stop), adapters.models.run(stop))
    log.info("stopped")


@contextlib.asynccontextmanager
async def _listening(application: web.Application, settings: Settings) -> AsyncIterator[None]:
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, *settings.http_endpoint).start()
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _watching(settings: Settings, registry: Registry) -> AsyncIterator[None]:
    """Hand kopf's events over from its thread to this loop."""
    loop = asyncio.get_running_loop()

    def on_event(kind: str | None, body: Mapping[str, Any]) -> None:
        loop.call_soon_threadsafe(registry.apply, kind, body)

    watch = Watch(namespaces=settings.namespaces, on_event=on_event)
    watch.start()
    try:
        yield
    finally:
        await asyncio.to_thread(watch.stop)


def _configure_logging(settings: Settings) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(settings))
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # tells at INFO which credentials and endpoints it found
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # warns that signals are ours: they are


def _formatter(settings: Settings) -> logging.Formatter:
    """Times in UTC and RFC 3339, as everywhere else."""
    formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    if settings.log_format == "json":
        fields = {"asctime": "time", "levelname": "level", "name": "logger"}
        formatter = JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=fields)
    formatter.converter = gmtime
    formatter.default_time_format, formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
    return formatter


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # the one place where the clock enters


if __name__ == "__main__":
    main()
