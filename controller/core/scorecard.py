"""What would a scaler have cost and missed, beside what the workload had: over a day, a week and two, and is it better?

Sums in buckets of an hour for the last day and of eight hours before, so that two weeks fit into a status. Time of
which nothing is known is in no sum. Must not know how the figures came about: `shadow` does, or a replay of the past.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from controller.core.series import EPOCH, floor_to_step

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
COARSE = timedelta(hours=8)
"""Buckets of older time. A window that ends within one takes its share: at most 8 h of 7 days are guessed so."""

WINDOWS = (DAY, 7 * DAY, 14 * DAY)
ENOUGH = DAY
"""A verdict needs a day of known time: no day's traffic is known from less."""

EQUAL = 0.02
"""Replica-hours that differ by less are no reason to change anything."""

SPARED = timedelta(minutes=1) / DAY
"""Under-provisioned time that differs by less, a minute a day, is the same: four samples of the default interval."""

LEEWAY = 1.1
"""An objective counts as met up to a tenth above it: it is steered to, so the figure lies on both sides of it."""

WORTH_COST = 1.25
WORTH_SHORTAGE = 0.5
"""Without an objective a quarter more replica-hours are worth it if they save half of the under-provisioned time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sums over the `known` seconds: replica-seconds, and seconds in which the load was too much for what was ready.

    `own`: what the scaler would have had; `actual`: what the workload had.
    """

    known: float = 0.0
    own_replicas: float = 0.0
    own_short: float = 0.0
    actual_replicas: float = 0.0
    actual_short: float = 0.0

    @classmethod
    def of(cls, rows: Iterable[Sequence[float]]) -> Self:
        """The sum of such as `sums` gives."""
        known, own_replicas, own_short, actual_replicas, actual_short = map(sum, zip(_NOTHING, *rows, strict=True))
        return cls(
            known=known,
            own_replicas=own_replicas,
            own_short=own_short,
            actual_replicas=actual_replicas,
            actual_short=actual_short,
        )

    @property
    def sums(self) -> tuple[float, ...]:
        """All five, in the order in which they are stored."""
        return self.known, self.own_replicas, self.own_short, self.actual_replicas, self.actual_short


_NOTHING = (0.0,) * 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What came within (start, start + length]."""

    start: datetime
    length: timedelta
    tally: Tally

    @property
    def end(self) -> datetime:
        """The last moment that is in it."""
        return self.start + self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """The sums of the last two weeks. `since`: when the first of all came; `buckets`: oldest first, none empty."""

    since: datetime | None = None
    buckets: tuple[Bucket, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal Scorecard back."""
        return {
            **({} if self.since is None else {"since": self.since.isoformat()}),
            "fine": [_row(one) for one in self.buckets if one.length == HOUR],
            "coarse": [_row(one) for one in self.buckets if one.length == COARSE],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_json` writes; raises KeyError, TypeError or ValueError for anything else."""
        buckets = [*(_bucket(row, COARSE) for row in raw["coarse"]), *(_bucket(row, HOUR) for row in raw["fine"])]
        since = raw.get("since")
        return cls(since=since and datetime.fromisoformat(since), buckets=tuple(buckets))


def added(card: Scorecard, now: datetime, tally: Tally) -> Scorecard:
    """Take in what came until `now`; what is older than two weeks goes, and hours of before the last day are merged.

    All of it belongs to the bucket of `now`, also what began in the one before.
    """
    if tally.known == 0.0:
        return card
    start = floor_to_step(now - timedelta.resolution, HOUR)
    kept = [one for one in card.buckets if one.start <= start]  # later ones: the clock was put back
    if kept and kept[-1].start == start and kept[-1].length == HOUR:
        tally = Tally.of([kept.pop().tally.sums, tally.sums])
    else:
        kept = _aged(kept, now)
    newest = Bucket(start=start, length=HOUR, tally=tally)
    return Scorecard(since=card.since or now, buckets=(*kept, newest))


def total(card: Scorecard, now: datetime, window: timedelta) -> Tally:
    """The sums of (now - window, now]; of a bucket that began before, the share that lies within."""
    since = now - window
    return Tally.of(_within(bucket, since) for bucket in card.buckets if bucket.end > since)


def _within(bucket: Bucket, since: datetime) -> Sequence[float]:
    if bucket.start >= since:
        return bucket.tally.sums
    share = (bucket.end - since) / bucket.length
    return [share * one for one in bucket.tally.sums]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether to let the scaler act. None: not known yet. `reason`: one CamelCase word; `message`: with the figures."""

    is_recommended: bool | None
    reason: str
    message: str


def verdict(tally: Tally, objective: float | None, against: str) -> Verdict:
    """Judge the sums of the longest window. `objective`: in (0, 1); `against`: whose sizes the actual ones are.

    The rule, in this order (docs/guide/grade.md): less than a day is known: unknown. More under-provisioned time than
    now, and than the objective allows: no. Fewer replica-hours: yes. Less under-provisioned time where there is too
    much: yes, if an objective is met so or the cost is worth it. Else no: it gains nothing, or costs more.
    """
    if tally.known < ENOUGH.total_seconds():
        hours = tally.known / HOUR.total_seconds()
        words = f"{hours:.3g} hours are known, {ENOUGH / HOUR:g} are needed"
        return Verdict(is_recommended=None, reason="NotYetKnown", message=words)
    is_recommended, reason, words = _judged(tally, objective)
    return Verdict(is_recommended=is_recommended, reason=reason, message=f"{words}: {_figures(tally, against)}")


def _judged(tally: Tally, objective: float | None) -> tuple[bool, str, str]:
    allowed = 0.0 if objective is None else LEEWAY * objective * tally.known
    spared = SPARED * tally.known
    cost = tally.own_replicas / tally.actual_replicas if tally.actual_replicas else math.inf
    if tally.own_short > max(tally.actual_short + spared, allowed):
        return False, "WouldBeShort", "it would be under-provisioned for longer"
    if cost <= 1.0 - EQUAL:
        is_shorter = tally.own_short > tally.actual_short + spared
        gain = "still meet the objective" if is_shorter else "be under-provisioned for no longer"
        return True, "SavesReplicas", f"it would need fewer replica-hours and {gain}"
    if tally.actual_short > max(tally.own_short, allowed) + spared:
        return _relieved(tally, allowed, cost, has_objective=objective is not None)
    if cost <= 1.0 + EQUAL:
        return False, "NoGain", "it would be about the same"
    return False, "CostsMore", "it would need more replica-hours, and what is there is good enough"


def _relieved(tally: Tally, allowed: float, cost: float, *, has_objective: bool) -> tuple[bool, str, str]:
    """The workload is short too often, and would be less so."""
    if has_objective and tally.own_short <= allowed:
        return True, "MeetsObjective", "it would meet the objective, which is missed now"
    if cost <= 1.0 + EQUAL:
        return True, "SavesShortage", "it would be under-provisioned for less time at no more replica-hours"
    if cost <= WORTH_COST and tally.own_short <= WORTH_SHORTAGE * tally.actual_short:
        return True, "SavesShortage", "it would save more under-provisioned time than the replica-hours it adds"
    return False, "CostsMore", "what it saves in under-provisioned time would cost too many replica-hours"


def _figures(tally: Tally, against: str) -> str:
    own, actual = tally.own_replicas / HOUR.total_seconds(), tally.actual_replicas / HOUR.total_seconds()
    days = tally.known / DAY.total_seconds()
    return (
        f"{own:,.1f} replica-hours and {tally.own_short / 60:,.1f} under-provisioned minutes, "
        f"against {actual:,.1f} and {tally.actual_short / 60:,.1f} of {against}, in {days:.1f} known days"
    )


def _aged(buckets: Sequence[Bucket], now: datetime) -> list[Bucket]:
    """Without what left the longest window, and with the hours merged that left the shortest one all together."""
    aged: list[Bucket] = []
    for bucket in buckets:
        if bucket.end <= now - WINDOWS[-1]:
            continue
        coarse = replace(bucket, start=floor_to_step(bucket.start, COARSE), length=COARSE)
        if coarse.end > now - WINDOWS[0]:
            aged.append(bucket)
        elif aged and aged[-1].start == coarse.start:
            aged[-1] = replace(coarse, tally=Tally.of([aged[-1].tally.sums, coarse.tally.sums]))
        else:
            aged.append(coarse)
    return aged


def _row(bucket: Bucket) -> list[int | float]:
    """Hours since 1970, and the sums."""
    return [(bucket.start - EPOCH) // HOUR, *(_short(one) for one in bucket.tally.sums)]


def _short(number: float) -> int | float:
    """Whole numbers as such, which is most of them."""
    return int(number) if number == int(number) else number


def _bucket(row: Sequence[float], length: timedelta) -> Bucket:
    hours, known, own_replicas, own_short, actual_replicas, actual_short = row
    tally = Tally(
        known=float(known),
        own_replicas=float(own_replicas),
        own_short=float(own_short),
        actual_replicas=float(actual_replicas),
        actual_short=float(actual_short),
    )
    if not all(math.isfinite(one) and one >= 0.0 for one in tally.sums):
        raise ValueError(f"a sum of time cannot be {row}")
    return Bucket(start=EPOCH + hours * HOUR, length=length, tally=tally)
