"""What does a block of lines in Common or Combined Log Format say? A few scans over its bytes, no loop over lines.

A line counts when it holds, in this order: something, `[time zone] "`, anything, `" status size`, and an end or a
space. What stands between may be any bytes: quotes, brackets, another encoding. Must not mend what does not match.

numpy and no table engine: polars took a third more CPU to split the same lines, and wants bytes to be UTF-8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.datasets.buckets import Floats
from training.datasets.scanned import CLASSES, SAMPLES, Scanned, shortened
from training.datasets.seconds import Ints

Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Stamps = NDArray[np.void]  # of _PARTS

LINE = re.compile(
    rb'(?>.+?(?=\[.{26}\] "))\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] '
    rb'".*?" ([1-5]\d\d) (\d{1,15}|-)(?=[ \r]|$)',
    re.DOTALL,
)
"""The same grammar for one line: slow, and obvious."""

_NEW_LINE, _RETURN, _SPACE, _QUOTE, _MINUS, _OPEN, _CLOSE, _COLON, _ZERO = b'\n\r "-[]:0'
_STAMP = "01/Jul/1995:00:00:01 -0400"
_CLOSE_AT, _QUOTE_AT, _REQUEST_AT = 27, 29, 30  # counted from the bracket that opens
_CODE_AT, _SIZE_AT = 2, 6  # counted from the quote that closes the request
_RADIX = 10
_LONGEST_NUMBER = 15  # digits that a float64 keeps
_MARGIN = bytes(64)  # so that looking a little ahead never leaves the block
_PARTS = np.dtype([("date", "S11"), ("time", "S9"), ("zone", "S6")])
_MONTHS = {name: place for place, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_DATE = re.compile(rb"(\d\d)/([A-Z][a-z]{2})/(\d{4})")
_ZONE = re.compile(rb" ([+-])([01]\d)([0-5]\d)")
_CLOCK = len(":23:59:59")
_COLONS = (0, 3, 6)  # in the time; two digits follow each
_LEAP_SECOND = 60
_NO_DAY = -(1 << 40)


def scan(block: bytes) -> Scanned:
    """Whole lines. Lines of one time that follow each other are one entry of the answer."""
    text = np.frombuffer(block + b"\n" + _MARGIN, np.uint8)
    size = len(block) + 1
    starts, ends = _lines(text, size)
    stamps, codes = _stamps(text, size), _codes(text, size)
    stamp, has_stamp = _first_within(stamps, starts + 1, ends)
    code, has_code = _first_within(codes.places, stamp + _REQUEST_AT, ends)
    matched = np.flatnonzero(has_stamp & has_code)
    clock, runs = _runs(text, stamp[matched])
    times, offsets, known = _parsed(clock)
    lengths = np.diff(runs, append=len(matched))
    good = np.zeros(len(starts), bool)
    good[matched] = np.repeat(known, lengths)
    values = _sums(codes, np.searchsorted(codes.places, code[matched]), runs)
    bad = np.flatnonzero(~good)
    return Scanned(
        rows=len(starts),
        times=times[known],
        values=values[:, known],
        malformed=len(bad),
        samples=tuple(shortened(block[starts[at] : ends[at]]) for at in bad[:SAMPLES]),
        offsets=tuple(dict.fromkeys(offsets[known].tolist())),
    )


def _lines(text: Bytes, size: int) -> tuple[Ints, Ints]:
    """Where lines that are not blank begin and end."""
    ends = np.flatnonzero(text[:size] == _NEW_LINE)
    starts = np.concatenate([[0], ends[:-1] + 1])
    filled = ends - starts > (text[ends - 1] == _RETURN)
    return starts[filled], ends[filled]


def _stamps(text: Bytes, size: int) -> Ints:
    """Where a bracket opens that closes after as many bytes as a time has, before a quote."""
    places = np.flatnonzero((text[:size] == _OPEN) & (text[_CLOSE_AT : size + _CLOSE_AT] == _CLOSE))
    shaped: Ints = places[(text[places + _CLOSE_AT + 1] == _SPACE) & (text[places + _QUOTE_AT] == _QUOTE)]
    return shaped


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Codes:
    """Each quote that a status and a size follow: where, and which."""

    places: Ints
    statuses: Bytes
    sizes: Floats


def _codes(text: Bytes, size: int) -> _Codes:
    places = np.flatnonzero((text[:size] == _QUOTE) & (text[1 : size + 1] == _SPACE))
    statuses = text[places + _CODE_AT] - _ZERO
    is_code = (statuses - 1 < CLASSES[-1]) & (text[places + _SIZE_AT - 1] == _SPACE)
    for ahead in (1, 2):
        is_code &= text[places + _CODE_AT + ahead] - _ZERO < _RADIX
    places, statuses = places[is_code], statuses[is_code]
    sizes, is_number = _numbers(text, places + _SIZE_AT)
    return _Codes(places=places[is_number], statuses=statuses[is_number], sizes=sizes[is_number])


def _numbers(text: Bytes, places: Ints) -> tuple[Floats, Bools]:
    """The number that begins at each place, 0 for `-`; whether there is one that ends with its word."""
    values = np.zeros(len(places))
    ends = places + (text[places] == _MINUS)
    active = np.flatnonzero(ends == places)
    for _ in range(_LONGEST_NUMBER):
        digits = text[ends[active]] - _ZERO
        is_digit = digits < _RADIX
        active, digits = active[is_digit], digits[is_digit]
        values[active] = values[active] * _RADIX + digits
        ends[active] += 1
        if not len(active):
            break
    after = text[ends]
    return values, (ends > places) & ((after == _SPACE) | (after == _NEW_LINE) | (after == _RETURN))


def _first_within(places: Ints, starts: Ints, ends: Ints) -> tuple[Ints, Bools]:
    """The first of `places` (ascending) in each span, or anything where there is none."""
    if not len(places):
        return starts, np.zeros(len(starts), bool)
    at = np.searchsorted(places, starts)
    found = places[np.minimum(at, len(places) - 1)]
    return found, (at < len(places)) & (found < ends)


def _runs(text: Bytes, stamps: Ints) -> tuple[Stamps, Ints]:
    """Each time that differs from the line before, and the lines where they begin."""
    width = _PARTS.itemsize
    windows = np.ndarray((len(text) - width,), f"S{width}", text, strides=(1,))
    clock = windows[stamps + 1]
    runs = _changes(clock)
    return clock[runs].view(_PARTS), runs


def _changes(values: NDArray[np.bytes_]) -> Ints:
    """Where a value differs from the one before."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])[: len(values)])


def _parsed(clock: Stamps) -> tuple[Ints, Ints, Bools]:
    """Seconds since 1970 UTC and offsets of times such as `_STAMP`; whether it is one."""
    days = np.union1d(_changes(clock["date"]), _changes(clock["zone"]))
    found = [_midnight(clock["date"][day], clock["zone"][day]) for day in days.tolist()]
    lengths = np.diff(days, append=len(clock))
    midnights, offsets = np.repeat(np.array(found, np.int64).reshape(-1, 2), lengths, axis=0).T
    seconds, known = _of_day(np.ascontiguousarray(clock["time"]).view(np.uint8).reshape(len(clock), _CLOCK))
    return midnights + seconds, offsets, known & (midnights > _NO_DAY)


def _of_day(clock: Bytes) -> tuple[Ints, Bools]:
    """Seconds since midnight of times such as `:23:59:59`, [n, 9]; whether it is one."""
    known = np.ones(len(clock), bool)
    seconds = np.zeros(len(clock), np.int64)
    for colon, limit in zip(_COLONS, (23, 59, _LEAP_SECOND), strict=True):
        tens, ones = (clock[:, colon + ahead] - np.uint8(_ZERO) for ahead in (1, 2))
        number = tens * np.uint8(_RADIX) + ones
        known &= (clock[:, colon] == _COLON) & (tens < _RADIX) & (ones < _RADIX) & (number <= limit)
        seconds = seconds * 60 + number
    return seconds, known


@lru_cache(maxsize=1024)
def _midnight(date: bytes, zone: bytes) -> tuple[int, int]:
    """Of that date in that zone, in seconds since 1970 UTC, and the zone's offset; `_NO_DAY` where there is none."""
    of_date, of_zone = _DATE.fullmatch(date), _ZONE.fullmatch(zone)
    if not of_date or not of_zone or of_date[2] not in _MONTHS:
        return _NO_DAY, 0
    sign, hours, minutes = of_zone.groups()
    offset = (int(hours) * 60 + int(minutes)) * (-60 if sign == b"-" else 60)
    try:
        day = datetime(int(of_date[3]), _MONTHS[of_date[2]], int(of_date[1]), tzinfo=UTC)
    except ValueError:
        return _NO_DAY, 0
    return int(day.timestamp()) - offset, offset


def _sums(codes: _Codes, chosen: Ints, runs: Ints) -> Floats:
    """Each of the measures by run, [measures, n]."""
    if not len(runs):
        return np.zeros((2 + len(CLASSES), 0))
    statuses = codes.statuses[chosen]
    rows = [np.ones(len(chosen)), codes.sizes[chosen], *(statuses == each for each in CLASSES)]
    return np.add.reduceat(np.stack(rows), runs, axis=1)
