"""Which arm of an experiment decides now, and what did each window cost? A switchback as data that survives a restart.

Time is cut into windows of equal length, counted from the start. Two windows make a pair, one for each arm; a hash,
which is nobody's clock and nobody's choice, says which of them comes first. The beginning of a window still shows the
sizes of the arm before, so it is washed out: it decides, and does not count. Must not decide a size, nor judge the
difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from controller.core.memory import Memory, MemoryFormatError, Steering
from controller.core.policy import Policy
from controller.core.replicas import is_too_much

VERSION = 1
PAIR = 2  # windows


class Arm(StrEnum):
    """What decides in a window of an experiment: what is seen alone, or the forecast as well."""

    REACTIVE = "reactive"
    PREDICTIVE = "predictive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How mode Experiment compares: so many windows of this length, each decided by one of two arms.

    The arms may be the same: an A/A test, which should find no difference.
    """

    windows: int
    window_length: timedelta
    arms: tuple[Arm, Arm]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one window came to, over the part of it that counts.

    `known`: seconds with a known load. In these: `replicas`: replica-seconds asked for; `needed`: replica-seconds
    that the load itself called for, a share of a replica included; `short`: seconds with more load than the ready
    replicas serve well; `changes`: of size.
    """

    known: float = 0.0
    replicas: float = 0.0
    needed: float = 0.0
    short: float = 0.0
    changes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen at `now`, of the time since the last sight. `load`: metric's unit, None where it is not known.

    `size`: replicas asked for, `ready`: those of them that have had the time to start; both before this decision.
    """

    now: datetime
    load: float | None
    size: int
    ready: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A running or ended experiment.

    `identity`: of the scaler and of all that is compared; another one is another experiment. `start`: of the first
    window. `reactive`: what the reactive arm has learnt of its own sizes; the predictive one's is in the Memory.
    `time`, `size`: of the last sight; None where the time until the next one must not count. `tallies`: by window, as
    far as time has come. `is_ended`: all windows are over.
    """

    identity: str
    plan: Plan
    start: datetime
    reactive: Steering
    time: datetime | None = None
    size: int | None = None
    tallies: tuple[Tally, ...] = ()
    is_ended: bool = False

    @property
    def end(self) -> datetime:
        """When the last window ends."""
        return self.start + self.plan.windows * self.plan.window_length

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal Experiment back, to a tenth of a second."""
        return {
            "version": VERSION,
            "identity": self.identity,
            "plan": [self.plan.windows, self.plan.window_length.total_seconds(), *self.plan.arms],
            "start": self.start.isoformat(),
            "reactive": _steering_to_json(self.reactive),
            "time": self.time and self.time.isoformat(),
            "size": self.size,
            "tallies": [_numbers(tally) for tally in self.tallies],
            "isEnded": self.is_ended,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_json` writes; raises MemoryFormatError for anything else."""
        if raw.get("version") != VERSION:
            raise MemoryFormatError(
                f"version {raw.get('version')!r} of an experiment is not known; this release reads {VERSION}"
            )
        try:
            return cls(
                identity=str(raw["identity"]),
                plan=_plan(*raw["plan"]),
                start=_time(raw["start"]),
                reactive=_steering_from_json(raw["reactive"]),
                time=None if raw["time"] is None else _time(raw["time"]),
                size=None if raw["size"] is None else int(raw["size"]),
                tallies=tuple(_tally(*numbers) for numbers in raw["tallies"]),
                is_ended=bool(raw["isEnded"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MemoryFormatError(f"the stored experiment is malformed: {error!r}") from error


def begun(now: datetime, identity: str, plan: Plan, steering: Steering) -> Experiment:
    """An experiment whose first window begins now.

    `steering`: what was learnt so far. The reactive arm keeps its headroom and learns the rest anew, since the sizes
    that it was learnt from were made with the forecast.
    """
    return Experiment(
        identity=identity,
        plan=plan,
        start=now,
        reactive=Steering(
            headroom=steering.headroom, time=steering.time, needed=steering.needed, objective=steering.objective
        ),
    )


def window_at(experiment: Experiment, now: datetime) -> int | None:
    """The number of the window, from 0, that `now` is in; None after the last one. Before the first it is the first."""
    if experiment.is_ended or now >= experiment.end:
        return None
    return max(0, (now - experiment.start) // experiment.plan.window_length)


def window_end(experiment: Experiment, window: int) -> datetime:
    """When a window ends."""
    return experiment.start + (window + 1) * experiment.plan.window_length


def side(experiment: Experiment, window: int) -> int:
    """Which of the plan's two arms a window is for, 0 or 1: each once in every pair, by a coin which first."""
    coin = hashlib.sha256(f"{experiment.identity}/{experiment.start.isoformat()}/{window // PAIR}".encode())
    return (coin.digest()[0] & 1) ^ (window % PAIR)


def arm_at(experiment: Experiment, now: datetime) -> Arm:
    """Who decides now. After the end: the forecast as well, unless it was not among the arms."""
    window, arms = window_at(experiment, now), experiment.plan.arms
    if window is not None:
        return arms[side(experiment, window)]
    return Arm.PREDICTIVE if Arm.PREDICTIVE in arms else Arm.REACTIVE


def wash_out(plan: Plan, policy: Policy) -> timedelta:
    """How long a window shows the sizes of the one before: until what it asks for is ready and what it found may go.

    At most half a window, since a window that is all wash-out would measure nothing.
    """
    return min(_settling(policy), plan.window_length / 2)


def is_cut_short(plan: Plan, policy: Policy) -> bool:
    """Whether windows are so short that the sizes of the arm before still show in what counts."""
    return _settling(policy) > plan.window_length / 2


def is_washed_out(policy: Policy, experiment: Experiment, now: datetime) -> bool:
    """Whether what is seen now is of the arm that decides now."""
    return (now - experiment.start) % experiment.plan.window_length >= wash_out(experiment.plan, policy)


def tallied(policy: Policy, experiment: Experiment, sight: Sight) -> Experiment:
    """The experiment after one more sight, and ended when the last window is over.

    The time since the last sight counts with what is seen now, as load and replicas met in it; where that is longer
    than a load stays fresh, began in the wash-out or in another window, or the load is not known, it does not count.
    """
    window = _counted_window(policy, experiment, sight)
    tallies = _reaching(experiment, sight.now)
    if window is not None and experiment.time is not None and sight.load is not None:
        tally = _met(policy, sight, sight.load, (sight.now - experiment.time).total_seconds())
        tally = replace(tally, changes=int(experiment.size not in {None, sight.size}))
        tallies = (*tallies[:window], _sum(tallies[window], tally), *tallies[window + 1 :])
    return replace(
        experiment,
        time=sight.now,
        size=sight.size,
        tallies=tallies,
        is_ended=experiment.is_ended or sight.now >= experiment.end,
    )


def interrupted(experiment: Experiment) -> Experiment:
    """The experiment where nobody knows who decides until the next sight: that time does not count."""
    return replace(experiment, time=None, size=None)


def _settling(policy: Policy) -> timedelta:
    return policy.window + policy.scale_down.stabilization


def _counted_window(policy: Policy, experiment: Experiment, sight: Sight) -> int | None:
    began = experiment.time
    if began is None or sight.load is None or sight.size == 0 or not began < sight.now <= began + policy.max_age:
        return None
    window = window_at(experiment, began)
    if window is None or began < experiment.start or not is_washed_out(policy, experiment, began):
        return None
    return window if sight.now <= window_end(experiment, window) else None


def _reaching(experiment: Experiment, now: datetime) -> tuple[Tally, ...]:
    """The tallies with an empty one for each window that began since."""
    window = window_at(experiment, now)
    begun_by_now = experiment.plan.windows if window is None else window + 1
    return (*experiment.tallies, *[Tally()] * (begun_by_now - len(experiment.tallies)))


def _met(policy: Policy, sight: Sight, load: float, seconds: float) -> Tally:
    """So many seconds in which this load met these replicas."""
    needed = min(max(load / policy.target_per_replica, policy.min_replicas), policy.max_replicas)
    is_short = is_too_much(load, sight.ready, policy)
    return Tally(known=seconds, replicas=seconds * sight.size, needed=seconds * needed, short=seconds * is_short)


def _sum(one: Tally, other: Tally) -> Tally:
    return Tally(
        known=one.known + other.known,
        replicas=one.replicas + other.replicas,
        needed=one.needed + other.needed,
        short=one.short + other.short,
        changes=one.changes + other.changes,
    )


def _numbers(tally: Tally) -> list[float]:
    sums = (tally.known, tally.replicas, tally.needed, tally.short)
    return [*(round(number, 1) for number in sums), tally.changes]


def _tally(known: float, replicas: float, needed: float, short: float, changes: int) -> Tally:
    return Tally(
        known=float(known), replicas=float(replicas), needed=float(needed), short=float(short), changes=int(changes)
    )


def _plan(windows: int, seconds: float, first: str, second: str) -> Plan:
    return Plan(windows=int(windows), window_length=timedelta(seconds=seconds), arms=(Arm(first), Arm(second)))


def _steering_to_json(steering: Steering) -> dict[str, Any]:
    """As the memory keeps it, whatever that is."""
    return dict(Memory(steering=steering).to_json()["steering"])


def _steering_from_json(raw: Mapping[str, Any]) -> Steering:
    return Memory.from_json({**Memory().to_json(), "steering": raw}).steering


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return time
