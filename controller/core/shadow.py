"""Which size would a scaler have that is only watched, and what has the workload meanwhile?

In mode Observe the size of the workload is somebody else's doing. A decision that started from it would be graded for
that somebody: so there is a shadow, which gets what was decided, with the lead time as its start-up. Must not decide,
and must not keep score: that is `scorecard`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from controller.core.policy import Policy
from controller.core.replicas import ROUNDING
from controller.core.scorecard import Tally

MOST_STARTING = 16
"""Batches of starting replicas that are told apart; more, and the two oldest count as started with the later one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Replicas, of which those of late are still starting; the youngest go first, as a ReplicaSet does it.

    So as many are ready as there were at least since one start-up time ago. `started`: those that are ready for good.
    `starting`: when each later batch was asked for, and how many, oldest first.
    """

    started: int
    starting: tuple[tuple[datetime, int], ...] = ()

    @property
    def size(self) -> int:
        """All that were asked for."""
        return self.started + sum(count for _, count in self.starting)

    def at(self, now: datetime, startup: timedelta) -> Self:
        """The same, with whoever is up by `now`; a batch of the future, since the clock was put back, is of now."""
        done = sum(count for time, count in self.starting if time + startup <= now)
        waiting = tuple((min(time, now), count) for time, count in self.starting if time + startup > now)
        return replace(self, started=self.started + done, starting=waiting)

    def resized(self, now: datetime, size: int, startup: timedelta) -> Self:
        """From `now` on `size` are asked for. Those that can serve at once count as started."""
        fleet = self.at(now, startup)
        if size >= fleet.size:
            batch = ((now, size - fleet.size),) if size > fleet.size else ()
            return replace(fleet, starting=_few((*fleet.starting, *batch))).at(now, startup)
        left = size - fleet.started
        kept = []
        for time, count in fleet.starting:
            if left > 0:
                kept.append((time, min(count, left)))
            left -= count
        return replace(fleet, started=min(fleet.started, size), starting=tuple(kept))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal Fleet back."""
        return {"started": self.started, "starting": [[time.isoformat(), count] for time, count in self.starting]}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_json` writes; raises KeyError, TypeError or ValueError for anything else."""
        starting = tuple((_time(time), int(count)) for time, count in raw["starting"])
        return cls(started=int(raw["started"]), starting=starting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """At `time`, of the last decision: `own`, what the scaler would have; `actual`, what the workload has."""

    time: datetime
    own: Fleet
    actual: Fleet

    @classmethod
    def of(cls, now: datetime, found: int) -> Self:
        """Both begin with the size that was found, all of it ready."""
        return cls(time=now, own=Fleet(started=found), actual=Fleet(started=found))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal Shadow back."""
        return {"time": self.time.isoformat(), "own": self.own.to_json(), "actual": self.actual.to_json()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_json` writes; raises KeyError, TypeError or ValueError for anything else."""
        return cls(time=_time(raw["time"]), own=Fleet.from_json(raw["own"]), actual=Fleet.from_json(raw["actual"]))


def meet(shadow: Shadow | None, now: datetime, found: int, policy: Policy) -> Shadow:
    """The shadow beside the workload that has the size `found` now; the next decision is made from `own.size`.

    A new size of the workload counts from the last decision on, or where that is longer ago, from one interval ago: as
    in `Memory.noticing`. Whoever changes it by hand, the shadow stays as it is. But scaled to 0 is switched off, for
    both, and what is switched on again is the size to go on from. Where nobody decided for a while, the shadow kept its
    size, as a workload does whose controller is away.
    """
    if shadow is None or found == 0 or shadow.own.size == 0:
        return Shadow.of(now, found)
    time = min(shadow.time, now)
    own, actual = shadow.own.at(time, policy.lead_time), shadow.actual
    if found != actual.size:
        actual = actual.resized(max(time, now - policy.interval), found, policy.lead_time)
    return Shadow(time=time, own=own, actual=actual)


def judged(shadow: Shadow, now: datetime, load: float | None, policy: Policy) -> Tally:
    """What both had since the last decision, when the load at the end of that time was `load` (metric's unit).

    Nothing where the load is missing, where the workload was switched off, and where the last decision is so long ago
    that nobody knows what was in between: unknown time is no part of any figure.
    """
    elapsed = now - shadow.time
    if load is None or shadow.own.size == 0 or not timedelta(0) < elapsed <= policy.max_age:
        return Tally()
    seconds = elapsed.total_seconds()
    return Tally(
        known=seconds,
        own_replicas=seconds * shadow.own.size,
        own_short=seconds * is_short(load, shadow.own.at(now, policy.lead_time).started, policy),
        actual_replicas=seconds * shadow.actual.size,
        actual_short=seconds * is_short(load, shadow.actual.at(now, policy.lead_time).started, policy),
    )


def is_short(load: float, ready: int, policy: Policy) -> bool:
    """Whether the load is more than `ready` replicas should have.

    With an objective `targetPerReplica` is the most that one serves well. Without, it is what one should have, and what
    scaleUp tolerates above it is no reason to grow, so it is no shortage either.
    """
    return load / policy.target_per_replica > ready * (1.0 + spare(policy)) + ROUNDING


def spare(policy: Policy) -> float:
    """The share of `target_per_replica` above it that is no shortage yet."""
    return policy.scale_up.tolerance if policy.objective is None else 0.0


def decided(shadow: Shadow, now: datetime, replicas: int, policy: Policy) -> Shadow:
    """The shadow gets what was decided."""
    return replace(shadow, time=now, own=shadow.own.resized(now, replicas, policy.lead_time))


def _few(starting: tuple[tuple[datetime, int], ...]) -> tuple[tuple[datetime, int], ...]:
    if len(starting) <= MOST_STARTING:
        return starting
    (_, first), (time, second), *later = starting
    return (time, first + second), *later


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return time
