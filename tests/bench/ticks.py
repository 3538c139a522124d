"""What does a tick cost? CPU, latency and memory for 1, 100 and 1,000 scalers: `python -m tests.bench.ticks`.

In one process, with the real forecaster, core, report and metrics; only the network is faked. "reactive" is the same
without any model, the baseline: what an autoscaler of this build costs that does not look ahead. A tick is "new" when
a step was closed, so that each scaler needs a new forecast, and "same" when the last forecast still stands.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from controller.core.series import Observation, Sample, Series, floor_to_step
from controller.cycle import Cycle
from controller.forecaster import OnnxModels
from controller.ledger import BLOCK, Ledger
from controller.metrics import Metrics
from controller.ports import ForecastRequest, MetricError, MetricRequest, ModelError, Models
from controller.registry import Registry
from controller.report import Report
from controller.spec import Metric
from tests.builders import NOW, STEP, body, seconds, series
from tests.fakes import FakeLeadTimes, FakeModels, FakeOwners, FakeStatusWriter, FakeTarget

COUNTS = (1, 100, 1000)
KINDS = ("reactive", "seasonal-naive")
ROUNDS = 7
MODELS = Path(__file__).parents[2] / "models"


class Loads:
    """A source of noisy loads, made before the measured time, as the real one holds its samples between ticks."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(5)
        self._histories: list[Series] = []

    async def observe(
        self, requests: Sequence[MetricRequest[Metric]], now: datetime
    ) -> list[Observation | MetricError]:
        if not self._histories:
            self._histories = [series(self._loads(request.context), floor_to_step(now, STEP)) for request in requests]
        latest = Sample(time=now, value=500.0)
        return [Observation(history=history, latest=latest) for history in self._histories]

    def close_step(self, now: datetime) -> None:
        """Every history ends at the last step before `now`."""
        self._histories = [series(self._loads(len(one)), floor_to_step(now, STEP)) for one in self._histories]

    def _loads(self, count: int) -> list[float]:
        return [float(load) for load in self._generator.poisson(500, count)]


def _no_forecast(_: ForecastRequest) -> ModelError:
    return ModelError("none", "reactive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Medians over the rounds; seconds."""

    cpu: float
    latency: float


class Bench:
    """A controller of `count` scalers, without a network."""

    def __init__(self, count: int, models: Models) -> None:
        self.source = Loads()
        self.registry = Registry()
        self._writer = FakeStatusWriter()
        for number in range(count):
            self.registry.put(body(f"web-{number}"))
        self.cycle = Cycle(
            source=self.source,
            models=models,
            target=FakeTarget(sizes={f"web-{number}": 5 for number in range(count)}),
            owners=FakeOwners(),
            lead_times=FakeLeadTimes(),
            reporter=Report(writer=self._writer, metrics=Metrics(), ledger=Ledger()),
            registry=self.registry,
        )
        self.now = NOW

    async def tick(self, gap: timedelta) -> Cost:
        """One tick, `gap` after the last one."""
        self.now += gap
        if gap == STEP:
            self.source.close_step(self.now)
        began, burnt = perf_counter(), process_time()
        await self.cycle.tick(self.now, self.registry.all())
        cost = Cost(cpu=process_time() - burnt, latency=perf_counter() - began)
        self._writer.patches.clear()
        return cost

    async def fill(self) -> None:
        """Tick until every scaler's records begin another block."""
        await self.tick(STEP)
        for _ in range(BLOCK):
            await self.tick(seconds(15))

    async def measure(self, gap: timedelta) -> Cost:
        """The median over the rounds."""
        costs = [await self.tick(gap) for _ in range(ROUNDS)]
        return Cost(
            cpu=statistics.median(cost.cpu for cost in costs),
            latency=statistics.median(cost.latency for cost in costs),
        )


def _models(kind: str) -> Models:
    return FakeModels(answer=_no_forecast) if kind == "reactive" else OnnxModels([MODELS])


async def _table() -> Table:
    table = Table("scalers", "model", "tick", "CPU ms", "latency ms", "CPU us a scaler", "RSS MiB")
    for count in COUNTS:
        for kind in KINDS:
            bench = Bench(count, _models(kind))
            await bench.fill()
            for gap, name in ((seconds(15), "same"), (STEP, "new")):
                cost = await bench.measure(gap)
                rss = psutil.Process().memory_info().rss / 2**20
                measured = (cost.cpu * 1e3, cost.latency * 1e3, cost.cpu / count * 1e6, rss)
                table.add_row(str(count), kind, name, *(f"{value:.1f}" for value in measured))
    return table


async def _profile() -> None:
    bench = Bench(1000, _models("seasonal-naive"))
    await bench.tick(STEP)
    profile = cProfile.Profile()
    profile.enable()
    await bench.measure(seconds(15))
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def main() -> None:
    """Print the table; with `--profile`, where the time of a tick without a new forecast goes."""
    if "--profile" in sys.argv:
        asyncio.run(_profile())
    else:
        Console().print(asyncio.run(_table()))


if __name__ == "__main__":
    main()
