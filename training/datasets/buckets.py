"""How do values become steps? Sums and counts by step while reading, and at the end a Series of any multiple.

Missing is not zero: a step that lacks a part is NaN. Memory grows with the span, not with the number of rows.
Must not know where the values come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.series import EPOCH, Series
from training.datasets.request import Aggregate, DataError
from training.datasets.seconds import Ints, each_once

Floats = NDArray[np.float64]

SECOND = timedelta(seconds=1)
_BITS = 10
_PAGE = 1 << _BITS  # steps
_MOST_STEPS = 1 << 25  # a year of seconds; one line whose clock stood at 1970 would ask for gigabytes


class Cells:
    """Sums by step of `rows` kinds of values, for times that come in any order. `step`: seconds."""

    def __init__(self, step: int, rows: int) -> None:
        self._step = step
        self._rows = rows
        self._pages: dict[int, Floats] = {}

    def add(self, times: Ints, values: Floats) -> None:
        """`times`: seconds since 1970 UTC, [n]; `values`: [rows, n], finite."""
        if not len(times):
            return
        places, sums = _merged(times // self._step, values)
        for page in each_once(places >> _BITS).tolist():
            low, high = np.searchsorted(places, [page << _BITS, (page + 1) << _BITS])
            held = self._pages.setdefault(page, np.zeros((self._rows, _PAGE)))
            held[:, places[low:high] & (_PAGE - 1)] += sums[:, low:high]

    def dense(self) -> tuple[int, Floats]:
        """When the first step begins, in seconds, and the sums from there on, [rows, n]; 0 where nothing came.

        Raises DataError where that would be more than a machine holds: a stray time is far from all others.
        """
        if not self._pages:
            return 0, np.zeros((self._rows, 0))
        first, last = min(self._pages), max(self._pages)
        if (last - first + 1) << _BITS > _MOST_STEPS:
            begin = EPOCH + (first << _BITS) * self._step * SECOND
            raise DataError(
                f"the times go back to {begin:%Y-%m-%d}: {(last - first + 1) << _BITS} steps of {self._step * SECOND} "
                "are too many; remove the times that are wrong, or take longer steps"
            )
        sums = np.zeros((self._rows, (last - first + 1) << _BITS))
        for page, held in self._pages.items():
            place = (page - first) << _BITS
            sums[:, place : place + _PAGE] = held
        return (first << _BITS) * self._step, sums


def _merged(places: Ints, values: Floats) -> tuple[Ints, Floats]:
    """Each place once, ascending."""
    if (places[1:] < places[:-1]).any():
        order = np.argsort(places, kind="stable")
        places, values = places[order], values[:, order]
    starts = np.flatnonzero(np.diff(places, prepend=places[0] - 1))
    return places[starts], np.add.reduceat(values, starts, axis=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tally:
    """What was read, by step. `begin`: of the first step, seconds since 1970 UTC. `step`, `every`: seconds.

    `sums`: of each measure, float64 [n]. `present`: how many values each step holds, float64 [n]; a step is whole when
    it holds one for `every` seconds.
    """

    begin: int
    step: int
    every: int
    sums: Mapping[str, Floats]
    present: Floats

    @classmethod
    def of(cls, series: Series, measure: str) -> Tally:
        """Each value of the series is one."""
        begin, step = (series.start - EPOCH) // SECOND, series.step // SECOND
        sums = {measure: np.nan_to_num(series.values)}
        return cls(begin=begin, step=step, every=step, sums=sums, present=np.isfinite(series.values).astype(np.float64))

    def series(self, measure: str, step: timedelta, aggregate: Aggregate) -> Series:
        """Steps of `step`, a multiple of the tally's own. Raises DataError."""
        if step % timedelta(seconds=self.every):
            every = timedelta(seconds=self.every)
            raise DataError(f"the data has a value each {every}; --step must be a multiple of that, not {step}")
        begin, sums = self._coarse(self.sums[measure], step)
        _, present = self._coarse(self.present, step)
        whole = sums if aggregate == "sum" else sums / np.maximum(present, 1)
        values = np.where(present >= step // timedelta(seconds=self.every), whole, np.nan)
        return Series(end=EPOCH + begin * SECOND + len(values) * step, step=step, values=values)

    def _coarse(self, values: Floats, step: timedelta) -> tuple[int, Floats]:
        """Sums over `step`, from its last multiple before the tally begins."""
        seconds = step // SECOND
        begin = self.begin // seconds * seconds
        before = (self.begin - begin) // self.step
        together = seconds // self.step
        after = -(before + len(values)) % together
        return begin, np.pad(values, (before, after)).reshape(-1, together).sum(1)
