"""What does a calendar do to each step of time? Multipliers and what to forget, and what past occurrences teach.

Steps are counted in UTC, where none is skipped or repeated. Must not know a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series
from training.calendars.event import Calendar, CalendarError, Event
from training.windows import DAYS_IN_WEEK, Window

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_WEEKS, _SEASONS = 4, 7  # how far an occurrence looks, both ways, for what the load would have been without it
_FEWEST = 2  # values that can say so
_BESIDE = 8  # this share of a season before and after an occurrence tells how busy the day is
_WHOLE = 0.999  # of a step lies in an event; part of one would be measured too low


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Effects:
    """What holds in some steps, [n] each.

    `multiplier`: of the forecast; events that overlap multiply, a step that lies partly in one takes its share.
    `is_event`: touched by any event; `is_outage`: by one that leaves nothing to learn from.
    """

    multiplier: Floats
    is_event: NDArray[np.bool_]
    is_outage: NDArray[np.bool_]


def effects(calendar: Calendar, start: datetime, step: timedelta, count: int) -> Effects:
    """Of `count` steps from `start` (aware) on. Raises CalendarError where a multiplier is not known."""
    multiplier = np.ones(count)
    is_event, is_outage = np.zeros((2, count), np.bool_)
    for event in calendar.events:
        for place, share in _steps(event, start, step, count):
            multiplier[place] *= 1 + (event.factor - 1) * share
            is_event[place] = True
            is_outage[place] |= event.impact == "outage"
    return Effects(multiplier=multiplier, is_event=is_event, is_outage=is_outage)


def without_events(series: Series, calendar: Calendar) -> Series:
    """The series with NaN in every step that an event touches."""
    values = series.values.copy()
    for event in calendar.events:
        for place, _ in _steps(event, series.start, series.step, len(series)):
            values[place] = np.nan
    return replace(series, values=values)


def _steps(event: Event, start: datetime, step: timedelta, count: int) -> Iterator[tuple[slice, Floats]]:
    """For each span, the steps that it touches and which share of each."""
    for span in event.spans:
        first = max(0, (span.start - start) // step)
        last = min(count, -((start - span.end) // step))
        if first < last:
            edges = np.arange(first, last + 1, dtype=np.float64)
            covered = np.clip(edges, (span.start - start) / step, (span.end - start) / step)
            yield slice(first, last), np.diff(covered)


def learned(calendar: Calendar, series: Series, window: Window) -> Calendar:
    """The calendar with a multiplier for each event that had none, from its occurrences in `series`.

    Raises CalendarError where there are none, or where they say the opposite of the event's impact.
    """
    usual = _Usual(values=without_events(series, calendar).values, window=window)
    return replace(calendar, events=tuple(_with_multiplier(event, series, usual) for event in calendar.events))


def _with_multiplier(event: Event, series: Series, usual: _Usual) -> Event:
    if event.impact == "outage" or event.multiplier is not None:
        return event
    ratios = list(_ratios(event, series, usual))
    if not ratios:
        raise CalendarError(
            f"event {event.name!r} has no multiplier, and nothing recorded before {series.end} shows one; "
            "give `multiplier`"
        )
    found = float(np.median(ratios))
    if (found > 1) != (event.impact == "high"):
        raise CalendarError(
            f"event {event.name!r} is said to be {event.impact}, but {len(ratios)} occurrences show x{found:.2f}; "
            "give `multiplier`, or correct the impact"
        )
    return replace(event, multiplier=found)


def _ratios(event: Event, series: Series, usual: _Usual) -> Iterator[float]:
    """For each occurrence: what came, divided by what the same times of other days and weeks held."""
    for place, share in _steps(event, series.start, series.step, len(series)):
        places = np.arange(place.start, place.stop)[share >= _WHOLE]
        came, expected = series.values[places], usual.at(places)
        known = np.isfinite(came) & np.isfinite(expected)
        if expected[known].sum() > 0:
            yield float(came[known].sum() / expected[known].sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Usual:
    """What the load is without events. `values`: [n], NaN in events."""

    values: Floats
    window: Window

    def at(self, places: Places) -> Floats:
        """The same time of the weeks around, or else of the seasons around; NaN where neither tells."""
        slots = self.window.slots
        weekly = self._median(places, [DAYS_IN_WEEK * slots * week for week in range(-_WEEKS, _WEEKS + 1) if week])
        daily = self._median(places, [slots * season for season in range(-_SEASONS, _SEASONS + 1) if season])
        return np.where(np.isfinite(weekly), weekly, daily)

    def _median(self, places: Places, moves: list[int]) -> Floats:
        """Of what was found after the moves, each in proportion to how the load around differs from that here."""
        beside = max(1, self.window.slots // _BESIDE)
        around = np.arange(places.min(initial=0) - beside, places.max(initial=0) + beside + 1)
        found = np.stack([self._found(places + move) * self._proportion(around, move) for move in moves])
        is_enough = np.isfinite(found).sum(axis=0) >= _FEWEST
        medians = np.full(len(places), np.nan)
        medians[is_enough] = np.nanmedian(found[:, is_enough], axis=0)
        return medians

    def _proportion(self, around: Places, move: int) -> float:
        here, there = self._found(around), self._found(around + move)
        known = np.isfinite(here) & np.isfinite(there)
        total = float(there[known].sum())
        return float(here[known].sum()) / total if total > 0 else float("nan")

    def _found(self, places: Places) -> Floats:
        is_there = (places >= 0) & (places < len(self.values))
        return np.where(is_there, self.values[np.clip(places, 0, len(self.values) - 1)], np.nan)
