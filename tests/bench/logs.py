"""How long does an access log take, and how much memory? `python -m tests.bench.logs [FOLDER]`.

Makes a log of 3.46 million lines out of the requests that NASA's server saw each second (of a made-up rhythm where the
shared trace is absent), and reads it beside a plain loop over its lines. Each runs in a process of its own, in turns;
machines are noisy: the best of the rounds stands before their median, and the machine's load below them. At last the
counts are compared, second by second. Not a test.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from controller.core.series import EPOCH
from training import datasets
from training.datasets import Request, finished
from training.datasets.public import NASA, Places

_ITSELF = "tests.bench.logs"
_ROUNDS = 5
_AT_ONCE = 500_000  # lines
_BUCKETS = "1m,5m,15m,1h"
_DAY = timedelta(days=1)
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_LINE = re.compile(rb'\S+ \S+ \S+ \[([^\]]+)\] "[^"]*" (\d{3}) (\d+|-)')
_METHOD_AND_PATH = "GET /shuttle/sts-{}/{}{}.gif HTTP/1.0"
_STATUSES = {"200": 0.89, "304": 0.08, "302": 0.02, "404": 0.0098, "500": 0.0002}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds, seconds of all cores, and MiB of one process from its start to its end."""

    wall: float
    cpu: float
    memory: float


def counts() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Requests of each second of July and August 1995."""
    path = Places().shared / NASA.name / "requests-1s.csv.gz"
    if path.is_file():
        return pl.read_csv(path)["requests"].fill_null(0).to_numpy()
    day = np.arange(NASA.seconds) / 86_400
    rate = NASA.fewest / NASA.seconds * (1 + 0.5 * np.sin(2 * np.pi * day))
    return np.random.default_rng(1).poisson(rate)


def write_log(path: Path, requests: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
    """One line for each request, in Common Log Format; how many."""
    random = np.random.default_rng(1)
    hosts = pl.Series(
        [f"{i % 223 + 1}.{i % 251}.{i % 13}.{i}" if i % 2 else f"ad{i}.net{i % 97}.edu" for i in range(9999)]
    )
    paths = pl.Series([_METHOD_AND_PATH.format(i % 80, "x" * (i % 12), i) for i in range(9999)])
    codes = pl.Series(list(_STATUSES))
    times = (NASA.start.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1) + np.arange(len(requests)) * 1000
    stamps = pl.Series(times).cast(pl.Datetime("ms")).dt.strftime("%d/%b/%Y:%H:%M:%S -0400")
    seconds = np.repeat(np.arange(len(requests)), requests)
    with path.open("wb") as file:
        for begin in range(0, len(seconds), _AT_ONCE):
            part = seconds[begin : begin + _AT_ONCE]
            lines = pl.select(
                pl.format(
                    '{} - - [{}] "{}" {} {}\n',
                    hosts.gather(random.integers(0, len(hosts), len(part))),
                    stamps.gather(part),
                    paths.gather(random.integers(0, len(paths), len(part))),
                    codes.gather(random.choice(len(codes), len(part), p=list(_STATUSES.values()))),
                    pl.Series(random.integers(0, 70_000, len(part))),
                )
            ).to_series()
            file.write("".join(lines.to_list()).encode())
    return len(seconds)


def _loop(path: Path) -> None:
    """The baseline: each line by a regular expression; each distinct time is parsed once."""
    requests: Counter[bytes] = Counter()
    sizes: Counter[bytes] = Counter()
    with path.open("rb") as file:
        for line in file:
            if found := _LINE.match(line):
                requests[found[1]] += 1
                sizes[found[1]] += int(found[3]) if found[3] != b"-" else 0
    minutes: Counter[int] = Counter()
    for stamp, count in requests.items():
        time = datetime.strptime(stamp.decode(), "%d/%b/%Y:%H:%M:%S %z")
        minutes[int(time.timestamp()) // 60] += count


def _request(path: Path) -> Request:
    return Request(data=str(path), step=timedelta(minutes=1), season=_DAY, now=_NOW)


def _read(path: Path) -> None:
    """What `ingest` does but for its start and its table; prints how long it took."""
    request = _request(path)
    begun = perf_counter()
    reading = datasets.read(request, request.step)
    for minutes in (1, 5, 15, 60):
        for name in reading.tally.sums:
            finished(reading.dataset(timedelta(minutes=minutes), name), request)
    Console().print(perf_counter() - begun)


def _cost(*arguments: str) -> tuple[Cost, str]:
    """Of a process, and what it printed; this one stays small, as a child begins with the peak of its parent."""
    with tempfile.TemporaryFile() as printed:
        begun = perf_counter()
        child = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", *arguments],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, printed.fileno(), 1)],
        )
        _, status, used = os.wait4(child, 0)
        wall = perf_counter() - begun
        printed.seek(0)
        text = printed.read().decode()
    if status:
        raise SystemExit(f"{arguments} ended with {status}")
    return Cost(wall=wall, cpu=used.ru_utime + used.ru_stime, memory=used.ru_maxrss / 1024), text


def _compare(path: Path) -> None:
    """Say whether the log's counts are those it was made of."""
    second, expected = timedelta(seconds=1), counts()
    tally = datasets.read(_request(path), second).tally
    found = np.zeros(len(expected))
    place = tally.begin - (NASA.start - EPOCH) // second
    found[place : place + len(tally.present)] = tally.sums["requests"]
    Console().print(f"the counts equal those the log was made of, second by second: {np.array_equal(found, expected)}")


def _best_and_median(found: list[float]) -> str:
    return f"{min(found):.2f} / {median(found):.2f}"


def main(folder: Path) -> None:
    log, out = folder / "access.log", folder / "steps.parquet"
    lines = int(_cost(_ITSELF, "write", str(log))[1])
    ways = {
        "a loop over the lines": (_ITSELF, "loop", str(log)),
        "reading": (_ITSELF, "read", str(log)),
        "ingest": ("training", "ingest", "--data", str(log), "--bucket", _BUCKETS, "--out", str(out)),
    }
    costs: dict[str, list[tuple[Cost, str]]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):
        for name, arguments in ways.items():
            costs[name].append(_cost(*arguments))
    table = Table(title=f"{lines:,} lines, {log.stat().st_size / 1e6:.0f} MB, on {os.cpu_count()} cores")
    for heading in ("", "wall, s", "CPU, s", "peak memory, MiB", "lines a second"):
        table.add_column(heading, justify="right")
    for name, found in costs.items():
        walls = [cost.wall for cost, _ in found]
        memory = max(cost.memory for cost, _ in found)
        spent = _best_and_median([cost.cpu for cost, _ in found])
        table.add_row(name, _best_and_median(walls), spent, f"{memory:.0f}", f"{lines / min(walls):,.0f}")
    within = _best_and_median([float(text) for _, text in costs["reading"]])
    load = os.getloadavg()[0]
    table.caption = f"reading without the interpreter's start and imports: {within} s; load of the machine: {load:.1f}"
    Console().print(table)
    Console().print(_cost(_ITSELF, "compare", str(log))[1].strip())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["loop", path]:
            _loop(Path(path))
        case ["write", path]:
            Console().print(write_log(Path(path), counts()))
        case ["compare", path]:
            _compare(Path(path))
        case ["read", path]:
            _read(Path(path))
        case [folder]:
            main(Path(folder))
        case _:
            with tempfile.TemporaryDirectory() as made:
                main(Path(made))
