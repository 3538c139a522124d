"""What does a block of lines in Common or Combined Log Format say? A few scans over its bytes, no loop over lines.

A line counts when it holds, in this order: something, `[time zone] "`, anything, `" status size`, and an end or a
space. What stands between may be any bytes: quotes, brackets, another encoding. Must not mend what does not match.

Only line ends and quotes are searched for: all else stands at a known distance from a quote. numpy and no table
engine: polars took more CPU to split the same lines, and wants bytes to be UTF-8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

from training.datasets.buckets import Floats
from training.datasets.scanned import CLASSES, SAMPLES, Scanned, shortened
from training.datasets.seconds import Ints
from training.datasets.words import Bools, Bytes, Text, Words, above_nine, only, word

LINE = re.compile(
    rb'(?>.+?(?=\[.{26}\] "))\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] '
    rb'".*?" ([1-5]\d\d) (\d{1,15}|-)(?=[ \r]|$)',
    re.DOTALL,
)
"""The same grammar for one line: slow, and obvious."""

_NEW_LINE, _RETURN, _SPACE, _QUOTE, _OPEN, _CLOSE, _ZERO = b'\n\r "[]0'
_OPEN_BEFORE, _CLOSE_BEFORE = 29, 2  # the quote that opens the request
_CODE_AT, _SIZE_AT = 2, 6  # counted from the quote that closes the request
_STAMP_WORDS = 4  # before the quote that opens the request, as in `- [01/Jul/1995:00:00:01 -0400] `
_FROM_BRACKET = word(b"\0\0\0" + b"\xff" * 5)  # of the first of them
_CLOCK = 2  # which of them
_DATE_AT, _ZONE_AT = slice(4, 16), slice(24, 30)
_DATE = re.compile(rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):")
_ZONE = re.compile(rb" ([+-])([01]\d)([0-5]\d)")
_MONTHS = {name: place for place, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_MIDNIGHT, _COLONS = word(b"00:00:00"), word(b"\0\0\xff\0\0\xff\0\0")
_CLOCK_PARTS = ((0, 23), (24, 59), (48, 60))  # the first bit, and the most: there are leap seconds
_NO_DAY = -(1 << 40)


def scan(block: bytes) -> Scanned:
    """Whole lines. Lines of one time that follow each other are one entry of the answer."""
    text = Text.of(block)
    starts, ends = _lines(text)
    quotes = text.places(_QUOTE)
    stamps, codes = _stamps(text, quotes), _codes(text, quotes)
    lines, stamp = _first_within(stamps - _OPEN_BEFORE, starts + 1, ends)
    coded, code = _first_within(codes.places, stamps[stamp] + 1, ends[lines])
    runs = _Runs.of(text.before(stamps[stamp[coded]], _STAMP_WORDS))
    bad = _missing(len(starts), lines[coded], runs)
    samples = (text.octets[starts[at] : ends[at]].tobytes() for at in bad[:SAMPLES].tolist())
    return Scanned(
        rows=len(starts),
        times=only(runs.times, runs.known),
        values=only(_sums(codes, code, runs.starts), runs.known),
        malformed=len(bad),
        samples=tuple(map(shortened, samples)),
        offsets=_distinct(only(runs.offsets, runs.known)),
    )


def _distinct(offsets: Ints) -> tuple[int, ...]:
    """In the order of their first; mostly all are one."""
    changed = np.flatnonzero(offsets[1:] != offsets[:-1]) + 1
    return tuple(dict.fromkeys([*offsets[:1].tolist(), *offsets[changed].tolist()]))


def _lines(text: Text) -> tuple[Ints, Ints]:
    """Where lines that are not blank begin and end."""
    ends = text.places(_NEW_LINE)
    starts = np.concatenate([[text.begin], ends[:-1] + 1])
    filled = ends - starts > (text.octets[ends - 1] == _RETURN)
    return only(starts, filled), only(ends, filled)


def _stamps(text: Text, quotes: Ints) -> Ints:
    """Those before which a bracket closes that opened as many bytes earlier as a time has."""
    spaced = only(quotes, text.octets[quotes - 1] == _SPACE)
    return only(spaced, (text.octets[spaced - _CLOSE_BEFORE] == _CLOSE) & (text.octets[spaced - _OPEN_BEFORE] == _OPEN))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Codes:
    """Each quote that a status and a size follow: where, and which."""

    places: Ints
    statuses: Bytes
    sizes: Ints


def _codes(text: Text, quotes: Ints) -> _Codes:
    places = only(quotes, (text.octets[quotes + 1] == _SPACE) & (text.octets[quotes + _SIZE_AT - 1] == _SPACE))
    statuses = text.octets[places + _CODE_AT] - _ZERO
    sizes, ends = text.numbers(places + _SIZE_AT)
    after = text.octets[ends]
    is_code = (statuses - 1 < CLASSES[-1]) & (ends > places + _SIZE_AT)
    is_code &= (after == _SPACE) | (after == _NEW_LINE) | (after == _RETURN)
    for ahead in (1, 2):
        is_code &= text.octets[places + _CODE_AT + ahead] - _ZERO < 10  # noqa: PLR2004  # the digits
    return _Codes(places=only(places, is_code), statuses=only(statuses, is_code), sizes=only(sizes, is_code))


def _first_within(places: Ints, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Which spans hold one of `places`, and which is the first that each of them holds; all are ascending."""
    every = np.arange(len(starts))
    if len(places) == len(starts) and bool(((starts <= places) & (places < ends)).all()):
        return every, every  # where no line has a flaw, a search would only cost
    found = np.searchsorted(places, starts)
    holds = np.flatnonzero(found < np.searchsorted(places, ends))
    return holds, found[holds]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Runs:
    """Lines of one time that follow each other: where they start, seconds since 1970 UTC, offsets; is it a time?"""

    starts: Ints
    times: Ints
    offsets: Ints
    known: Bools

    @classmethod
    def of(cls, stamps: Words) -> _Runs:
        """Of the words before the request of each line, [n, 4]."""
        starts, days = _changes(stamps)
        found = [_midnight(stamp[_DATE_AT], stamp[_ZONE_AT]) for day in days for stamp in [stamps[day].tobytes()]]
        lengths = np.diff(np.searchsorted(starts, days), append=len(starts))
        midnights, offsets = np.repeat(np.array(found, np.int64).reshape(-1, 2), lengths, axis=0).T
        seconds, known = _of_day(stamps[starts, _CLOCK])
        return cls(starts=starts, times=midnights + seconds, offsets=offsets, known=known & (midnights > _NO_DAY))


def _changes(stamps: Words) -> tuple[Ints, Ints]:
    """Where a time differs from the one before, and where its date or its zone does."""
    differs = np.ones(stamps.shape, np.uint64)
    np.bitwise_xor(stamps[1:], stamps[:-1], out=differs[1:])
    new_day = ((differs[:, 0] & _FROM_BRACKET) | differs[:, 1] | differs[:, 3]) != 0
    new_day[:1] = True
    return np.flatnonzero(new_day | (differs[:, _CLOCK] != 0)), np.flatnonzero(new_day)


def _of_day(clock: Words) -> tuple[Ints, Bools]:
    """Seconds since midnight of times such as `23:59:59`; whether it is one."""
    digits = clock ^ _MIDNIGHT
    known = (above_nine(digits) | (digits & _COLONS)) == 0
    pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
    seconds = np.zeros(len(clock), np.int64)
    for bit, most in _CLOCK_PARTS:
        number = ((pairs >> np.uint64(bit)) & np.uint64(0xFF)).astype(np.int64)
        known &= number <= most
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


def _missing(rows: int, matched: Ints, runs: _Runs) -> Ints:
    """Which of the rows are in no run, or in one of no time."""
    if len(matched) == rows and runs.known.all():
        return np.empty(0, np.int64)
    good = np.zeros(rows, bool)
    good[matched] = np.repeat(runs.known, np.diff(runs.starts, append=len(matched)))
    return np.flatnonzero(~good)


def _sums(codes: _Codes, chosen: Ints, starts: Ints) -> Floats:
    """Each of the measures by run, [measures, n]. Bytes are whole numbers so long that nothing is lost on the way."""
    count = len(starts)
    sums = np.zeros((2 + len(CLASSES), count))
    if count:
        lengths = np.diff(starts, append=len(chosen))
        until = np.cumsum(codes.sizes[chosen])[starts + lengths - 1]
        kinds = np.repeat(np.arange(count), lengths) + codes.statuses[chosen].astype(np.int64) * count
        found = np.bincount(kinds, minlength=(CLASSES[-1] + 1) * count).reshape(-1, count)
        sums[0], sums[1], sums[2:] = lengths, np.diff(until, prepend=0), found[-len(CLASSES) :]
    return sums
