"""Which spans of a series are left out of a fit, and why? What is far off, rare, and no habit.

What comes back every day or every week is the load's nature, and so is what happens often; a new level is no deviation.
Flagged steps become missing, never zero, and only for fitting: a model is judged on what really came. The figures
behind the constants are in `docs/decisions/0006-odd-spans-and-planned-events.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series
from training.cleaning.deviations import Deviations, Floats, NothingToSay, around, deviations
from training.cleaning.forest import isolation
from training.windows import DAYS_IN_WEEK, Window

Mask = NDArray[np.bool_]
How = Literal["off", "zscore", "forest", "both"]
HOWS: tuple[How, ...] = get_args(How)

_ODD = 3.5  # a score, in usual deviations, that is counted as odd at all
_FAR, _ISOLATED = 4.5, 3.5  # what a span must hold to be flagged: how far off, how easily isolated
_BESIDE = 2.5  # what lies beside it and scores this much belongs to it
_JOIN = 96  # spans closer than this share of a season are one
_MOST = 0.03  # of the recorded steps are flagged, the farthest first
_FEW, _RARE = 3, 0.25  # this many spans, or this many a season, are rare; where there are more,
_OUTSTANDING = 2.0  # only those are flagged that are this many times as far off as the first that is one too many
_LATE = 24  # this share of a season a habit may be early or late
_DAYS, _WEEKS = (1, 2, 3), (1, 2, 3, 4)  # before and after: half of them show a habit
_ALIKE = 0.5  # this share of a deviation at another time is the same habit
_WHY = {"zscore": "far from its season", "forest": "easily isolated", "both": "far from its season, easily isolated"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One span, from `start` to `end` (aware). `off`: how many usual deviations its farthest value is off, signed."""

    start: datetime
    end: datetime
    method: How
    off: float

    @property
    def why(self) -> str:
        """In words."""
        return f"{_WHY[self.method]}: {self.off:+.1f} usual deviations"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flags:
    """What was found. `mask`: bool, one for each step of the series. `about`: in words, also where nothing was."""

    mask: Mask
    spans: tuple[Flag, ...]
    about: str

    def removed_from(self, series: Series) -> Series:
        """The series that was looked at, with NaN in every flagged step."""
        return replace(series, values=np.where(self.mask, np.nan, series.values))


def flag(series: Series, window: Window, zone: tzinfo, how: How) -> Flags:
    """Spans of `series` to leave out of a fit; none where it is short, constant or mostly idle, and `about` says so."""
    mask = np.zeros(len(series), np.bool_)
    if how == "off":
        return Flags(mask=mask, spans=(), about="nothing was looked for")
    try:
        found = deviations(series, window, zone)
    except NothingToSay as reason:
        return Flags(mask=mask, spans=(), about=f"nothing is flagged, since {reason}")
    parts = _bounded(_parts(found, how), found)
    for part in parts:
        mask[part] = True
    share = mask.sum() / np.isfinite(series.values).sum()
    return Flags(
        mask=mask,
        spans=tuple(_flag(series, part, found, how) for part in parts),
        about=f"{len(parts)} span{'' if len(parts) == 1 else 's'} flagged, {share:.2%} of what is recorded",
    )


def _flag(series: Series, part: slice, found: Deviations, how: How) -> Flag:
    far = found.far[part]
    return Flag(
        start=series.start + part.start * series.step,
        end=series.start + part.stop * series.step,
        method=how,
        off=float(far[np.argmax(np.abs(far))]),
    )


def _parts(found: Deviations, how: How) -> list[slice]:
    if how == "zscore":
        return _outstanding(found.far, found, _FAR)
    isolated = _outstanding(isolation(found), found, _ISOLATED)
    if how == "forest":
        return isolated
    far = _outstanding(found.far, found, _FAR)
    return [part for part in far if any(part.start < other.stop and other.start < part.stop for other in isolated)]


def _outstanding(score: Floats, found: Deviations, least: float) -> list[slice]:
    """Runs of steps around one that scores `least` and is no habit; what happens often must stand out."""
    beyond = np.abs(score)
    is_odd = (beyond >= _ODD) & ~_is_habit(score, found.slots)
    parts = [part for part in _runs(beyond >= _BESIDE, max(1, found.slots // _JOIN)) if is_odd[part].any()]
    rare = max(_FEW, round(_RARE * found.seasons))
    offs = sorted((_off(found, part) for part in parts), reverse=True)
    limit = _OUTSTANDING * offs[rare] if len(offs) > rare else 0.0
    return [part for part in parts if beyond[part].max() >= least and _off(found, part) >= limit]


def _off(found: Deviations, part: slice) -> float:
    return float(np.abs(found.far[part]).max())


def _runs(is_on: Mask, gap: int) -> Iterator[slice]:
    """Where it is on; runs with at most `gap` steps between them are one."""
    places = np.flatnonzero(is_on)
    for group in np.split(places, np.flatnonzero(np.diff(places) > gap + 1) + 1):
        if len(group):
            yield slice(int(group[0]), int(group[-1]) + 1)


def _is_habit(score: Floats, slots: int) -> Mask:
    """Whether something like it happens at about the same time on most days around, or in most weeks."""
    width = 2 * max(1, slots // _LATE) + 1
    highest, lowest = around(score, width, "max"), around(score, width, "min")
    like = np.where(score > 0, _ALIKE, -_ALIKE) * np.abs(score)

    def returns(lags: list[int]) -> Mask:
        alike, asked = np.zeros((2, len(score)))
        for lag in [move for each in lags for move in (-each, each)]:
            there = np.arange(len(score)) + lag
            is_there = (there >= 0) & (there < len(score))
            there[~is_there] = 0
            asked += is_there
            alike += is_there & np.where(score > 0, highest[there] >= like, lowest[there] <= like)
        return (asked > 0) & (2 * alike >= asked)

    return returns([slots * day for day in _DAYS]) | returns([slots * DAYS_IN_WEEK * week for week in _WEEKS])


def _bounded(parts: list[slice], found: Deviations) -> list[slice]:
    """The farthest of the parts, as many as may be flagged at all; in order of time."""
    room = _MOST * np.isfinite(found.single).sum()
    kept = []
    for part in sorted(parts, key=lambda part: -_off(found, part)):
        if part.stop - part.start <= room:
            kept.append(part)
            room -= part.stop - part.start
    return sorted(kept, key=lambda part: part.start)
