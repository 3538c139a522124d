"""When was a log silent because nothing was written, and when because nobody came? Absent lines are ambiguous.

A silence is an outage when it is improbable twice: beside the traffic just before and after it, and beside the traffic
at the same time on other days. Otherwise it is a true zero. Must not know what the lines say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.datasets.buckets import Cells, Floats
from training.datasets.seconds import Ints, Seconds

MINUTE = 60
_FALSE_ALARMS = 0.001  # outages expected in a whole log that has none, were its lines independent but for bursts
_RECENT = 60  # minutes before and after
_OTHER_DAYS = (-7, -1, 1, 7)
_DAY = 24 * 60  # minutes
_MANY = 1 << 62  # no other day is known


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traffic:
    """Lines by minute: `until[m]` of all minutes before minute `first` + m. `burst`: how many lines come at once."""

    first: int
    until: Floats
    burst: float

    @classmethod
    def of(cls, minutes: Cells) -> Traffic:
        """Of the lines of each minute."""
        begin, sums = minutes.dense()
        busy = np.flatnonzero(sums[0])
        lines = sums[0][busy[0] : busy[-1] + 1]
        until = np.concatenate([[0.0], np.cumsum(lines)])
        return cls(first=begin // MINUTE + int(busy[0]), until=until, burst=_burst(lines))

    def between(self, since: Ints, until: Ints) -> Floats:
        """Lines in whole minutes since 1970, from `since` to before `until`."""
        return self._at(until) - self._at(since)

    def covered(self, since: Ints, until: Ints) -> Ints:
        """How many of those minutes lie within the log."""
        last = self.first + len(self.until) - 1
        return np.clip(until, self.first, last) - np.clip(since, self.first, last)

    def _at(self, minutes: Ints) -> Floats:
        found: Floats = self.until[np.clip(minutes - self.first, 0, len(self.until) - 1)]
        return found


def outages(seconds: Seconds, traffic: Traffic) -> tuple[Ints, Ints]:
    """From and until which second nothing was written though something should have been."""
    limit = -np.log(_FALSE_ALARMS / max(1.0, traffic.until[-1])) * traffic.burst
    shortest = limit / max(1.0, float(np.diff(traffic.until).max()) / MINUTE)
    last, following = seconds.spans_beyond(max(1, int(shortest)))
    expected = np.minimum(_recent(traffic, last, following), _usual(traffic, last, following))
    silent = expected > limit
    return last[silent] + 1, following[silent]


def edges(traffic: Traffic, first: int, last: int, step: int) -> tuple[int, int]:
    """Which whole seconds a log from second `first` to `last` covers.

    Up to the edges of the steps where those are less than one line away: a step is not given up for an empty second.
    """
    begin, end = first // step * step, -(-(last + 1) // step) * step
    rate = _recent(traffic, np.array([first, last]), np.array([first, last]) + 1)
    is_near = rate * np.array([first - begin, end - last - 1]) < 1
    return (begin if is_near[0] else first), (end if is_near[1] else last + 1)


def _recent(traffic: Traffic, last: Ints, following: Ints) -> Floats:
    """How many lines the silences would hold at the lower of the rates before and after."""
    before, after = last // MINUTE + 1, following // MINUTE
    rates = []
    for since, until in ((before - _RECENT, before), (after, after + _RECENT)):
        covered = np.maximum(traffic.covered(since, until), 1) * MINUTE
        rates.append(traffic.between(since, until) / covered)
    expected: Floats = np.minimum(*rates) * (following - last)
    return expected


def _usual(traffic: Traffic, last: Ints, following: Ints) -> Floats:
    """How many lines other days have at that time: the second smallest, as one of them may be an outage too."""
    since, until = last // MINUTE + 1, following // MINUTE
    known = [np.full(len(last), float(_MANY))]
    for days in _OTHER_DAYS:
        shifted = since + days * _DAY, until + days * _DAY
        is_known = traffic.covered(*shifted) >= until - since
        known.append(np.where(is_known, traffic.between(*shifted), _MANY))
    ordered = np.sort(np.stack(known), axis=0)
    usual: Floats = np.where(ordered[1] < _MANY, ordered[1], ordered[0])
    return usual


def _burst(lines: Floats) -> float:
    """The variance over the mean of the lines a minute, within hours; 1 where they come by chance."""
    hours = lines[: len(lines) // _RECENT * _RECENT].reshape(-1, _RECENT) if len(lines) >= _RECENT else lines[None]
    hours = hours[hours.any(axis=1)]
    return max(1.0, float(np.median(hours.var(axis=1) / hours.mean(axis=1))))
