"""How much traffic does an access log tell of? Requests, bytes and status classes become steps, in one pass.

Memory grows with the log's span, not with its size. Lines that cannot be understood are counted and shown, and stop the
reading only when there are too many. Must not know the grammar of a line.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta, timezone, tzinfo
from functools import partial
from pathlib import Path

import numpy as np

from controller.core.series import EPOCH
from training.datasets import common_log, json_log
from training.datasets.buckets import SECOND, Cells, Floats, Tally
from training.datasets.compression import blocks
from training.datasets.quality import Quality
from training.datasets.reading import AHEAD, Reading, spans
from training.datasets.request import DataError, Request
from training.datasets.scanned import MEASURES, SAMPLES, Scanned
from training.datasets.seconds import Ints, Seconds, in_order
from training.datasets.silences import MINUTE, Traffic, edges, outages
from training.datasets.words import only

Scan = Callable[[bytes], Scanned]

_THREADS = min(4, os.cpu_count() or 1)  # numpy lets go of the interpreter; more wait for the one that reads
_JUDGED_AFTER = 100_000  # lines; a wrong file must not be read to its end


def recognise(lines: list[bytes], zone: tzinfo | None) -> tuple[str, Scan] | None:
    """The format of a log that begins with `lines`, and what reads it; None where most of them are of no such log."""
    if sum(common_log.LINE.match(line) is not None for line in lines) * 2 > len(lines):
        return "Common or Combined Log Format", common_log.scan
    names = json_log.names_of(lines)
    if names is not None:
        return "JSON lines", partial(json_log.scan, names=names, zone=zone)
    return None


def read(request: Request, step: timedelta, kind: str, scan: Scan) -> Reading:
    """Read the whole log. Raises DataError."""
    measure = request.column or MEASURES[0]
    if measure not in MEASURES:
        raise DataError(f"an access log has no column {measure!r}; it has {', '.join(MEASURES)}")
    log = _Log(step // SECOND, request)
    for scanned in _scans(Path(request.data), scan):
        log.add(scanned)
    return log.reading(measure, kind)


def _scans(path: Path, scan: Scan) -> Iterator[Scanned]:
    """In the order of the file; a few blocks are in work at a time."""
    with ThreadPoolExecutor(_THREADS) as threads:
        working: deque[Future[Scanned]] = deque()
        for block in blocks(path):
            working.append(threads.submit(scan, block))
            if len(working) > 2 * _THREADS:
                yield working.popleft().result()
        while working:
            yield working.popleft().result()


class _Log:
    """What the lines add up to."""

    def __init__(self, step: int, request: Request) -> None:
        self._step = step
        self._request = request
        self._latest = (request.now + AHEAD - EPOCH) // SECOND
        self._cells = Cells(step, rows=len(MEASURES))
        self._minutes = Cells(MINUTE, rows=1)
        self._seconds = Seconds()
        self._rows = self._malformed = 0
        self._samples: tuple[str, ...] = ()
        self._offsets: dict[int, None] = {}

    def add(self, scanned: Scanned) -> None:
        """A block's lines; those of the future count as malformed. Raises DataError."""
        past = scanned.times <= self._latest
        self._rows += scanned.rows
        self._note(scanned, ahead=int(scanned.values[0, ~past].sum()))
        times, values = only(scanned.times, past), only(scanned.values, past)
        self._seconds.add(in_order(times))
        self._cells.add(times, values)
        self._minutes.add(times, values[:1])
        if self._rows > _JUDGED_AFTER:
            self._judge()

    def reading(self, measure: str, kind: str) -> Reading:
        """All that was read. Raises DataError."""
        self._judge()
        if self._malformed == self._rows:
            raise DataError(f"{self._request.data} holds no request")
        tally, silent = self._tally()
        zone = self._request.zone or timezone(timedelta(seconds=next(iter(self._offsets), 0)))
        quality = Quality(
            rows=self._rows,
            malformed=self._malformed,
            samples=self._samples,
            outages=spans(*silent),
            notes=self._notes(),
        )
        source = f"{measure} of {self._rows} lines in {kind}"
        aggregate = self._request.aggregate or "sum"
        return Reading(tally=tally, measure=measure, aggregate=aggregate, zone=zone, source=source, quality=quality)

    def _note(self, scanned: Scanned, ahead: int) -> None:
        self._malformed += scanned.malformed + ahead
        self._samples = (*self._samples, *scanned.samples)[:SAMPLES]
        if ahead and len(self._samples) < SAMPLES:
            furthest = EPOCH + int(scanned.times.max()) * SECOND
            self._samples = (*self._samples, f"a line of the future, {furthest:%Y-%m-%dT%H:%M:%SZ}")
        self._offsets |= dict.fromkeys(scanned.offsets)

    def _judge(self) -> None:
        share = self._malformed / max(1, self._rows)
        if share > self._request.max_bad:
            first = self._samples[0] if self._samples else ""
            raise DataError(
                f"{self._malformed} of {self._rows} lines ({share:.1%}) cannot be understood, such as {first!r}; "
                "name the right file, or allow more with --max-bad"
            )

    def _tally(self) -> tuple[Tally, tuple[Ints, Ints]]:
        begin, sums = self._cells.dense()
        busy = np.flatnonzero(sums[0])
        sums = sums[:, busy[0] : busy[-1] + 1]
        begin += int(busy[0]) * self._step
        traffic = Traffic.of(self._minutes)
        silent = outages(self._seconds, traffic)
        bounds = edges(traffic, *self._seconds.ends(), self._step)
        present = _covered(begin + self._step * np.arange(sums.shape[1] + 1), bounds, silent)
        every = dict(zip(MEASURES, sums, strict=True))
        return Tally(begin=begin, step=self._step, every=1, sums=every, present=present), silent

    def _notes(self) -> tuple[str, ...]:
        has_one = len(self._offsets) <= 1
        if has_one or self._request.zone is not None:
            return ()
        written = ", ".join(str(timezone(timedelta(seconds=offset))) for offset in sorted(self._offsets))
        return (f"the times have several offsets ({written}); name the zone that the load follows with --time-zone",)


def _covered(borders: Ints, bounds: tuple[int, int], silent: tuple[Ints, Ints]) -> Floats:
    """How many seconds between neighbouring borders lie within the bounds and in no silence."""
    edges_at = np.concatenate([[bounds[0]], np.stack(silent, axis=1).ravel(), [bounds[1]]])
    lengths = np.diff(edges_at)
    lengths[1::2] = 0
    until = np.concatenate([[0], np.cumsum(lengths)])
    return np.diff(np.interp(borders, edges_at, until))
