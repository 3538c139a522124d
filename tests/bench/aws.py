"""What does it cost to observe by CloudWatch? Calls, CPU and latency for 1,000 scalers: `python -m tests.bench.aws`.

The real source and SDK over HTTP, against the endpoint of the sandbox in a process of its own; beside it, as the
baseline, the source for Prometheus with as many queries against a made-up server in another process. A tick each 15
seconds of a simulated clock, metrics of a minute. "prompt": values can be read when their minute is over; "late": 90
seconds afterwards, as with many of AWS's own services, so that each tick may find one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, process_time

from rich.console import Console
from rich.table import Table

from controller.aws import Aws
from controller.aws_spec import AwsAccess, CloudWatchMetric
from controller.core.series import Observation
from controller.ports import MetricRequest, Source
from controller.sources.cloudwatch import CloudWatchSource
from controller.sources.prometheus import PrometheusSource
from controller.spec import Metric, PrometheusMetric
from sandbox.aws.process import AwsServer
from tests.aws.fixtures import Place
from tests.servers.loopback import serve
from tests.servers.prometheus import FakePrometheus
from tests.sources.asking import FakeSecrets

COUNT, CONTEXT, MINUTES = 1000, 120, 6
MINUTE, INTERVAL = timedelta(minutes=1), timedelta(seconds=15)
START = datetime(2026, 3, 2, 9, 0, 2, tzinfo=UTC)
TICKS = MINUTES * MINUTE // INTERVAL
AN_HOUR = timedelta(hours=1) / (MINUTES * MINUTE)
NAMESPACE = "Bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one tick. `calls`: to the metric system. CPU and latency in seconds."""

    calls: int
    cpu: float
    latency: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`first`: the tick that begins; `ticks`: all after it. `metrics`: asked for in those, each call's counted."""

    name: str
    first: Cost
    ticks: Sequence[Cost]
    metrics: int


async def measured(
    source: Source[Metric],
    requests: Sequence[MetricRequest[Metric]],
    calls: Callable[[], int],
    pass_time: Callable[[datetime], None],
) -> list[Cost]:
    """The first tick, in which the past is read, and those after it."""
    costs = []
    for tick in range(TICKS + 1):
        now = START + tick * INTERVAL
        pass_time(now)
        asked, began, burnt = calls(), perf_counter(), process_time()
        answers = await source.observe(requests, now)
        costs.append(Cost(calls=calls() - asked, cpu=process_time() - burnt, latency=perf_counter() - began))
        lost = [one for one in answers if not isinstance(one, Observation) or one.latest is None or one.problem]
        if lost:
            raise RuntimeError(f"tick {tick}: {len(lost)} of {len(answers)} without a value, such as {lost[0]}")
    return costs


def _requests(metric: Callable[[int], Metric]) -> list[MetricRequest[Metric]]:
    return [
        MetricRequest(
            namespace="bench", metric=metric(number), step=MINUTE, context=CONTEXT, max_age=timedelta(minutes=5)
        )
        for number in range(COUNT)
    ]


# CloudWatch


def _metric(number: int) -> CloudWatchMetric:
    access = AwsAccess(region="eu-central-1")
    return CloudWatchMetric(access=access, period=MINUTE, namespace=NAMESPACE, name=f"load-{number}", stat="Sum")


def _put(place: Place, time: datetime) -> None:
    """A value of every metric, in the minute that begins at `time`."""
    data = [{"MetricName": f"load-{number}", "Timestamp": time, "Value": float(number)} for number in range(COUNT)]
    place.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=data)


async def of_cloudwatch(server: AwsServer, name: str, lag: timedelta) -> Found:
    """`lag`: after the end of a minute, until its value can be read."""
    server.reset()
    place, minute = Place(server), START.replace(second=0)
    for back in range(CONTEXT + 1, 0, -1):
        time = minute - back * MINUTE
        server.change(now=time + MINUTE + lag)
        _put(place, time)
    put = [minute - MINUTE]

    def pass_time(now: datetime) -> None:
        """Values are put when they can be read: the endpoint has no more of them before."""
        server.change(now=now)
        while put[0] + 2 * MINUTE + lag <= now:
            put[0] += MINUTE
            _put(place, put[0])

    def calls() -> int:
        return len(server.calls("GetMetricData"))

    aws = Aws(timeout_seconds=30.0, clock=lambda: START)
    source = CloudWatchSource(aws)
    try:
        costs = await measured(source, _requests(_metric), calls, pass_time)  # type: ignore[arg-type]
    finally:
        await source.close()
        aws.close()
    metrics = sum(call["queries"] for call in server.calls("GetMetricData")[costs[0].calls :])
    return Found(name=name, first=costs[0], ticks=costs[1:], metrics=metrics)


# Prometheus, the baseline


def _serve(pipe: Connection) -> None:
    """A Prometheus whose every query gives one number, until the other side says anything."""

    async def run() -> None:
        prometheus = FakePrometheus(series={f"load({number})": [lambda _: 5.0] for number in range(COUNT)})
        async with serve(prometheus.handle) as address:
            pipe.send(address)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(run())


async def of_prometheus() -> Found:
    """As many scalers, each with a query of its own."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    queries = [0]

    def count(_: float) -> None:
        queries[0] += 1

    async with AsyncExitStack() as stack:
        stack.callback(server.join, 10)
        stack.callback(ours.send, "end")
        source = PrometheusSource(address=await asyncio.to_thread(ours.recv), secrets=FakeSecrets(), on_query=count)
        stack.push_async_callback(source.close)
        requests = _requests(lambda number: PrometheusMetric(query=f"load({number})"))
        costs = await measured(source, requests, lambda: queries[0], lambda _: None)  # type: ignore[arg-type]
    return Found(name="Prometheus", first=costs[0], ticks=costs[1:], metrics=sum(one.calls for one in costs[1:]))


# What is printed


def _row(found: Found) -> list[str]:
    calls = sum(one.calls for one in found.ticks)
    cpu = sum(one.cpu for one in found.ticks) / len(found.ticks) / COUNT
    return [
        found.name,
        f"{found.first.calls}",
        f"{found.first.latency:.1f}",
        f"{found.first.cpu / COUNT * 1e3:.2f}",
        f"{max(one.calls for one in found.ticks)}",
        f"{calls * AN_HOUR:,.0f}",
        f"{found.metrics * AN_HOUR:,.0f}",
        f"{cpu * 1e6:.0f}",
        f"{statistics.median(one.latency for one in found.ticks if one.calls) * 1e3:.0f}",
    ]


async def _all() -> list[Found]:
    with tempfile.TemporaryDirectory() as folder, AwsServer(log=Path(folder) / "aws.log") as server:
        os.environ.update(server.environment())
        prompt = await of_cloudwatch(server, "CloudWatch, prompt", timedelta(0))
        late = await of_cloudwatch(server, "CloudWatch, late", timedelta(seconds=90))
    return [prompt, late, await of_prometheus()]


def main() -> None:
    """Print the table."""
    table = Table(title=f"{COUNT} scalers, a tick each 15 s, metrics of a minute, {CONTEXT} steps of context")
    headings = ("first tick: calls", "s", "CPU ms a scaler", "most calls a tick", "calls/h", "metrics/h")
    for heading in ("", *headings, "CPU us a scaler and tick", "latency of asking, ms"):
        table.add_column(heading, justify="right")
    for found in asyncio.run(_all()):
        table.add_row(*_row(found))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
