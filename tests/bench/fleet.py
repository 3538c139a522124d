"""What does a fleet cost? `python -m tests.bench.fleet [--series 1000] [--step 1h]`; not a test.

Generated series in one wide Parquet file, not cleaned; each gets its own model, by one process and by two, and all get
one. Losses are given beside those of the better naive forecast of each series. Machines are noisy: the processor time
of the workers says more than the wall's.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import polars as pl
from rich.console import Console
from rich.table import Table

from training.fleet import Order, Outcome, fit_each, fit_global
from training.generated import sample
from training.roster import spread
from training.written import duration

SERIES = 16  # of `make bench`
DAY = timedelta(days=1)
DAYS = 28
ALL = "all"
_HEADINGS = ("way", "processes", "series", "wall, s", "series/s", "CPU, s", "MiB each", "loss/naive", "beat naive")
_MIB = 2**20


def write_series(folder: Path, count: int, step: timedelta) -> Path:
    """A wide table of generated traces, and the fleet file that names its columns; the latter."""
    traces = [sample(seed).series(seed, step=step, season=DAY, seasons=DAYS) for seed in range(count)]
    first, times = traces[0].start, range(len(traces[0]))
    stamps = [(first + place * step).isoformat() for place in times]
    columns = {f"s{seed:04}": trace.values for seed, trace in enumerate(traces)}
    pl.DataFrame({"timestamp": stamps, **columns}).write_parquet(folder / "loads.parquet")
    fleet = folder / "fleet.yaml"
    seconds = round(step.total_seconds())
    fleet.write_text(f"defaults: {{data: loads.parquet, step: {seconds}s, clean: off}}\nseries: [{{columns: '*'}}]\n")
    return fleet


def orders(fleet: Path, out: Path) -> list[Order]:
    out.mkdir()
    now = datetime.now(UTC)
    return [Order(member=member, out=out, now=now) for member in spread(fleet, now).members]


class Bench:
    """One table: a row for each way to fit the fleet."""

    def __init__(self, fleet: Path) -> None:
        self._fleet = fleet
        self._table = Table(*_HEADINGS)
        self.ratios: dict[str, dict[str, float]] = {}
        self.failures: list[str] = []

    def each(self, processes: int) -> None:
        """A model for each."""
        ordered = orders(self._fleet, self._fleet.parent / f"each-{processes}")
        began = perf_counter()
        self._add("one each", processes, list(fit_each(ordered, processes=processes)), perf_counter() - began)

    def again(self, processes: int) -> None:
        """The same once more, when all is up to date."""
        folder = self._fleet.parent / f"each-{processes}"
        ordered = [Order(member=one.member, out=folder, now=one.now) for one in orders(self._fleet, folder / "unused")]
        began = perf_counter()
        self._add("one each, again", processes, list(fit_each(ordered, processes=processes)), perf_counter() - began)

    def one(self, processes: int) -> None:
        """One model for all."""
        ordered = orders(self._fleet, self._fleet.parent / "one")
        began = perf_counter()
        self._add("one for all", processes, list(fit_global(ordered, ALL, processes=processes)), perf_counter() - began)

    def _add(self, way: str, processes: int, outcomes: Sequence[Outcome], seconds: float) -> None:
        ratios = {one.name: one.loss / one.naive for one in outcomes if one.loss is not None and one.naive}
        self.ratios[way] = ratios
        counts = Counter(outcome.verdict for outcome in outcomes)
        self.failures += [outcome.why for outcome in outcomes if outcome.verdict == "failed"]
        peak = max(outcome.peak for outcome in outcomes) / _MIB
        worked = sum(outcome.seconds for outcome in outcomes)
        figures = [f"{seconds:.1f}", f"{len(outcomes) / seconds:.2f}", f"{worked:.0f}", f"{peak:.0f}"]
        losses = (
            [f"{statistics.fmean(ratios.values()):.3f}", str(sum(one < 1 for one in ratios.values()))] if ratios else []
        )
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        self._table.add_row(way, str(processes), verdicts, *figures, *losses)

    def show(self, count: int, step: timedelta) -> None:
        """The table, and how the two ways compare series by series."""
        console = Console(width=110)
        console.print(self._table)
        own, shared = self.ratios["one each"], self.ratios["one for all"]
        both = own.keys() & shared.keys()
        closer = sum(shared[name] < own[name] for name in both)
        parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MIB
        console.print(f"{count} series of {DAYS} days in steps of {step}; one for all is better on {closer}")
        for why, often in Counter(self.failures).most_common(5):
            console.print(f"{often} x {why}")
        console.print(f"the parent held {parent:.0f} MiB at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--series", type=int, default=SERIES)
    parser.add_argument("--step", type=duration, default=timedelta(hours=1))
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(write_series(Path(folder), given.series, given.step))
        for processes in given.processes:
            bench.each(processes)
        bench.again(given.processes[-1])
        bench.one(given.processes[-1])
        bench.show(given.series, given.step)


if __name__ == "__main__":
    main()
