"""What does a plausible workload look like, where there is no data? Seeded, made-up traces of load per step.

Used for the default models, for tests and for machines without a trace. Must not claim to be a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.series import Series

Floats = NDArray[np.float64]
Random = np.random.Generator  # noqa: TID251  # a type

_END = datetime(2024, 1, 29, tzinfo=UTC)  # a Monday: whole weeks end here
_DAYS_IN_WEEK = 7
_SATURDAY = 5  # counted from Monday
_HOUR = 1 / 24
_MINUTE = _HOUR / 60
_SECOND_PEAK = 0.15  # of a day before the first
_RIPPLES = range(3, 9)  # peaks a day
_FORGOTTEN = 40  # times the memory: what is left of a push is lost in the digits of a number
_BUSIEST = 1e12  # events a step; the generator of chance arrivals knows no more


# What `sample` chooses from: between which bounds a field lies, evenly in its logarithm.
_Ranges = dict[str, tuple[float, float]]
_ALWAYS: _Ranges = {
    "a_day": (1e3, 3e7),
    "noise": (0.01, 0.25),
    "wander": (0.03, 0.3),
    "memory": (0.5 * _HOUR, 1.5),
    "jitter": (0.01, 0.15),
    "jitter_memory": (1 * _MINUTE, 15 * _MINUTE),
}
_FLAT: _Ranges = {}
_PEOPLE: _Ranges = {"daily": (0.2, 0.95), "twice": (0.05, 0.8), "ripple": (0.02, 0.2), "weekend": (0.01, 0.7)}
_BUSINESS: _Ranges = {**_PEOPLE, "open_for": (0.3, 0.6), "closed": (0.01, 0.3)}
_MACHINES: _Ranges = {"job_height": (0.3, 10), "job_length": (2 * _MINUTE, 1 * _HOUR)}
_MOSTLY_IDLE: _Ranges = {"a_day": (1e2, 1e4), "bursts": (0.5, 20), "burst_height": (2, 100)}
_TIMETABLES = (1, 2, 4, 6, 8, 12, 24, 24, 24, 48, 96, 144)  # jobs a day: people write whole hours into a crontab
_RHYTHMS = (_PEOPLE, _BUSINESS, _FLAT, _MACHINES, _MOSTLY_IDLE, {**_PEOPLE, **_MACHINES})
_HOW_OFTEN = (0.4, 0.12, 0.16, 0.12, 0.08, 0.12)
_EVENTS: tuple[_Ranges, ...] = (
    {"trend": (0.003, 0.05)},
    {"shifts": (0.03, 1), "shift_height": (0.1, 0.8)},
    {"ramps": (0.2, 6), "ramp_height": (0.1, 0.6)},
    {"bursts": (0.3, 10), "burst_height": (0.3, 5), "burst_length": (2 * _MINUTE, 1 * _HOUR)},
    {"gaps": (0.1, 3), "gap_length": (2 * _MINUTE, 3 * _HOUR)},
)
_SHARE_WITH_EVENT = 0.25
_SAMPLES = 0x5A  # sets the seeds of samples apart from those of their traces


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a load is made of. Each field adds one thing; `Workload()` is flat but for chance arrivals.

    Times are days, which are as short as the season. Heights and swings are shares of the usual load, or where a
    comment says so standard deviations of its logarithm. What happens n times a day happens at random moments.
    """

    a_day: float = 57_600.0  # events on average
    unit: float = 1.0  # what one event counts for: 1 for requests, less for a load that is nearly continuous
    noise: float = 0.0  # from step to step, beyond chance arrivals; of the logarithm
    wander: float = 0.0  # slow; of the logarithm
    memory: float = 2 * _HOUR  # of the wandering
    jitter: float = 0.0  # the same, but fast
    jitter_memory: float = 5 * _MINUTE
    daily: float = 0.0  # swing about the mean
    peak: float = 0.6  # when; other time zones peak at other hours
    twice: float = 0.4  # how much of a second peak there is, beside the first
    ripple: float = 0.0  # what else every day has at the same time; of the logarithm
    weekend: float = 0.0  # what Saturday and Sunday lack
    zone: float = 0.0  # how much earlier than by the clock the days begin
    open_from: float = 0.0  # business hours, or when it is switched on
    open_for: float = 1.0
    closed: float = 0.0  # what is left of the load outside of them
    trend: float = 0.0  # growth a day; of the logarithm
    shifts: float = 0.0  # to another level and no way back, a day
    shift_height: float = 0.5  # of the logarithm
    ramps: float = 0.0  # slopes from one level to another, a day
    ramp_height: float = 0.5  # of the logarithm
    bursts: float = 0.0  # sudden, and then forgotten, a day
    burst_height: float = 2.0
    burst_length: float = 10 * _MINUTE
    jobs: float = 0.0  # batch jobs at fixed times, a day
    job_height: float = 2.0
    job_length: float = 10 * _MINUTE
    gaps: float = 0.0  # of recording, a day
    gap_length: float = 20 * _MINUTE

    def series(self, seed: int, *, step: timedelta, season: timedelta, seasons: float) -> Series:
        """One such load over `seasons` days of `season` each; whole events times the unit, NaN in gaps."""
        random = np.random.default_rng(seed)  # noqa: TID251  # seeded
        day = float(season / step)
        place = (np.arange(round(seasons * day), dtype=np.float64) + 0.5) / day
        expected = self._expected(random, place, day) * (self.a_day / day)
        events = random.poisson(np.minimum(expected, _BUSIEST)).astype(np.float64)
        events[_is_within(random, place, self.gaps, self.gap_length)] = np.nan
        return Series(end=_END, step=step, values=events * self.unit)

    def _expected(self, random: Random, place: Floats, day: float) -> Floats:
        """Of each step, as a share of the usual load; `place` counts days, of which each has `day` steps."""
        usual = self._rhythm(random, place + self.zone - len(place) / day % _DAYS_IN_WEEK)
        change = self.wander * _walk(random, len(place), self.wander, memory=day * self.memory)
        change += self.jitter * _walk(random, len(place), self.jitter, memory=day * self.jitter_memory)
        if self.noise:
            change += self.noise * random.standard_normal(len(place))
        change += self.trend * (place - place.mean())
        change += _levels(random, place, self.shifts, self.shift_height, sloping=False)
        change += _levels(random, place, self.ramps, self.ramp_height, sloping=True)
        expected: Floats = usual * np.exp(change)
        return expected + self._extra(random, place, day)

    def _rhythm(self, random: Random, place: Floats) -> Floats:
        """By the time of the day and the day of the week; `place` counts days from a Monday's beginning."""
        first = np.cos(2 * np.pi * (place - self.peak))
        second = np.cos(4 * np.pi * (place - self.peak + _SECOND_PEAK))
        rhythm = 1 + self.daily * (first + self.twice * second) / (1 + self.twice)
        if self.ripple:
            angles = [2 * np.pi * (each * place + random.uniform()) for each in _RIPPLES]
            rhythm = rhythm * np.exp(self.ripple * np.mean(np.cos(angles), axis=0) * np.sqrt(2 * len(_RIPPLES)))
        is_open = (place - self.open_from) % 1 < self.open_for
        weekly = np.where(place % _DAYS_IN_WEEK >= _SATURDAY, 1 - self.weekend, 1.0)
        expected: Floats = np.maximum(rhythm, 0) * weekly * np.where(is_open, 1.0, self.closed)
        return expected

    def _extra(self, random: Random, place: Floats, day: float) -> Floats:
        """What comes on top, whatever the hour."""
        extra = np.zeros(len(place))
        if self.jobs:
            phase = (place * self.jobs + random.uniform()) % 1
            # A job that is shorter than a step still counts as much as it does.
            length = max(self.job_length * self.jobs, self.jobs / day)
            extra += np.where(phase < length, self.job_height * min(1.0, self.job_length * day), 0.0)
        if self.bursts:
            height = random.exponential(self.burst_height, len(place)) * random.poisson(self.bursts / day, len(place))
            extra += _fade(height, memory=day * self.burst_length) * min(1.0, self.burst_length * day)
        return extra


def generate(seed: int, *, step: timedelta, season: timedelta, seasons: int) -> Series:
    """`seasons` days of `season` each: a daily and weekly rhythm, slow wandering, and chance arrivals; 200 a step."""
    usual = Workload(a_day=200.0 * (season / step), daily=0.6, weekend=0.35, wander=0.1, noise=0.08)
    return usual.series(seed, step=step, season=season, seasons=seasons)


def sample(seed: int) -> Workload:
    """One of the workloads that there might be: a rhythm or none, how rough it is, and some of all that happens."""
    random = np.random.default_rng((_SAMPLES, seed))  # noqa: TID251  # seeded
    rhythm = _RHYTHMS[random.choice(len(_RHYTHMS), p=_HOW_OFTEN)]
    events = [each for each in _EVENTS if random.uniform() < _SHARE_WITH_EVENT]
    drawn = {
        name: float(np.exp(random.uniform(np.log(low), np.log(high))))
        for ranges in (_ALWAYS, rhythm, *events)
        for name, (low, high) in ranges.items()
    }
    # Any hour may be the busiest one by the clock that the forecaster is told, and any the first of a weekend.
    moved = {"peak": random.uniform(), "open_from": random.uniform(0.2, 0.5), "zone": random.uniform(-0.5, 0.5)}
    turned = {"trend": drawn.get("trend", 0.0) * random.choice((-1, 1))}
    if "job_height" in drawn:
        turned["jobs"] = float(random.choice(_TIMETABLES))
    return Workload(**{**drawn, **moved, **turned})


def _walk(random: Random, count: int, height: float, *, memory: float) -> Floats:
    """An autoregressive walk of unit variance that forgets over `memory` steps; zeros where it has no `height`."""
    if not height:
        return np.zeros(count)
    keep = float(np.exp(-1 / memory))
    return _fade(random.standard_normal(count) * np.sqrt(1 - keep**2), memory=memory)


def _fade(pushes: Floats, *, memory: float) -> Floats:
    """The sum of all pushes so far, each forgotten over `memory` steps."""
    found, reach = pushes.copy(), 1
    # In every round each step takes in as many steps before it as it knew already.
    while reach < len(found) and reach < _FORGOTTEN * memory:
        found[reach:] += np.exp(-reach / memory) * found[:-reach]
        reach *= 2
    return found


def _moments(random: Random, place: Floats, often: float) -> Floats:
    """When something happens that happens so often a day."""
    days = len(place) * (place[1] - place[0]) if len(place) > 1 else 0.0
    return np.sort(random.uniform(0, days, random.poisson(often * days)))


def _levels(random: Random, place: Floats, often: float, height: float, *, sloping: bool) -> Floats:
    """A level that stays until the next moment, or slopes to the next one's."""
    moments = _moments(random, place, often) if often else np.empty(0)
    if not len(moments):
        return np.zeros(len(place))
    levels = height * random.standard_normal(len(moments) + 1)
    if sloping:
        return np.interp(place, [0.0, *moments], levels)
    found: Floats = levels[np.searchsorted(moments, place)]
    return found


def _is_within(random: Random, place: Floats, often: float, length: float) -> NDArray[np.bool_]:
    """Whether a step lies in a span that began before it and lasts `length` on average."""
    begins = _moments(random, place, often) if often else np.empty(0)
    ends = np.sort(begins + random.exponential(length, len(begins)))
    is_within: NDArray[np.bool_] = np.searchsorted(begins, place) > np.searchsorted(ends, place)
    return is_within
