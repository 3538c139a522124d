"""What do replicas bring, and what do they cost? `python -m tests.bench.shards [leases] [take-overs] [ticks]`.

Ticks: one replica's share of 3,000 scalers, the largest, with the real scheduler, forecaster, core, report and metrics;
only the network is faked, and the other replicas are on machines of their own. The baseline is a single process without
Leases. "pulse" is the scheduler's look for due scalers, ten times a second over all that are known.

Leases: the real elections in real time, over a store in this process that answers at once: what they ask for in a
second, and how long a shard is without anybody after its replica was killed or asked to end.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from time import monotonic, perf_counter, process_time

from rich.console import Console
from rich.table import Table

from controller.core.assignment import assign
from controller.election import Election, Member, _Hold
from controller.forecaster import OnnxModels
from controller.leases import Lease
from controller.registry import Scaler
from controller.scheduler import Scheduler
from controller.shards import Alone, Serving, Shards
from controller.sightings import LEASE_SECONDS
from tests.bench.ticks import Bench
from tests.builders import STEP
from tests.elections import Heard, Line, Store

SCALERS = 3000
SHARDS = 12
ROUNDS = 3
PULSES = 20
WORLDS = 30
STEADY_SECONDS = 20.0
MODELS = Path(__file__).parents[2] / "models"


class Live:
    """Elections in real time over one store."""

    def __init__(self, replicas: int, shards: int) -> None:
        self.store = Store()
        self.lines: list[Line] = []
        self.elections: list[Election] = []
        self.stops: list[asyncio.Event] = []
        self.tasks: list[asyncio.Task[None]] = []
        for number in range(replicas):
            line = Line(self.store)
            me = Lease(
                name=line.member(f"r{number}"),
                shard=None,
                holder=f"r{number}_1",
                instance=f"r{number}",
                shards=shards,
                seconds=round(LEASE_SECONDS),
            )
            election = Election(line, me=me, on_begin=_at_once, watcher=Heard(), clock=monotonic)
            stop = asyncio.Event()
            self.lines.append(line)
            self.elections.append(election)
            self.stops.append(stop)

    async def start(self) -> None:
        """Begin one after the other, and wait until all is served."""
        for election, stop in zip(self.elections, self.stops, strict=True):
            self.tasks.append(asyncio.create_task(election.run(stop)))
            await asyncio.sleep(0.05)
        await self.served_by(self.elections)
        await asyncio.sleep(6.0)  # until the shares are even

    async def served_by(self, elections: Sequence[Election]) -> None:
        """Wait until these serve every shard."""
        while {shard for one in elections for shard in one.served()} != set(range(elections[0].shards)):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        """Stop all."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def _at_once() -> bool:
    return True


async def _asked(replicas: int, shards: int) -> float:
    """Requests for Leases in a second, of all replicas together."""
    live = Live(replicas, shards)
    await live.start()
    before, began = sum(line.calls for line in live.lines), monotonic()
    await asyncio.sleep(STEADY_SECONDS)
    rate = (sum(line.calls for line in live.lines) - before) / (monotonic() - began)
    await live.end()
    return rate


async def _without(random: Random, *, is_killed: bool) -> float:
    """Seconds until all is served again after the holder of one shard of two replicas was killed, or asked to end."""
    live = Live(2, 1)
    await live.start()
    await asyncio.sleep(random.uniform(0.0, 2.0))
    (first,) = (place for place, one in enumerate(live.elections) if one.served())
    began = monotonic()
    if is_killed:
        live.tasks[first].cancel()
    else:
        live.stops[first].set()
    await live.served_by([live.elections[1 - first]])
    took = monotonic() - began
    await live.end()
    return took


class Share(Bench):
    """One replica's part of SCALERS, as `serving` tells it."""

    def __init__(self, serving: Serving) -> None:
        super().__init__(SCALERS, OnnxModels([MODELS]))
        self.serving = serving
        self.own = [one for one in self.registry.all() if serving.term(one) is not None]
        self.scheduler = Scheduler(
            registry=self.registry,
            cycle=_Idle(),
            serving=serving,
            on_gone=lambda _: None,
            on_lost=lambda _: None,
            on_lag=lambda _: None,
            clock=lambda: self.now,
        )

    async def cost(self) -> tuple[float, float]:
        """CPU and wall seconds of a tick over the share, with a new forecast for each; medians."""
        await self._once()
        costs = [await self._once() for _ in range(ROUNDS)]
        return statistics.median(cpu for cpu, _ in costs), statistics.median(wall for _, wall in costs)

    async def _once(self) -> tuple[float, float]:
        self.now += STEP
        self.source.close_step(self.now)
        began, burnt = perf_counter(), process_time()
        await self.cycle.tick(self.now, self.own)
        cost = process_time() - burnt, perf_counter() - began
        self._writer.patches.clear()
        return cost

    async def pulse(self) -> float:
        """CPU seconds of one look at all scalers while none is due; median."""
        self.scheduler.pulse()
        await asyncio.sleep(0.5)
        costs = []
        for _ in range(PULSES):
            burnt = process_time()
            self.scheduler.pulse()
            costs.append(process_time() - burnt)
        return statistics.median(costs)


class _Idle:
    async def tick(self, now: object, scalers: Sequence[Scaler], done: object) -> None:
        """The look is measured, not the tick."""

    def is_slow(self, uid: str) -> bool:
        return False


async def _largest(replicas: int) -> Serving:
    """The replica that serves the most scalers, by the real assignment."""
    names = {f"r{number}_1" for number in range(replicas)}
    plan = assign(SHARDS, names, {})
    counts = {name: sum(holder == name for holder in plan.values()) for name in names}
    most = max(counts, key=lambda name: (counts[name], name))
    live = Live(1, SHARDS)
    (election,) = live.elections
    for shard, holder in plan.items():
        if holder == most:
            lease = Lease(name=f"ps-shard-{shard}", shard=shard, holder=election.me, shards=SHARDS)
            election._holds[shard] = _Hold(lease=lease, until=math.inf, term=1)
    return Shards(election, monotonic)


async def _ticks() -> Table:
    table = Table("replicas", "scalers here", "tick CPU ms", "tick ms", "pulse CPU ms", title=f"{SCALERS} scalers")
    alone = Alone(Member(identity="me", instance="me", address=""))
    servings: list[tuple[str, Serving]] = [("1, no Leases", alone)]
    servings += [(str(count), await _largest(count)) for count in (1, 2, 3)]
    for name, serving in servings:
        share = Share(serving)
        cpu, wall = await share.cost()
        pulse = await share.pulse()
        table.add_row(name, str(len(share.own)), f"{cpu * 1e3:.0f}", f"{wall * 1e3:.0f}", f"{pulse * 1e3:.2f}")
    return table


async def _leases() -> Table:
    table = Table("replicas", "shards", "requests a second", title="Leases, all replicas together")
    sizes = [(1, 1), (2, 1), (3, 6), (3, 12), (5, 32)]
    rates = await asyncio.gather(*(_asked(*size) for size in sizes))
    for (replicas, shards), rate in zip(sizes, rates, strict=True):
        table.add_row(str(replicas), str(shards), f"{rate:.1f}")
    return table


async def _take_overs() -> Table:
    table = Table("the holder", "median s", "least s", "most s", title=f"Until another serves, {WORLDS} times each")
    random = Random(7)
    for name, is_killed in (("killed", True), ("asked to end", False)):
        took = await asyncio.gather(*(_without(random, is_killed=is_killed) for _ in range(WORLDS)))
        table.add_row(name, *(f"{value:.1f}" for value in (statistics.median(took), min(took), max(took))))
    return table


def main() -> None:
    """Print the tables, or the one that is named."""
    tables = {"leases": _leases, "take-overs": _take_overs, "ticks": _ticks}
    for name, table in tables.items():
        if name in (sys.argv[1:] or tables):
            Console().print(asyncio.run(table()))


if __name__ == "__main__":
    main()
