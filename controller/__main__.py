"""How is the controller put together? Settings in, adapters built, kopf and the HTTP server started.

The only file that knows all others, and the only one that looks at the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiohttp import web
from pythonjsonlogger.json import JsonFormatter

from controller.adapters import Adapters, connected
from controller.cycle import Cycle
from controller.fence import seconds_left
from controller.handlers import Watch
from controller.http_api import HttpApi
from controller.kubernetes_api import ConfigurationError, KubernetesApi
from controller.ledger import Ledger
from controller.membership import Membership, drained, joined
from controller.metrics import Metrics
from controller.peers import Peers
from controller.registry import Registry
from controller.relist import Relist
from controller.report import Report
from controller.scheduler import Scheduler
from controller.settings import Settings, SettingsError
from controller.status_writer import KubernetesStatusWriter
from controller.targets.handback import HandBack

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
    metrics, registry = Metrics(), Registry()
    async with (
        await KubernetesApi.connect(fence=seconds_left) as api,
        connected(settings, api, metrics, registry, _now) as adapters,
    ):
        relist = Relist(api=api, registry=registry, namespaces=settings.namespaces, clock=_now)
        own = uuid4().hex[:8]
        sharing = joined(settings, metrics, on_begin=relist.once, number=own, clock=_now, uptime=_uptime)
        async with sharing as membership:
            await _serve(settings, api, adapters, metrics, registry, relist, membership, stop)


async def _serve(
    settings: Settings,
    api: KubernetesApi,
    adapters: Adapters,
    metrics: Metrics,
    registry: Registry,
    relist: Relist,
    membership: Membership,
    stop: asyncio.Event,
) -> None:
    ledger = Ledger(settings.records_mib)
    writer = KubernetesStatusWriter(api, instance=membership.me.instance, group=membership.group)
    report = Report(writer=writer, metrics=metrics, ledger=ledger, group=writer.group)
    scheduler = _scheduler(settings, adapters, metrics, registry, membership, report)
    hand_back = _hand_back(settings, api, adapters, registry, relist, membership)
    peers = Peers(membership.serving, me=membership.me)
    http = HttpApi(
        registry=registry,
        ledger=ledger,
        metrics=metrics.registry,
        alive=lambda: scheduler.alive,
        listed=lambda: relist.last,
        silent=lambda: relist.silent,
        membership=membership,
        peers=peers,
        clock=_now,
    )
    metrics.count(registry)
    metrics.count_silent(lambda: relist.silent)
    serving = _listening(http.application(), settings)
    keda = _answering_keda(settings, registry, relist, stop)
    idle = asyncio.Event()
    async with contextlib.aclosing(peers), serving, keda, _watching(settings, registry, relist):
        log.info("started", extra={"address": settings.http_address, "namespaces": settings.namespaces or "all"})
        await asyncio.gather(
            relist.run(stop),
            drained(scheduler.run(stop), stop, idle),
            membership.run(idle),
            adapters.models.run(stop),
            hand_back.run(stop),
        )
    log.info("stopped")


def _scheduler(
    settings: Settings,
    adapters: Adapters,
    metrics: Metrics,
    registry: Registry,
    membership: Membership,
    report: Report,
) -> Scheduler:
    cycle = Cycle(
        source=adapters.source,
        models=adapters.models,
        target=adapters.target,
        owners=adapters.owners,
        lead_times=adapters.lead_times,
        reporter=report,
        registry=registry,
        begun=membership.serving.begun,
    )

    def leave(uid: str) -> None:
        cycle.forget(uid)
        report.leave(uid)

    return Scheduler(
        registry=registry,
        cycle=cycle,
        default_address=settings.prometheus_address,
        serving=membership.serving,
        on_gone=report.forget,
        on_lost=leave,
        on_lag=metrics.lagged,
        clock=_now,
    )


def _hand_back(
    settings: Settings,
    api: KubernetesApi,
    adapters: Adapters,
    registry: Registry,
    relist: Relist,
    membership: Membership,
) -> HandBack:
    return HandBack(
        api=api,
        registry=registry,
        namespaces=settings.namespaces,
        is_complete=lambda: relist.last is not None,
        raised=adapters.floors.raised,
        left=membership.serving.left,
    )


@contextlib.asynccontextmanager
async def _listening(application: web.Application, settings: Settings) -> AsyncIterator[None]:
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await _listen(runner, settings)
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    trouble, cause = "", None
    try:
        await web.TCPSite(runner, *settings.http_endpoint).start()
    except OSError as error:
        trouble, cause = error.strerror or str(error), error
    if not runner.addresses:  # of a family that the kernel has not, asyncio makes no socket and says nothing
        trouble = trouble or os.strerror(errno.EAFNOSUPPORT)
        words = f"cannot listen at {settings.http_address}: {trouble}; name another address or port, or free this one"
        raise SettingsError(f"PREDICTIVE_SCALER_HTTP_ADDRESS: {words}") from cause


@contextlib.asynccontextmanager
async def _answering_keda(
    settings: Settings, registry: Registry, relist: Relist, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Load gRPC only here: whoever does not use KEDA does without its memory and the time it takes."""
    if not settings.keda_address:
        yield
        return
    from controller.keda import ExternalScaler, serving  # noqa: PLC0415  # as above

    scaler = ExternalScaler(registry=registry, is_listed=lambda: relist.last is not None, clock=_now, stop=stop)
    async with serving(scaler, settings.keda_address, settings.keda_tls):
        log.info("answering KEDA", extra={"address": settings.keda_address, "tls": settings.keda_tls is not None})
        yield


@contextlib.asynccontextmanager
async def _watching(settings: Settings, registry: Registry, relist: Relist) -> AsyncIterator[None]:
    """Hand kopf's events over from its thread to this loop."""
    loop = asyncio.get_running_loop()

    def take(kind: str | None, body: Mapping[str, Any]) -> None:
        registry.apply(kind, body)
        relist.heard(kind, body)

    def on_event(kind: str | None, body: Mapping[str, Any]) -> None:
        loop.call_soon_threadsafe(take, kind, body)

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
    formatter.converter = time.gmtime
    formatter.default_time_format, formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
    return formatter


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # the one place where the clock enters


def _uptime() -> float:
    """Seconds since the machine started, those in which it or this process slept included (Linux)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


if __name__ == "__main__":
    main()
