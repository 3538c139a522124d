"""Which simple forecasts are there, and what would each have said of what has come since?

Every expert answers for the future, and for past steps from origins that lay as far before them. Must not judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from controller.forecaster import FloatArray
from training.experts.load import Load, Places
from training.features import keys

_CHECKS = 128  # past steps on which the experts are judged
_NEWEST = 24  # of these are the last ones; the others lie evenly over the seasons that have others before them
_NEWEST_SHARE = 0.3  # of the weight
_HOUR = 24  # this share of a season
_LAST_HOURS = (1, 4)
_LOWEST_RATIO = 0.05  # of the level: below it a season says nothing about the present in proportion
_RATIOS = (0.2, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expert:
    """`past`: of the checks, [batch, keys or 1, checks]; `live`: of the future, [batch, 1 or horizon]. NaN: no idea."""

    past: str
    live: str
    is_seasonal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Places in the context: what was asked for, [checks], newest first; from where, [keys, checks]; and what comes."""

    target: Places
    origin: Places
    ahead: Places

    @classmethod
    def of(cls, load: Load) -> Self:
        """The last steps one by one, then further and further back."""
        window = load.window
        oldest = (window.seasons - load.learned) * window.slots - window.horizon - 1
        spread = np.linspace(min(_NEWEST, oldest), oldest, _CHECKS - _NEWEST).astype(np.int64)
        target = window.context - 1 - np.concatenate([np.minimum(np.arange(_NEWEST), oldest), spread])
        return cls(
            target=target,
            origin=target - np.array(keys(window))[:, None],
            ahead=window.context - 1 + np.arange(1, window.horizon + 1),
        )

    @staticmethod
    def worth() -> FloatArray:
        """How much each counts in a mean, [checks, 1]; all together as many as they are."""
        newest = _NEWEST_SHARE * _CHECKS / _NEWEST
        others = (1 - _NEWEST_SHARE) * _CHECKS / (_CHECKS - _NEWEST)
        return np.where(np.arange(_CHECKS) < _NEWEST, newest, others).astype(np.float32)[:, None]


def panel(load: Load) -> list[Expert]:
    """All experts; the first says that the last value stays."""
    checks = Checks.of(load)
    return [*_lasting(load, checks), *_hourly(load, checks), *_seasonal(load, checks), *_moved(load, checks)]


def _last(load: Load) -> Places:
    return np.array([load.window.context - 1])


def _lasting(load: Load, checks: Checks) -> list[Expert]:
    """The mean of the last steps stays."""
    last = _last(load)
    return [
        Expert(past=load.gather(mean, checks.origin), live=load.gather(mean, last), is_seasonal=False)
        for mean in load.means.values()
    ]


def _hourly(load: Load, checks: Checks) -> list[Expert]:
    """The same minute of the last hours comes again: many jobs run by the hour."""
    period = load.window.slots // _HOUR
    if period <= 1:
        return []
    back, ahead = (-(-steps // period) * period for steps in (np.array(keys(load.window)), _steps(load)))
    past, live = checks.target - back[:, None], checks.ahead - ahead
    return [
        Expert(past=load.periodic(past, period, count), live=load.periodic(live, period, count), is_seasonal=False)
        for count in _LAST_HOURS
    ]


def _steps(load: Load) -> Places:
    return np.arange(1, load.window.horizon + 1)


def _seasonal(load: Load, checks: Checks) -> list[Expert]:
    """The mean of earlier seasons comes again, and so does the last of them."""
    means = [
        _repeated(load, checks, load.profile(width, is_centred=True), load.learned)
        for width in dict.fromkeys((1, load.soon, load.now))
    ]
    if load.learned == 1:
        return means
    return [*means, *(_repeated(load, checks, load.smooth(width), 1) for width in dict.fromkeys((1, load.now)))]


def _repeated(load: Load, checks: Checks, value: str, seasons: int) -> Expert:
    """What a value that begins `seasons` later than the context, or ends so much earlier, says of every step."""
    back = seasons * load.window.slots
    past, live = (load.gather(value, places - back) for places in (checks.target, checks.ahead))
    return Expert(past=load.unsqueezed(past, 1), live=live, is_seasonal=True)


def _moved(load: Load, checks: Checks) -> list[Expert]:
    """The mean of earlier seasons, as far above or below as the present is: by a difference, and in proportion."""
    season = _repeated(load, checks, load.profile(load.now, is_centred=True), load.learned)
    found = []
    for width in dict.fromkeys((load.soon, load.now)):
        past = _both_ways(load, width, checks.origin, season.past)
        live = _both_ways(load, width, _last(load), season.live)
        found += [Expert(past=before, live=after, is_seasonal=True) for before, after in zip(past, live, strict=True)]
    return found


def _both_ways(load: Load, width: int, origin: Places, season: str) -> tuple[str, str]:
    now = load.gather(load.means[width], origin)
    usual = load.at_season(load.profile(width, is_centred=False), origin)
    ratio = load.add("Div", now, load.add("Max", usual, load.const(_LOWEST_RATIO)))
    bounded = load.add("Clip", ratio, *(load.const(bound) for bound in _RATIOS))
    return load.add("Add", season, load.add("Sub", now, usual)), load.add("Mul", season, bounded)
