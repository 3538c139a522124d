"""What must survive a restart? Small, versioned, plain data that lives in `.status.memory`.

Must not decide anything: it only remembers what the other parts of the core hand it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

VERSION = 4
START_HEADROOM = 1.0 / 0.7  # as with a HorizontalPodAutoscaler at 70 %
HEADROOMS = 49  # that are told apart (`controller.core.headroom`)
TURNS_KEPT = timedelta(hours=1)  # a flap budget is by the hour
_OLD = (1, 2)  # versions whose track record spoke of other forecasts: it is dropped, all else is the same
_WITHOUT_LOADS = 3  # whose plans did not tell what was seen: they are dropped, and are made anew within minutes


class MemoryFormatError(ValueError):
    """The stored memory cannot be read; whoever reads it starts afresh and says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeChange:
    """The target went from one size to another at about `time`; `change` is signed replicas."""

    time: datetime
    change: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What the load asked for at `time`, before any rail.

    `is_held`: nothing was known of the load; the size that stood, or the fallback, was wished for instead.
    """

    time: datetime
    replicas: int
    is_held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A forecast waiting for the truth about the steps after `origin` until `time` (loads in the metric's unit).

    `upper`: what none of them should exceed. `forecast`: of the last one, at the level that is judged; `persistence`,
    `seasonal`: the naive forecasts of it, None where there was none. `has_band`: whether a correction could have moved
    `upper`, so that its truth says something of the correction.
    """

    origin: datetime
    time: datetime
    upper: float
    forecast: float
    persistence: float | None
    seasonal: float | None
    has_band: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecord:
    """How the forecasts of late compare with what came.

    `loss*`: decayed sums of pinball loss over `settled` forecasts, a decayed count. `covered`, `watched`: decayed
    counts of windows whose highest load stayed below the upper quantile, and of all. `correction`: shift of the upper
    quantile, learnt online, in bands (`Forecast.band`). `enrolled`: the origin of the newest one taken in.
    """

    pending: tuple[Pending, ...] = ()
    enrolled: datetime | None = None
    settled: float = 0.0
    watched: float = 0.0
    covered: float = 0.0
    loss: float = 0.0
    loss_persistence: float = 0.0
    loss_seasonal: float = 0.0
    correction: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What is added so that the load is short of replicas no more often than the objective allows.

    `shift`: units of the forecast's doubt added to it. `headroom`: factor on what is seen, where no forecast is
    trusted. `time`: of the newest load that was judged. `settled`, `short`: decayed counts of judged loads, and of
    those that were more than the ready replicas serve well. `needed`: decayed counts of loads by the least of HEADROOMS
    that would have been enough for them, and of those for which none was; empty as long as none is known. `objective`:
    the one that the headroom was read off for.
    """

    shift: float = 0.0
    headroom: float = START_HEADROOM
    time: datetime | None = None
    settled: float = 0.0
    short: float = 0.0
    needed: tuple[float, ...] = ()
    objective: float | None = None

    @property
    def under_provisioned(self) -> float | None:
        """The share of late loads that were too much for the ready replicas; None where none was judged."""
        return self.short / self.settled if self.settled > 0.0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What both ways of deciding asked for from about `time` on: by the `forecast`, and by reacting (replicas).

    `seen`: the load that they saw (metric's unit). `*_held`: what they had then, with what the scaleDown window held of
    earlier plans.
    """

    time: datetime
    forecast: int
    reactive: int
    forecast_held: int
    reactive_held: int
    seen: float = 0.0
    seen_held: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """What going by the forecast and reacting would each have cost.

    `plans`: of late, oldest first. `watched`: decayed sum of seconds; `*_cost`: of replica-seconds within them.
    `judged`: decayed sum of the seconds whose load is known; `*_short`: of those in which it would have been too much.
    """

    plans: tuple[Plan, ...] = ()
    watched: float = 0.0
    forecast_cost: float = 0.0
    reactive_cost: float = 0.0
    judged: float = 0.0
    forecast_short: float = 0.0
    reactive_short: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Everything one decision leaves for the next.

    `size`: the replicas found at the last decision and when that was.
    `last_metric`: when the metric was last usable, or else first missed.
    `direction`: 1 when the last change of size was up, -1 down, 0 when there was none; `turns`: when it turned.
    """

    size: Recommendation | None = None
    changes: tuple[SizeChange, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    last_metric: datetime | None = None
    track: TrackRecord = field(default_factory=TrackRecord)
    steering: Steering = field(default_factory=Steering)
    rivals: Rivals = field(default_factory=Rivals)
    direction: int = 0
    turns: tuple[datetime, ...] = ()

    def noticing(self, now: datetime, current: int, *, since: datetime, keep: timedelta) -> Self:
        """Take in the size found now; a difference from the last one becomes a change at the time of that decision.

        So a write that never happened, a restart and somebody else's scaling are all seen for what they were.
        Where that decision was before `since`, when the change came is not known, and `since` is the careful guess.
        Changes older than `keep` are forgotten.
        """
        past = self._until(now)
        changes, direction, turns = past.changes, past.direction, past.turns
        if past.size is not None and past.size.replicas != current:
            change = SizeChange(time=max(past.size.time, since), change=current - past.size.replicas)
            changes = (*changes, change)
            direction = 1 if change.change > 0 else -1
            turns = (*turns, change.time) if direction * past.direction < 0 else turns
        oldest, oldest_turn = now - keep, now - TURNS_KEPT
        return replace(
            past,
            size=Recommendation(time=now, replicas=current),
            changes=tuple([change for change in changes if change.time > oldest]),
            direction=direction,
            turns=tuple([turn for turn in turns if turn > oldest_turn]),
        )

    def smallest_since(self, time: datetime) -> int | None:
        """The fewest replicas that were asked for from just after `time` until now; None where no size is known.

        Those that have been asked for all that long have had that long to start; a younger one goes first when the size
        shrinks, as a ReplicaSet does it.
        """
        if self.size is None:
            return None
        smallest = size = self.size.replicas
        for change in reversed(self.changes):
            if change.time <= time:
                break
            size -= change.change
            smallest = min(smallest, size)
        return max(0, smallest)

    def _until(self, now: datetime) -> Self:
        """What is told of the future, since the clock was put back, counts as of now: so it runs out in its time."""
        if self.size is None or self.size.time <= now:
            return self
        return replace(
            self,
            size=replace(self.size, time=now),
            changes=tuple(replace(change, time=min(change.time, now)) for change in self.changes),
            recommendations=tuple(replace(wish, time=min(wish.time, now)) for wish in self.recommendations),
            last_metric=self.last_metric and min(self.last_metric, now),
            track=replace(self.track, pending=(), enrolled=None),
            steering=replace(self.steering, time=self.steering.time and min(self.steering.time, now)),
            rivals=replace(self.rivals, plans=()),
            turns=tuple(min(turn, now) for turn in self.turns),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal Memory back."""
        track = self.track
        return {
            "version": VERSION,
            "size": self.size and [_stamp(self.size.time), self.size.replicas],
            "changes": [[_stamp(change.time), change.change] for change in self.changes],
            "recommendations": [_told(one) for one in self.recommendations],
            "lastMetric": self.last_metric and _stamp(self.last_metric),
            "track": {
                "pending": [
                    [
                        _stamp(one.origin),
                        _stamp(one.time),
                        *(one.upper, one.forecast, one.persistence, one.seasonal, int(one.has_band)),
                    ]
                    for one in track.pending
                ],
                "enrolled": track.enrolled and _stamp(track.enrolled),
                **{name: getattr(track, name) for name in _SUMS},
            },
            "steering": {
                "time": self.steering.time and _stamp(self.steering.time),
                **{name: getattr(self.steering, name) for name in _STEERED},
                "needed": [[place, count] for place, count in enumerate(self.steering.needed) if count > 0.0],
                "objective": self.steering.objective,
            },
            "rivals": {
                "plans": [
                    [
                        _stamp(plan.time),
                        *(plan.forecast, plan.reactive, plan.forecast_held, plan.reactive_held),
                        *(plan.seen, plan.seen_held),
                    ]
                    for plan in self.rivals.plans
                ],
                **{name: getattr(self.rivals, name) for name in _COSTS},
            },
            "direction": self.direction,
            "turns": [_stamp(turn) for turn in self.turns],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_json` writes, or wrote in the versions before; raises MemoryFormatError for anything else."""
        version = raw.get("version")
        if version not in (*_OLD, _WITHOUT_LOADS, VERSION):
            raise MemoryFormatError(f"version {version!r} is not known; this release reads 1 to {VERSION}")
        try:
            known = cls(
                size=None if raw["size"] is None else _recommendation(*raw["size"]),
                changes=tuple(SizeChange(time=_time(time), change=int(change)) for time, change in raw["changes"]),
                recommendations=tuple(_recommendation(*one) for one in raw["recommendations"]),
                last_metric=_time_or_none(raw["lastMetric"]),
            )
            return known if version in _OLD else replace(known, **_since_version_3(raw))
        except (KeyError, TypeError, ValueError) as error:
            raise MemoryFormatError(f"the stored memory is malformed: {error!r}") from error


_SUMS = ("settled", "watched", "covered", "loss", "loss_persistence", "loss_seasonal", "correction")
_COSTS = ("watched", "forecast_cost", "reactive_cost", "judged", "forecast_short", "reactive_short")
_STEERED = ("shift", "headroom", "settled", "short")


def _since_version_3(raw: Mapping[str, Any]) -> dict[str, Any]:
    steering, has_loads = raw["steering"], raw["version"] != _WITHOUT_LOADS
    return {
        "track": _track(raw["track"]),
        "steering": Steering(
            time=_time_or_none(steering["time"]),
            needed=_needed(steering["needed"]) if has_loads else (),
            objective=_float_or_none(steering["objective"]) if has_loads else None,
            **{name: float(steering[name]) for name in _STEERED},
        ),
        "rivals": _rivals(raw["rivals"], has_loads=has_loads),
        "direction": int(raw["direction"]),
        "turns": tuple(_time(turn) for turn in raw["turns"]),
    }


def _needed(raw: Sequence[Any]) -> tuple[float, ...]:
    """Of most places nothing was counted, and they are not stored."""
    counts = {int(place): float(count) for place, count in raw}
    if unknown := sorted(counts.keys() - set(range(HEADROOMS + 1))):
        raise ValueError(f"no headroom has the place {unknown[0]}")
    return tuple(counts.get(place, 0.0) for place in range(HEADROOMS + 1)) if counts else ()


def _rivals(raw: Mapping[str, Any], *, has_loads: bool) -> Rivals:
    return Rivals(
        plans=tuple(_plan(*one) for one in raw["plans"]) if has_loads else (),
        **{name: float(raw[name]) for name in _COSTS},
    )


def _plan(
    time: str, forecast: int, reactive: int, forecast_held: int, reactive_held: int, seen: float, seen_held: float
) -> Plan:
    return Plan(
        time=_time(time),
        forecast=int(forecast),
        reactive=int(reactive),
        forecast_held=int(forecast_held),
        reactive_held=int(reactive_held),
        seen=float(seen),
        seen_held=float(seen_held),
    )


def _track(raw: Mapping[str, Any]) -> TrackRecord:
    return TrackRecord(
        pending=tuple(_pending(*one) for one in raw["pending"]),
        enrolled=_time_or_none(raw["enrolled"]),
        **{name: float(raw[name]) for name in _SUMS},
    )


def _pending(
    origin: str,
    time: str,
    upper: float,
    forecast: float,
    persistence: float | None,
    seasonal: float | None,
    has_band: int,
) -> Pending:
    return Pending(
        origin=_time(origin),
        time=_time(time),
        upper=float(upper),
        forecast=float(forecast),
        persistence=None if persistence is None else float(persistence),
        seasonal=None if seasonal is None else float(seasonal),
        has_band=bool(has_band),
    )


def _recommendation(time: str, replicas: int, is_held: int = 0) -> Recommendation:
    return Recommendation(time=_time(time), replicas=int(replicas), is_held=bool(is_held))


def _told(wish: Recommendation) -> list[str | int]:
    return [_stamp(wish.time), wish.replicas, *([1] if wish.is_held else [])]


def _stamp(time: datetime) -> str:
    return time.isoformat()


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return time


def _float_or_none(number: float | None) -> float | None:
    return None if number is None else float(number)


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else _time(text)
