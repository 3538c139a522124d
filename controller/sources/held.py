"""Which points of a query's past are held, for how long, and which have still to be asked for?

Points lie on the grid of multiples of a step since 1970-01-01T00:00Z; point k is the value at `k * step`, which is
the step that ends there. Held points are contiguous. It must not ask anybody for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from controller.core.series import EPOCH

Line = TypeVar("Line", bound=Hashable)

REREAD = 2
"""Points read again with the next new one: a scrape that came late has changed them."""


def index(time: datetime, step: timedelta) -> int:
    """The last grid point that is not after `time` (aware)."""
    return (time - EPOCH) // step


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Points `first` to `first + count - 1`."""

    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """Points that were asked for: `values[i]` (float64, read-only, NaN where nothing was recorded) is `first + i`."""

    first: int
    values: NDArray[np.float64]

    @property
    def next(self) -> int:
        """The first point not held."""
        return self.first + len(self.values)

    def merged(self, page: Page, values: NDArray[np.float64]) -> Self:
        """With `values` of `page` in place of what was there; a page that does not touch what is held replaces it."""
        if page.first > self.next or page.first + page.count < self.first:
            return type(self)(first=page.first, values=_locked(values))
        before = self.values[: max(0, page.first - self.first)]
        after = self.values[max(0, page.first + page.count - self.first) :]
        return type(self)(first=min(self.first, page.first), values=_locked(np.concatenate([before, values, after])))

    def since(self, first: int) -> Self:
        """Without the points before `first`."""
        surplus = max(0, first - self.first)
        return type(self)(first=self.first + surplus, values=self.values[surplus:])

    def window(self, last: int, count: int) -> NDArray[np.float64]:
        """The `count` points up to `last`; NaN where not held. Read-only where it is a view."""
        start = last - count + 1
        if self.first <= start and last < self.next:
            return self.values[start - self.first : last + 1 - self.first]
        window = np.full(count, np.nan)
        low, high = max(start, self.first), min(last + 1, self.next)
        if low < high:
            window[low - start : high - start] = self.values[low - self.first : high - self.first]
        return window


def missing(held: Held | None, last: int, count: int, largest: int) -> Iterator[Page]:
    """The pages, each of at most `largest` points, that `held` lacks of the `count` points up to `last`.

    The newest come first and each page touches those before it, so that what is held stays contiguous when one fails.
    """
    newest, oldest = last + 1, last - count + 1
    if held and held.next >= last + 1 + REREAD - largest:
        if last >= held.next:
            start = max(held.next - REREAD, held.first, oldest)
            yield Page(first=start, count=last + 1 - start)
        newest = held.first
    while newest > oldest:
        start = max(oldest, newest - largest)
        yield Page(first=start, count=newest - start)
        newest = start


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is held of a line. `context`: the most points that anybody asked for. `used`: when somebody last did."""

    held: Held | None
    context: int
    used: datetime

    def merged(self, page: Page, values: NDArray[np.float64], last: int) -> Self:
        """With `values` of `page`, and without what lies before the context up to `last`."""
        held = self.held.merged(page, values) if self.held else Held(first=page.first, values=_locked(values))
        return replace(self, held=held.since(last - self.context + 1))


class Pasts(Generic[Line]):
    """The pasts of many lines, each a question on one grid; bounded together.

    `points`: of all pasts, 8 bytes each. `idle`: how long a past outlives its last use.
    """

    def __init__(self, *, points: int, idle: timedelta) -> None:
        self._points = points
        self._idle = idle
        self._pasts: dict[Line, Past] = {}
        self._in_use: Counter[Line] = Counter()

    def __getitem__(self, line: Line) -> Past:
        """Of a line that is in use."""
        return self._pasts[line]

    def __setitem__(self, line: Line, past: Past) -> None:
        self._pasts[line] = past

    def __iter__(self) -> Iterator[Line]:
        return iter(self._pasts)

    @contextmanager
    def used(self, needs: Iterable[tuple[Line, int]], now: datetime) -> Iterator[None]:
        """Note who needs how many points; none of these lines is forgotten meanwhile."""
        lines: Counter[Line] = Counter()
        for line, context in needs:
            past = self._pasts.pop(line, Past(held=None, context=0, used=now))  # the last used come last
            self._pasts[line] = Past(held=past.held, context=max(context, past.context), used=now)
            lines[line] += 1
        self._in_use += lines
        try:
            yield
        finally:
            self._in_use -= lines

    def evict(self, now: datetime) -> None:
        """Forget what was not used for long, then what was used longest ago until the rest fits.

        What another tick, which runs at the same time, asks for stays until its own end.
        """
        fits = self._points
        kept: list[tuple[Line, Past]] = []
        for line, past in reversed(self._pasts.items()):
            fits -= len(past.held.values) if past.held else 0
            if line in self._in_use or (fits >= 0 and now - past.used <= self._idle):
                kept.append((line, past))
        self._pasts = dict(reversed(kept))


def _locked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values.flags.writeable = False
    return values
