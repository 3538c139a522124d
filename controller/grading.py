"""How does the score of a scaler in mode Observe go on from tick to tick, and over a restart?

`core.shadow` has the sizes and `core.scorecard` the sums; here it is said when they begin anew. Must not read the
target nor make a decision: the cycle does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Self

from controller.core.memory import Memory
from controller.core.policy import Policy
from controller.core.scorecard import WINDOWS, Scorecard, Tally, Verdict, added, total, verdict
from controller.core.shadow import Shadow, decided, judged, meet
from controller.spec import ScalerSpec

VERSION = 1
WORKLOAD = "the workload as it is"
_MARK_LENGTH = 12
_MOST_MARKS = 4096  # that are remembered: making one takes as long as all else here


class GradeFormatError(ValueError):
    """The stored score cannot be read; whoever reads it starts afresh and says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """A scaler's score so far.

    `time`: of the last tick that was counted; `totals`: the sums of each of WINDOWS that ends then. `shadow`: None
    while the mode is another one. `against`: who else sets the workload's size, in words. `objective`: as in the spec.
    `target`, `rules`: marks of what the shadow is of, and of what the sums were made under.
    """

    target: str
    rules: str
    card: Scorecard = field(default_factory=Scorecard)
    shadow: Shadow | None = None
    time: datetime | None = None
    totals: tuple[Tally, ...] = ()
    against: str | None = None
    objective: float | None = None

    def counted(self, card: Scorecard, now: datetime) -> Self:
        """With these sums, at `now`."""
        return replace(self, card=card, time=now, totals=tuple(total(card, now, window) for window in WINDOWS))

    def windows(self) -> dict[timedelta, Tally]:
        """The sums of each window that ends with `time`, shortest first; empty before the first tick."""
        return dict(zip(WINDOWS, self.totals, strict=False))

    def verdict(self) -> Verdict:
        """Whether the scaler should act, by all that is known of the last two weeks."""
        return verdict(self.totals[-1] if self.totals else Tally(), self.objective, self.against or WORKLOAD)

    def to_json(self) -> dict[str, Any]:
        """What a restart goes on from; `from_json` gives an equal Grade back, but for the objective of the spec."""
        known = {
            "time": self.time and self.time.isoformat(),
            "against": self.against,
            "shadow": self.shadow and self.shadow.to_json(),
        }
        return {
            "version": VERSION,
            "target": self.target,
            "rules": self.rules,
            "card": self.card.to_json(),
            **{name: value for name, value in known.items() if value is not None},  # a merge patch drops every null
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_json` writes; raises GradeFormatError for anything else."""
        if raw.get("version") != VERSION:
            raise GradeFormatError(f"version {raw.get('version')!r} is not known; this release reads {VERSION}")
        try:
            grade = cls(
                target=str(raw["target"]),
                rules=str(raw["rules"]),
                shadow=Shadow.from_json(raw["shadow"]) if "shadow" in raw else None,
                against=raw.get("against"),
            )
            card, time = Scorecard.from_json(raw["card"]), raw.get("time")
            return grade.counted(card, datetime.fromisoformat(time)) if time else grade
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise GradeFormatError(f"the stored score is malformed: {error!r}") from error


def watched(grade: Grade | None, now: datetime, found: int, spec: ScalerSpec, policy: Policy) -> tuple[Grade, Shadow]:
    """The score at the beginning of a tick, and the shadow from whose `own.size` the decision is to be made.

    `found`: the workload's size. `policy`: with the lead time that holds now. Another target begins with its own size;
    other rules, or another load, begin with no score, since the old one would be praise for what is no more. A lead
    time that is learnt anew, and a model that is trained anew, are part of what is graded.
    """
    target, rules = _mark(spec.target), _rules(spec)
    if grade is None:
        grade = Grade(target=target, rules=rules)
    if grade.target != target:
        grade = replace(grade, shadow=None)
    if (grade.target, grade.rules) != (target, rules):
        grade = replace(grade, target=target, rules=rules, card=Scorecard(), time=None, totals=())
    shadow = meet(grade.shadow, now, found, policy)
    return replace(grade, shadow=shadow, objective=policy.objective), shadow


def settled(
    grade: Grade, now: datetime, seen: float | None, replicas: int, policy: Policy, against: str | None
) -> Grade:
    """The score at the end of a tick. `seen`: the load, None where it is missing; `replicas`: what was decided."""
    if grade.shadow is None:
        return grade
    card = added(grade.card, now, judged(grade.shadow, now, seen, policy))
    shadow = decided(grade.shadow, now, replicas, policy)
    return replace(grade, shadow=shadow, against=against).counted(card, now)


def told(windows: Mapping[timedelta, Tally]) -> list[dict[str, Any]]:
    """The sums in hours, to a hundredth, and minutes, to a tenth, as in `.status.grade.windows`."""
    return [
        {
            "window": f"{window.days}d",
            "knownHours": round(tally.known / 3600.0, 2),
            "own": _side(tally.own_replicas, tally.own_short),
            "actual": _side(tally.actual_replicas, tally.actual_short),
        }
        for window, tally in windows.items()
    ]


def _side(replica_seconds: float, short_seconds: float) -> dict[str, float]:
    return {
        "replicaHours": round(replica_seconds / 3600.0, 2),
        "underProvisionedMinutes": round(short_seconds / 60.0, 1),
    }


def unwatched(grade: Grade, memory: Memory) -> tuple[Grade, Memory]:
    """Another mode than Observe: the score waits, and the sizes that only the shadow had are forgotten."""
    if grade.shadow is None:
        return grade, memory
    return replace(grade, shadow=None), replace(memory, size=None, changes=(), direction=0, turns=())


@lru_cache(maxsize=_MOST_MARKS)
def _rules(spec: ScalerSpec) -> str:
    policy = replace(spec.policy, lead_time=timedelta(0)) if spec.lead_time_auto else spec.policy
    return _mark((*spec.metric.load, policy))


@lru_cache(maxsize=_MOST_MARKS)
def _mark(what: object) -> str:
    """Equal for what is written equally; a status has no room for more."""
    return hashlib.sha256(repr(what).encode()).hexdigest()[:_MARK_LENGTH]
