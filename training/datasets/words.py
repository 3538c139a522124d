"""How is much text searched and computed on without a loop? Blocks of bytes, also as overlapping words of eight.

A word's arithmetic is that of its eight bytes at once, as long as none of them overflows. Must not know any grammar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

_Number = TypeVar("_Number", bound=np.generic)

WORD = np.dtype("<u8")
"""Eight bytes; the first one is the lowest."""
_MARGIN = bytes(64)
_MINUS, _ZERO, _RADIX = ord("-"), ord("0"), 10
_LONGEST_NUMBER = 15  # digits that a float64 keeps
_ONLY_BIT = 8 - np.array([each.bit_length() for each in range(256)])


def word(text: bytes) -> np.uint64:
    """Of eight bytes."""
    return np.uint64(int.from_bytes(text, "little"))


ZEROS = word(b"0" * 8)
_BEYOND_NINE = word(b"\x76" * 8)  # with it, the highest bit of a byte above 9 is set
_HIGHEST_BITS = word(b"\x80" * 8)
_PAIRS, _FOURS = word(b"\xff\0" * 4), word(b"\xff\xff\0\0" * 2)
_ONE = np.uint64(1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Text:
    """A block of whole lines between margins of zeros that one may look into.

    `words`: those that begin at each of `octets`.
    """

    octets: Bytes
    words: Words

    @classmethod
    def of(cls, block: bytes) -> Text:
        """With a line end added where the last line lacks it."""
        end = b"" if block.endswith(b"\n") else b"\n"
        text = np.frombuffer(b"".join([_MARGIN, block, end, _MARGIN]), np.uint8)
        return cls(octets=text, words=_overlapping(text, WORD))

    @property
    def begin(self) -> int:
        """Where the block begins."""
        return len(_MARGIN)

    def places(self, byte: int) -> Ints:
        """Where it stands. Asks eight bytes at a time, as most eights hold none of it and the others one."""
        found = self.octets == byte
        eights = np.packbits(found)
        some = np.flatnonzero(eights != 0)
        kinds = eights[some]
        if (np.bitwise_count(kinds) > 1).any():
            return np.flatnonzero(found)
        places: Ints = (some << 3) + _ONLY_BIT[kinds]
        return places

    def before(self, places: Ints, words: int) -> Words:
        """The words that end at each place, [n, words]."""
        width = np.dtype(f"S{words * WORD.itemsize}")
        return _overlapping(self.octets, width)[places - width.itemsize].view(WORD).reshape(-1, words)

    def numbers(self, places: Ints) -> tuple[Ints, Ints]:
        """The number that begins at each place, and where it ends: up to 15 digits, or a `-`, which is 0."""
        digits = self.words[places] ^ ZEROS
        count = np.bitwise_count(_before_lowest(above_nine(digits))) >> 3
        values, ends = _value(digits, count), places + count
        rare = np.flatnonzero((count == 0) | (count == WORD.itemsize))
        values[rare], ends[rare] = self._numbers_digit_by_digit(places[rare])
        return values, ends

    def _numbers_digit_by_digit(self, places: Ints) -> tuple[Ints, Ints]:
        values = np.zeros(len(places), np.int64)
        ends = places + (self.octets[places] == _MINUS)
        active = np.flatnonzero(ends == places)
        for _ in range(_LONGEST_NUMBER):
            digits = self.octets[ends[active]] - _ZERO
            is_digit = digits < _RADIX
            active, digits = active[is_digit], digits[is_digit]
            values[active] = values[active] * _RADIX + digits
            ends[active] += 1
            if not len(active):
                break
        return values, ends


def only(values: NDArray[_Number], chosen: Bools) -> NDArray[_Number]:
    """Those along the last axis; where it is all of them, nothing is copied."""
    return values if chosen.all() else values.compress(chosen, axis=-1)


def above_nine(words: Words) -> Words:
    """The highest bit of each byte above 9; of those after the first such byte, it may be wrong."""
    marked: Words = (words | (words + _BEYOND_NINE)) & _HIGHEST_BITS
    return marked


def _before_lowest(words: Words) -> Words:
    """All bits below the lowest one that is set."""
    below: Words = ~words & (words - _ONE)
    return below


def _value(digits: Words, count: NDArray[np.integer]) -> Ints:
    """Of the first `count` bytes, each a digit: they become the last ones, and neighbours are put together."""
    words = digits << (64 - 8 * count.astype(np.uint64))
    words = (words * np.uint64(10) + (words >> np.uint64(8))) & _PAIRS
    words = (words * np.uint64(100) + (words >> np.uint64(16))) & _FOURS
    words = (words * np.uint64(10_000) + (words >> np.uint64(32))) & np.uint64(0xFFFF_FFFF)
    return words.astype(np.int64)


def _overlapping(text: Bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    """What begins at each byte."""
    return np.ndarray((len(text) - dtype.itemsize,), dtype, text, strides=(1,))
