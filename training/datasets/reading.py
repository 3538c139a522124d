"""What does a reader hand over, and how does that become a Dataset? Steps, their zone, and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np

from controller.core.series import EPOCH, Series
from training.datasets.buckets import SECOND, Cells, Floats, Tally
from training.datasets.quality import Quality, Span
from training.datasets.request import Aggregate, DataError, Dataset
from training.datasets.seconds import Ints, Seconds

_VERBS: dict[Aggregate, str] = {"sum": "summed", "mean": "averaged"}
_KEPT_OUTAGES = 1000  # the longest; a trace with more has no outages but holes
_LARGEST = 1e30  # models count in float32, which ends at 3e38, and add many values up
AHEAD = timedelta(days=1)
"""Clocks differ; beyond that, a time in the future is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """`measure`: which of the tally's becomes the series. `source`: in words, what was read."""

    tally: Tally
    measure: str
    aggregate: Aggregate
    zone: tzinfo
    source: str
    quality: Quality

    def dataset(self, step: timedelta, measure: str | None = None) -> Dataset:
        """In steps of `step`. Raises DataError."""
        series = self.tally.series(measure or self.measure, step, self.aggregate)
        about = f"{self.source}, {_VERBS[self.aggregate]} in steps of {step}"
        return Dataset(series=series, zone=self.zone, about=about, quality=self.quality)


class Gathering:
    """Rows of times and values, in any order and any number of parts, on their way into a Tally. `step`: seconds."""

    def __init__(self, step: int, now: datetime) -> None:
        self._step = step
        self._latest = (now + AHEAD - EPOCH) // SECOND
        self._cells = Cells(step, rows=2)
        self._seconds = Seconds()
        self._rows = self._empty = self._duplicates = 0

    def add(self, times: Ints, values: Floats) -> int:
        """`values` are NaN where nothing was recorded; of those at one time the first counts. Raises DataError.

        How many were left out because their time was taken.
        """
        self._refuse(times, values)
        recorded = np.isfinite(values)
        self._rows += len(values)
        self._empty += len(values) - int(recorded.sum())
        distinct, first_of = np.unique(times[recorded], return_index=True)
        new = self._seconds.add(distinct)
        surplus = int(recorded.sum() - new.sum())
        self._duplicates += surplus
        loads = values[recorded][first_of][new]
        self._cells.add(distinct[new], np.stack([loads, np.ones(len(loads))]))
        return surplus

    def _refuse(self, times: Ints, values: Floats) -> None:
        is_ahead = times > self._latest
        faults = (
            (values < 0, "holds a load below zero"),
            (values > _LARGEST, "holds a load that no model can"),
            (is_ahead, "lies in the future"),
        )
        for wrong, words in faults:
            if wrong.any():
                at = int(wrong.argmax())
                what = f"{_moment(times[at]):%Y-%m-%dT%H:%M:%SZ}" if wrong is is_ahead else f"{values[at]:g}"
                raise DataError(f"row {self._rows + at + 1} {words}, {what}; mend or remove it")

    def tally(self, measure: str) -> Tally:
        """What was gathered. Raises DataError where there was nothing."""
        if not self._rows:
            raise DataError("there is a heading but no rows")
        every, _ = self._seconds.usual_distance()
        begin, (sums, present) = self._cells.dense()
        return Tally(begin=begin, step=self._step, every=every or self._step, sums={measure: sums}, present=present)

    def quality(self) -> Quality:
        """What was found in the rows."""
        every, irregular = self._seconds.usual_distance()
        before, after = self._seconds.spans_beyond(every)
        longest = np.sort(np.argsort(before - after, kind="stable")[:_KEPT_OUTAGES])
        return Quality(
            rows=self._rows,
            empty=self._empty,
            duplicates=self._duplicates,
            irregular=irregular,
            outages=spans(before[longest] + every, after[longest]),
        )


def spans(since: Iterable[int], until: Iterable[int]) -> tuple[Span, ...]:
    """Of seconds since 1970 UTC."""
    return tuple((_moment(start), _moment(end)) for start, end in zip(since, until, strict=True))


def _moment(seconds: int) -> datetime:
    return EPOCH + int(seconds) * SECOND


def of_series(series: Series, aggregate: Aggregate, zone: tzinfo | None, source: str) -> Reading:
    """Of what comes as even steps; its outages are the runs of missing ones."""
    missing = np.diff(np.isnan(series.values), prepend=False, append=False)
    edges = np.flatnonzero(missing)
    begin, step = (series.start - EPOCH) // SECOND, series.step // SECOND
    outages = spans(begin + step * edges[::2], begin + step * edges[1::2])
    return Reading(
        tally=Tally.of(series, "load"),
        measure="load",
        aggregate=aggregate,
        zone=zone or UTC,
        source=source,
        quality=Quality(rows=len(series), outages=outages),
    )


def within(quality: Quality, series: Series) -> Quality:
    """What concerns the series, and how much of it is missing."""
    touching = [span for span in quality.outages if span[1] > series.start and span[0] < series.end]
    gaps = int(np.isnan(series.values).sum())
    return replace(quality, outages=tuple(touching), steps=len(series), gaps=gaps)
