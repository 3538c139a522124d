"""What must survive a restart? Small, versioned, plain data that lives in `.status.memory`.

Must not decide anything: it only remembers what the other parts of the core hand it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

VERSION = 2
_RELATIVE = 1  # where the correction was a share of the load: it is dropped, all else is the same


class MemoryFormatError(ValueError):
    """The stored memory cannot be read; whoever reads it starts afresh and says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeChange:
    """The target went from one size to another at about `time`; `change` is signed replicas."""

    time: datetime
    change: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What the load asked for at `time`, before any rail."""

    time: datetime
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A forecast waiting for the truth about the step that ends at `time` (loads in the metric's unit).

    `upper`: what was prepared for. `persistence`, `seasonal`: the naive forecasts; None where there was none.
    `has_band`: whether a correction could have moved `upper`, so that its truth says something of the correction.
    """

    time: datetime
    upper: float
    persistence: float | None
    seasonal: float | None
    has_band: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecord:
    """How the forecasts of late compare with what came.

    `loss*`: decayed sums of pinball loss; `covered`, `settled`: decayed counts of forecasts. `correction`: shift of
    the upper quantile, learnt online, in bands (`Forecast.band`). `enrolled`: the origin of the newest one taken in.
    """

    pending: tuple[Pending, ...] = ()
    enrolled: datetime | None = None
    settled: float = 0.0
    covered: float = 0.0
    loss: float = 0.0
    loss_persistence: float = 0.0
    loss_seasonal: float = 0.0
    correction: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Everything one decision leaves for the next.

    `size`: the replicas found at the last decision and when that was.
    `last_metric`: when the metric was last usable, or else first missed.
    """

    size: Recommendation | None = None
    changes: tuple[SizeChange, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    last_metric: datetime | None = None
    track: TrackRecord = field(default_factory=TrackRecord)

    def noticing(self, now: datetime, current: int, *, since: datetime, keep: timedelta) -> Self:
        """Take in the size found now; a difference from the last one becomes a change at the time of that decision.

        So a write that never happened, a restart and somebody else's scaling are all seen for what they were.
        Where that decision was before `since`, when the change came is not known, and `since` is the careful guess.
        Changes older than `keep` are forgotten.
        """
        past = self._until(now)
        changes = past.changes
        if past.size is not None and past.size.replicas != current:
            change = SizeChange(time=max(past.size.time, since), change=current - past.size.replicas)
            changes = (*changes, change)
        return replace(
            past,
            size=Recommendation(time=now, replicas=current),
            changes=tuple(change for change in changes if change.time > now - keep),
        )

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
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal Memory back."""
        track = self.track
        return {
            "version": VERSION,
            "size": self.size and [_stamp(self.size.time), self.size.replicas],
            "changes": [[_stamp(change.time), change.change] for change in self.changes],
            "recommendations": [[_stamp(one.time), one.replicas] for one in self.recommendations],
            "lastMetric": self.last_metric and _stamp(self.last_metric),
            "track": {
                "pending": [
                    [_stamp(one.time), one.upper, one.persistence, one.seasonal, int(one.has_band)]
                    for one in track.pending
                ],
                "enrolled": track.enrolled and _stamp(track.enrolled),
                **{name: getattr(track, name) for name in _SUMS},
            },
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_json` writes, or wrote in the version before; raises MemoryFormatError for anything else."""
        if raw.get("version") not in (_RELATIVE, VERSION):
            raise MemoryFormatError(
                f"version {raw.get('version')!r} is not known; this release reads {_RELATIVE} and {VERSION}"
            )
        try:
            track = _track(raw["track"]) if raw["version"] == VERSION else _relative_track(raw["track"])
            return cls(
                size=None if raw["size"] is None else _recommendation(*raw["size"]),
                changes=tuple(SizeChange(time=_time(time), change=int(change)) for time, change in raw["changes"]),
                recommendations=tuple(_recommendation(*one) for one in raw["recommendations"]),
                last_metric=_time_or_none(raw["lastMetric"]),
                track=track,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MemoryFormatError(f"the stored memory is malformed: {error!r}") from error


_SUMS = ("settled", "covered", "loss", "loss_persistence", "loss_seasonal", "correction")


def _track(raw: Mapping[str, Any]) -> TrackRecord:
    return TrackRecord(
        pending=tuple(
            Pending(
                time=_time(time),
                upper=float(upper),
                persistence=None if persistence is None else float(persistence),
                seasonal=None if seasonal is None else float(seasonal),
                has_band=bool(has_band),
            )
            for time, upper, persistence, seasonal, has_band in raw["pending"]
        ),
        enrolled=_time_or_none(raw["enrolled"]),
        **{name: float(raw[name]) for name in _SUMS},
    )


def _relative_track(raw: Mapping[str, Any]) -> TrackRecord:
    """What waits was corrected by a share of itself, so it is scored, but says nothing of the correction in bands."""
    return _track({**raw, "pending": [[*one, False] for one in raw["pending"]], "correction": 0.0})


def _recommendation(time: str, replicas: int) -> Recommendation:
    return Recommendation(time=_time(time), replicas=int(replicas))


def _stamp(time: datetime) -> str:
    return time.isoformat()


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return time


def _time_or_none(text: str | None) -> datetime | None:
    return None if text is None else _time(text)
