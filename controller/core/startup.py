"""How long does a replica take to be ready? Learnt from pods: from when each was created to when it was first Ready.

The answer is the 95th percentile of the last start-ups of the newest pod template. A pod that still waits is a lower
bound and no more (right-censored; Kaplan and Meier 1958, "Nonparametric Estimation from Incomplete Observations").
Must not list pods, nor know the time: `now` is an argument. Why each rule is as it is: docs/decisions/0011.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from controller.core.series import EPOCH

VERSION = 1
LEVEL = 0.95
ENOUGH = 5
"""With fewer start-ups of a template, what was seen can lengthen the lead time and not shorten it."""

KEPT = 40
"""So many of the last start-ups are kept; from 20 on, the slowest of all is no longer the 95th percentile."""

LONGEST = timedelta(hours=6)
"""What takes longer is no start-up; the longest lead time of a spec."""

PROGRESS = timedelta(minutes=10)
"""The default of a Deployment's progressDeadlineSeconds, after which Kubernetes itself speaks of no progress."""

_RESOLUTION = timedelta(seconds=1)  # of the API's times, which are cut: a start-up may have taken so much longer
_KEY_LENGTH = 8  # hex digits of a uid: 32 random bits tell 80 pods apart
_ROUNDING = 1e-9


class StartUpsFormatError(ValueError):
    """The stored start-ups cannot be read; whoever reads them starts afresh and says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod that runs or is about to. `ready`: when it became Ready the last time, None while it starts.

    `template`: names the pod template that it was made from; empty where nothing does. `is_first`: `ready` is known to
    be the first time, as of an instance of an Auto Scaling group, which is told here as a pod.
    """

    uid: str
    template: str
    created: datetime
    ready: datetime | None
    is_first: bool = False

    @property
    def key(self) -> str:
        """What it is remembered by."""
        return self.uid[:_KEY_LENGTH]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUp:
    """A start-up that was completed at `ready`."""

    key: str
    template: str
    ready: datetime
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A pod that was not Ready yet when it was last seen."""

    key: str
    template: str
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUps:
    """What is known of a target's start-ups, oldest first; small, and plain JSON, since pods vanish.

    `template`: that of the youngest pod seen last. `learnt`: what a template with enough start-ups took.
    """

    template: str = ""
    learnt: timedelta | None = None
    done: tuple[StartUp, ...] = ()
    waiting: tuple[Waiting, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives equal StartUps back, to the second."""
        named = {*(one.template for one in self.done), *(one.template for one in self.waiting)}
        templates = sorted({self.template, *named})
        return {
            "version": VERSION,
            "templates": templates,
            "template": templates.index(self.template),
            "learnt": None if self.learnt is None else _seconds(self.learnt),
            "done": [
                [one.key, templates.index(one.template), _seconds(one.ready - EPOCH), _seconds(one.took)]
                for one in self.done
            ],
            "waiting": [
                [one.key, templates.index(one.template), _seconds(one.created - EPOCH)] for one in self.waiting
            ],
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read what `to_json` writes; raises StartUpsFormatError for anything else."""
        if raw.get("version") != VERSION:
            raise StartUpsFormatError(f"version {raw.get('version')!r} is not known; this release reads {VERSION}")
        try:
            templates = [str(template) for template in raw["templates"]]
            return cls(
                template=templates[raw["template"]],
                learnt=None if raw["learnt"] is None else timedelta(seconds=raw["learnt"]),
                done=tuple(
                    StartUp(
                        key=str(key),
                        template=templates[index],
                        ready=EPOCH + timedelta(seconds=ready),
                        took=timedelta(seconds=took),
                    )
                    for key, index, ready, took in raw["done"]
                ),
                waiting=tuple(
                    Waiting(key=str(key), template=templates[index], created=EPOCH + timedelta(seconds=created))
                    for key, index, created in raw["waiting"]
                ),
            )
        except (IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise StartUpsFormatError(f"the stored start-ups are malformed: {error!r}") from error


class LeadTimeSource(StrEnum):
    """Who named the lead time: pods that were seen to start, the spec, or nobody yet."""

    LEARNT = "Learnt"
    SPEC = "Spec"
    DEFAULT = "Default"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadTime:
    """How long a replica takes to be ready, and how that is known.

    `samples`: completed start-ups of `template`, the newest one, that are remembered; `waiting`: its pods that were not
    Ready yet. `start_ups`: what was learnt from, to be stored; None where the spec names the lead time. `of_pods`: of
    the duration of a group's units, what the pods on them need once the units serve.
    """

    duration: timedelta
    source: LeadTimeSource
    samples: int = 0
    waiting: int = 0
    template: str = ""
    start_ups: StartUps | None = None
    of_pods: timedelta = timedelta(0)

    @classmethod
    def given(cls, duration: timedelta) -> Self:
        """That of the spec."""
        return cls(duration=duration, source=LeadTimeSource.SPEC)


def seen(now: datetime, pods: Iterable[Pod], before: StartUps) -> StartUps:
    """What is known after all of a target's pods were seen at `now`.

    The first time that a pod was Ready stands: one that is Ready once more, after it was not, tells nothing new.
    """
    past = [pod for pod in pods if pod.ready is None or pod.ready <= now]
    after = _taken_in(now, past, before) if past else replace(before, waiting=())
    took = _took(after)
    return replace(after, learnt=_quantile(took, _bounds(now, after))) if len(took) >= ENOUGH else after


def lead_time(now: datetime, start_ups: StartUps, default: timedelta) -> LeadTime:
    """What is known at `now`, 0 to 6 h, in whole seconds, upwards; `default` where nothing was learnt."""
    took, bounds = _took(start_ups), _bounds(now, start_ups)
    duration = default if start_ups.learnt is None else start_ups.learnt
    if len(took) < ENOUGH:
        duration = max(duration, _quantile(took, bounds)) if took or bounds else duration
    elif start_ups.waiting:  # else nothing has changed since it was learnt
        duration = _quantile(took, bounds)
    is_default = start_ups.learnt is None and duration == default
    return LeadTime(
        duration=timedelta(seconds=_seconds(min(duration, LONGEST))),
        source=LeadTimeSource.DEFAULT if is_default else LeadTimeSource.LEARNT,
        samples=len(took),
        waiting=len(bounds),
        template=start_ups.template,
        start_ups=start_ups,
    )


def _taken_in(now: datetime, past: Sequence[Pod], before: StartUps) -> StartUps:
    waited = {one.key for one in before.waiting}
    known = {one.key: one for one in before.done}
    for pod in past:
        start_up = _start_up(pod, has_waited=pod.key in waited)
        if start_up is not None:
            known.setdefault(pod.key, start_up)
    waiting = [pod for pod in past if pod.ready is None and pod.key not in known and now - pod.created <= LONGEST]
    return replace(
        before,
        template=max(past, key=lambda pod: (pod.created, pod.uid)).template,
        done=tuple(sorted(known.values(), key=lambda one: (one.ready, one.key))[-KEPT:]),
        waiting=tuple(
            Waiting(key=pod.key, template=pod.template, created=pod.created)
            for pod in sorted(waiting, key=lambda pod: (pod.created, pod.uid))[:KEPT]
        ),
    )


def _start_up(pod: Pod, *, has_waited: bool) -> StartUp | None:
    """None where the times tell no start-up.

    Clocks of different machines may differ: what ended before it began says nothing. And a pod that lost Ready and got
    it again looks like one that took long, so longer than PROGRESS is believed only of one that was seen to wait, or
    whose time is known to be the first.
    """
    if pod.ready is None or pod.ready < pod.created:
        return None
    took = pod.ready - pod.created + _RESOLUTION
    if took > (LONGEST if has_waited or pod.is_first else PROGRESS):
        return None
    return StartUp(key=pod.key, template=pod.template, ready=pod.ready, took=took)


def _took(start_ups: StartUps) -> list[timedelta]:
    return [one.took for one in start_ups.done if one.template == start_ups.template]


def _bounds(now: datetime, start_ups: StartUps) -> list[timedelta]:
    """How long those that wait will take at least. Beyond PROGRESS a pod may wait for ever, and says no more."""
    return [
        min(now - one.created, PROGRESS)
        for one in start_ups.waiting
        if one.template == start_ups.template and now - one.created <= LONGEST
    ]


def _quantile(took: Sequence[timedelta], bounds: Sequence[timedelta]) -> timedelta:
    """The shortest time within which a share LEVEL is ready; the longest there is where none is that long.

    Kaplan and Meier's product limit; what ends at the same time as a bound ends before it.
    """
    at_risk = len(took) + len(bounds)
    waits = 1.0
    ends = sorted([*((end, False) for end in took), *((bound, True) for bound in bounds)])
    for end, is_bound in ends:
        if not is_bound:
            waits *= (at_risk - 1) / at_risk
            if waits <= 1.0 - LEVEL + _ROUNDING:
                return end
        at_risk -= 1
    return ends[-1][0]


def _seconds(duration: timedelta) -> int:
    """Whole seconds, upwards."""
    return -(-duration // _RESOLUTION)
