"""What would AWS's own scaling of an Auto Scaling group have done? Its published rules, for many targets at once.

Target tracking (CloudWatch by the minute, two alarms) scales out and in; predictive scaling gives each hour a minimum
and never scales in. Together they are what AWS recommends. What AWS does not publish is ours, and kind to AWS: how a
load is forecast (`hourly`), how far in it scales (`Tracking`), metrics that are there as soon as their minute is over,
and a warm-up that ends when a replica serves. Sources:

- docs.aws.amazon.com/autoscaling/ec2/userguide/predictive-scaling-policy-overview.html: by the hour, 24 hours to 14
  days of data, 48 hours ahead, every 6 hours; scales out at the start of the hour, never in.
- docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PredictiveScalingConfiguration.html: SchedulingBufferTime, 300 s
  if nothing is said and less than 3600 s; HonorMaxCapacity.
- docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html: out in proportion
  to the metric; in only when it is low enough, usually by more than 10 %; nothing while data points are missing.
- docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-default-instance-warmup.html: while instances warm up
  their metric does not count, they count as capacity when scaling out, and nothing is scaled in.
- github.com/aws/containers-roadmap/issues/1208: the alarms watch 3 of 3 and 15 of 15 minutes (no page of AWS says so).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from controller.core.replicas import MOST, ROUNDING
from controller.core.series import Series
from training.simulate.capacity import Ints, SimulationError, lag_of
from training.simulate.hourly import HOUR, Floats, Hours, predicted
from training.simulate.log import Log

MINUTE = timedelta(minutes=1)
BUFFER = timedelta(seconds=300)  # SchedulingBufferTime
HIGH_AFTER = timedelta(minutes=3)
LOW_AFTER = timedelta(minutes=15)

NONE, HIGH_ALARM, LOW_ALARM, FORECAST = range(4)  # what changed a size
_TOLD = {
    HIGH_ALARM: f"{HIGH_AFTER // MINUTE} minutes above the target, load",
    LOW_ALARM: f"{LOW_AFTER // MINUTE} minutes below the target, load",
    FORECAST: "forecast of the hour",
}
_HELD = ", held by the forecast of the hour"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """What AWS says only in words of how it scales in: "more gradually", "usually more than 10 % lower".

    `low`: the part of the target below which the low alarm counts; groups have been seen with 0.9 and with 0.7.
    `is_hasty`: to what the last minute needs, not the highest of those that raised the alarm.
    """

    low: float = 0.9
    is_hasty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """What was asked for with each of k targets, `initial` replicas before.

    `sizes`: int64 [n, k], at each step. All else is by minute, or by step where that is longer; `every`: its steps.
    `seen`: [m], the mean load of the minute before; `peak`: [m], that to which it scales in; `floor`: [m], the load
    that was forecast for the hour; NaN where there is none. `why`: int8 [m, k], NONE, HIGH_ALARM and so on.
    """

    initial: int
    sizes: Ints
    seen: Floats
    peak: Floats
    floor: Floats
    why: NDArray[np.int8]
    every: int


def check(buffer: timedelta, step: timedelta) -> None:
    """That AWS would take it. Raises SimulationError."""
    if not timedelta(0) <= buffer < HOUR:
        raise SimulationError(
            f"--scheduling-buffer must be from 0s to less than 1h, as AWS's, not {buffer.total_seconds():g} s"
        )
    if step > HOUR:
        raise SimulationError(f"--step: AWS's policies forecast by the hour; give at most 1h, not {step}")


def floor_of(past: Series, load: Series, buffer: timedelta = BUFFER) -> Floats:
    """The load [n] for which predictive scaling is ready at least, at each step of `load`; NaN where for none.

    `past`: what came before, in the same steps. From `buffer` before an hour on it is the higher of both hours'.
    """
    hours = Hours.of(past, load)
    and_next = replace(hours, values=np.append(hours.values, np.nan))  # which begins when the load ends
    return _lasting(hours, predicted(and_next, buffer), load, buffer)


def known_floor(load: Series, buffer: timedelta = BUFFER) -> Floats:
    """As `floor_of`, of somebody who knows each hour's mean: no forecast by the hour is better than that."""
    hours = Hours.of(load)
    return _lasting(hours, hours.values, load, buffer)


def _lasting(hours: Hours, said: Floats, load: Series, buffer: timedelta) -> Floats:
    begins = load.start.timestamp() + np.arange(len(load)) * load.step.total_seconds()
    now, soon = (
        ((begins + ahead) // HOUR.total_seconds()).astype(np.int64) - hours.first
        for ahead in (0.0, buffer.total_seconds())
    )
    padded = np.append(said, np.nan)  # where nothing is said
    found: Floats = np.fmax(*(padded[np.where((at >= 0) & (at < len(said)), at, -1)] for at in (now, soon)))
    return found


def sizes(
    metric: Series,
    targets: NDArray[np.float64],
    *,
    startup: timedelta,
    initial: int,
    lowest: int,
    highest: int,
    before: float = float("nan"),
    floor: Floats | None = None,
    tracking: Tracking | None = None,
) -> Asked:
    """The sizes asked for by target tracking with each of the targets [k] (metric's unit, > 0), `initial` at first.

    `floor`: of `floor_of`, for predictive scaling beside it, which has the same target.
    `before`: the load before the first step, which no alarm has seen.
    """
    rules = tracking or Tracking()
    every = max(1, -(-MINUTE // metric.step))
    count = -(-len(metric) // every)
    loads = _means(metric.values, every)[:count]
    least = np.full(count, np.nan) if floor is None else floor[::every]
    group = _Group.of(count, len(targets), initial=initial, lag=lag_of(startup, metric.step), every=every)
    alarms = _Alarms.of(targets, metric.step * every, rules.low)
    lows = np.minimum(_needed(np.nan_to_num(least)[:, None], targets), highest)
    why = np.full((count, len(targets)), NONE, np.int8)
    seen = np.concatenate([[before], loads[:-1]])
    peak = seen if rules.is_hasty else _peaks(seen, alarms.lows)
    for place in range(count):
        size = group.size
        wish = size
        if place:
            is_high, is_low = alarms.after(seen[place], group.served(place - 1))
            wish = np.where(is_high, np.maximum(size, _needed(seen[place], targets)), size)
            is_let = is_low & ~group.is_warming(place)
            wish = np.where(is_let, np.minimum(size, _needed(peak[place], targets)), wish)
        wish = np.maximum(np.minimum(wish, highest), lowest)
        now = np.maximum(wish, lows[place])
        why[place] = _why(size, wish, now)
        group.take(place, now)
    asked = np.repeat(group.asked, every, axis=0)[: len(metric)]
    return Asked(initial=initial, sizes=asked.astype(np.int64), seen=seen, peak=peak, floor=least, why=why, every=every)


def log_of(asked: Asked, place: int, target: float) -> Log:
    """What was decided with the target at that place, step by step, in words."""
    log = Log.of(len(asked.sizes))
    needs = _needed(np.nan_to_num(asked.floor), np.array(target)).tolist()
    before = asked.initial
    for minute, first in enumerate(range(0, len(asked.sizes), asked.every)):
        size, seen, floor = int(asked.sizes[first, place]), float(asked.seen[minute]), float(asked.floor[minute])
        is_held = needs[minute] >= size  # by the forecast
        here = slice(first, min(first + asked.every, len(asked.sizes)))
        count = here.stop - here.start
        log.demand[here] = [floor if is_held else seen] * count
        log.source[here] = ["Forecast" if is_held else "Seen"] * count
        log.steps[here] = [f"stays at {size}"] * count
        if size != before:
            why = int(asked.why[minute, place])
            load = {HIGH_ALARM: seen, LOW_ALARM: float(asked.peak[minute]), FORECAST: floor}[why]
            words = f"{_TOLD[why]} {load:.4g} / {target:.4g} per replica needs {_needed(load, np.array(target)):.0f}"
            log.steps[first] = f"{before} -> {size}: {words}" + _HELD * (is_held and why == LOW_ALARM)
        before = size
    return log


def _why(size: Floats, wish: Floats, now: Floats) -> NDArray[np.int8]:
    """What changed it: the wish is that of the alarms, what is more than that is the forecast's."""
    up = np.where(now > wish, FORECAST, HIGH_ALARM)
    found: NDArray[np.int8] = np.where(now > size, up, np.where(now < size, LOW_ALARM, NONE)).astype(np.int8)
    return found


@dataclass(slots=True, kw_only=True, eq=False)
class _Alarms:
    """CloudWatch's two alarms on the load per replica in service, for each target [k]."""

    targets: Floats
    low: float
    highs: int
    lows: int
    above: Ints
    below: Ints

    @classmethod
    def of(cls, targets: Floats, period: timedelta, low: float) -> _Alarms:
        none = np.zeros(len(targets), np.int64)
        highs, lows = (-(-after // period) for after in (HIGH_AFTER, LOW_AFTER))
        return cls(targets=targets, low=low, highs=highs, lows=lows, above=none, below=none)

    def after(self, load: float, served: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which alarms are on, high and low, after a minute's mean load, which met `served` replicas on average.

        Where the load is not known (NaN) neither is.
        """
        self.above = np.where(load > (served + ROUNDING) * self.targets, self.above + 1, 0)
        self.below = np.where(load < self.low * served * self.targets, self.below + 1, 0)
        return self.above >= self.highs, self.below >= self.lows


@dataclass(slots=True, kw_only=True, eq=False)
class _Group:
    """The sizes so far, float64 [before + m, k], and how many of them serve, which start in `lag` steps."""

    asked_ever: Floats
    before: int
    offsets: list[tuple[int, float]]
    size: Floats

    @classmethod
    def of(cls, count: int, targets: int, *, initial: int, lag: int, every: int) -> _Group:
        back = [(step - lag) // every for step in range(every)]
        before = -back[0]
        return cls(
            asked_ever=np.full((before + count, targets), float(initial)),
            before=before,
            offsets=[(one, back.count(one) / every) for one in sorted(set(back))],
            size=np.full(targets, float(initial)),
        )

    @property
    def asked(self) -> Floats:
        return self.asked_ever[self.before :]

    def take(self, place: int, size: Floats) -> None:
        self.asked_ever[self.before + place] = self.size = size

    def served(self, place: int) -> Floats:
        """How many served in that minute, on average over its steps."""
        here = self.before + place + 1
        found = np.zeros(len(self.size))
        for back, share in self.offsets:
            found += share * self.asked_ever[here - 1 + back : here].min(axis=0)
        return found

    def is_warming(self, place: int) -> NDArray[np.bool_]:
        """Whether any has not begun to serve when that minute begins."""
        here, back = self.before + place, self.offsets[0][0]
        if not back:
            return np.zeros(len(self.size), np.bool_)
        found: NDArray[np.bool_] = self.asked_ever[here + back : here].min(axis=0) < self.size
        return found


def _means(values: Floats, every: int) -> Floats:
    """Of what is known of each `every` steps, NaN where nothing is."""
    padded = np.pad(values, (0, -len(values) % every), constant_values=np.nan).reshape(-1, every)
    known = np.isfinite(padded)
    sums = np.where(known, padded, 0.0).sum(axis=1)
    found: Floats = np.divide(sums, known.sum(axis=1), out=np.full(len(padded), np.nan), where=known.any(axis=1))
    return found


def _peaks(seen: Floats, count: int) -> Floats:
    """The highest of each and the `count` - 1 before it, as far as they are known."""
    padded = np.concatenate([np.full(count - 1, -np.inf), np.where(np.isfinite(seen), seen, -np.inf)])
    highest = np.lib.stride_tricks.sliding_window_view(padded, count).max(axis=1)
    return np.where(np.isfinite(highest), highest, np.nan)


def _needed(load: float | Floats, targets: Floats) -> Floats:
    found: Floats = np.ceil(np.minimum(load / targets, MOST) - ROUNDING)
    return found
