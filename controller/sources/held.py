"""Which points of a query's past are held, and which have still to be asked for?

Points lie on the grid of multiples of a step since 1970-01-01T00:00Z; point k is the value at `k * step`, which is
the step that ends there. Held points are contiguous. It must not ask anybody for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

REREAD = 2
"""Points read again with the next new one: a scrape that came late has changed them."""


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


def _locked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values.flags.writeable = False
    return values
