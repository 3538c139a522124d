"""At which seconds was something recorded? A set of seconds, what is usual between two of them, and where more is.

One bit a second of the span, whatever the size of the file and the order of its rows. Must not hold values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_BITS = 13
_PAGE = 1 << _BITS  # seconds


def each_once(ascending: Ints) -> Ints:
    """Without those that equal the one before."""
    return ascending[np.flatnonzero(np.diff(ascending, prepend=ascending[:1] - 1))]


def in_order(times: Ints) -> Ints:
    """Each once, ascending. A log's times mostly are, and then nothing is sorted."""
    return times if (times[1:] > times[:-1]).all() else each_once(np.sort(times))


class Seconds:
    """Whole seconds since 1970 UTC."""

    def __init__(self) -> None:
        self._pages: dict[int, NDArray[np.uint8]] = {}

    def add(self, times: Ints) -> NDArray[np.bool_]:
        """Which of `times` (ascending, each once) are new."""
        new = np.empty(len(times), bool)
        for page in each_once(times >> _BITS).tolist():
            low, high = np.searchsorted(times, [page << _BITS, (page + 1) << _BITS])
            places = times[low:high] & (_PAGE - 1)
            held = self._pages.setdefault(page, np.zeros(_PAGE >> 3, np.uint8))
            new[low:high] = np.unpackbits(held)[places] == 0
            added = np.zeros(_PAGE, np.uint8)
            added[places] = 1
            held |= np.packbits(added)
        return new

    def ends(self) -> tuple[int, int]:
        """The first and the last of them; there must be one."""
        first, last = self._recorded(min(self._pages)), self._recorded(max(self._pages))
        return int(first[0]), int(last[-1])

    def neighbours(self) -> Iterator[tuple[Ints, Ints]]:
        """Each second and the next one, in order, a part at a time."""
        last = np.empty(0, np.int64)
        for page in sorted(self._pages):
            chain = np.concatenate([last, self._recorded(page)])
            last = chain[-1:]
            yield chain[:-1], chain[1:]

    def _recorded(self, page: int) -> Ints:
        return np.flatnonzero(np.unpackbits(self._pages[page])) + (page << _BITS)

    def usual_distance(self) -> tuple[int, float]:
        """The most frequent one in seconds, and the share of the others; (0, 0) where there are no two seconds."""
        counts: Counter[int] = Counter()
        for before, after in self.neighbours():
            distances, times = np.unique(after - before, return_counts=True)
            counts.update(dict(zip(distances.tolist(), times.tolist(), strict=True)))
        if not counts:
            return 0, 0.0
        usual, often = counts.most_common(1)[0]
        return usual, 1 - often / counts.total()

    def spans_beyond(self, distance: int) -> tuple[Ints, Ints]:
        """Neighbours that are more than `distance` apart."""
        wide = [(before[far], after[far]) for before, after in self.neighbours() for far in [after - before > distance]]
        nothing = np.empty(0, np.int64)
        return (
            np.concatenate([nothing, *(before for before, _ in wide)]),
            np.concatenate([nothing, *(after for _, after in wide)]),
        )
