"""When are the start-ups of a target looked at? Seldom and in the background, whatever kind of target it is.

A look is due when the target was never looked at, when it changed since, or after REFRESH; and no sooner after the last
than that one said. No tick waits for one, and one that fails leaves what is known as it is. What the times mean is told
by `controller.core.startup`. Must not know what a look reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.core.startup import LONGEST, LeadTime, Pod, StartUps, StartUpsFormatError, lead_time, seen
from controller.outcome import Problem, Stage
from controller.ports import LeadTimeReason
from controller.registry import Scaler
from controller.spec import AnyTarget, ScalerSpec

log = logging.getLogger(__name__)

MIN_GAP = timedelta(minutes=1)
REFRESH = timedelta(minutes=15)
LOOKS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look found. `gap`: the next one is no sooner after it. `problem`: what a user should know all the same.

    `earlier`: those of the pods that are older than whatever tells its template. Where nothing is known yet, they stand
    for the template before.
    """

    pods: Sequence[Pod]
    earlier: Sequence[Pod] = ()
    gap: timedelta = MIN_GAP
    problem: Problem | None = None


Look = Callable[[StartUps], Awaitable[Found]]
"""Given what is known so far."""


class LookError(Exception):
    """A look that could not be made."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True, kw_only=True)
class _Known:
    """What is known of a scaler's target, and of when: `looked`, with `version` as its resource version."""

    target: AnyTarget
    start_ups: StartUps
    problem: Problem | None = None
    looked: datetime | None = None
    version: str = ""
    gap: timedelta


class Looks:
    """What was learnt by looks, by scaler.

    `what`: a look reads, for the words of an error that nobody foresaw, whose reason is `reason`. `gap`: between two
    looks, until one was made that says. `at_once`: so many run at a time at each place, with a pause of `pause_seconds`
    after each.
    """

    def __init__(
        self,
        what: str,
        reason: LeadTimeReason,
        *,
        gap: timedelta = MIN_GAP,
        at_once: int = LOOKS_AT_ONCE,
        pause_seconds: float = 0.0,
    ) -> None:
        self._what = what
        self._reason = reason
        self._gap = gap
        self._pause_seconds = pause_seconds
        self._known: dict[str, _Known] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._turns: defaultdict[Hashable, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(at_once))

    def told(
        self,
        scaler: Scaler,
        spec: ScalerSpec,
        version: str,
        now: datetime,
        look: Look,
        *,
        place: Hashable = None,
        warmup: timedelta = timedelta(0),
    ) -> tuple[LeadTime, Problem | None]:
        """What is known now; a look that is due begins, for the ticks to come.

        `version`: changes with the target. `place`: who is asked; one that hangs holds up no others. `warmup`: what
        each start-up takes beyond what a look finds.
        """
        known = self._hold(scaler, spec)
        if scaler.uid not in self._under_way and _is_due(known, version, now):
            known.looked, known.version = now, version
            self._begin(scaler, known, look, place, now)
        return _lead_time(known, spec, now, warmup), known.problem

    def untold(
        self, scaler: Scaler, spec: ScalerSpec, now: datetime, problem: Problem
    ) -> tuple[LeadTime, Problem | None]:
        """What is known of a target that cannot be looked at, because of `problem`."""
        known = self._hold(scaler, spec)
        known.problem = problem
        return _lead_time(known, spec, now, timedelta(0)), problem

    def forget(self, uid: str) -> None:
        """Drop what is held of a scaler that is gone."""
        self._known.pop(uid, None)
        if uid in self._under_way:
            self._under_way[uid].cancel()

    async def settled(self) -> None:
        """Wait until the looks under way have ended."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def aclose(self) -> None:
        """End the looks under way."""
        for look in self._under_way.values():
            look.cancel()
        await self.settled()

    def _hold(self, scaler: Scaler, spec: ScalerSpec) -> _Known:
        known = self._known.get(scaler.uid)
        if known is None:
            start_ups, problem = _restored(scaler)
            known = self._known[scaler.uid] = _Known(
                target=spec.target, start_ups=start_ups, problem=problem, gap=self._gap
            )
        elif known.target != spec.target:
            known = self._known[scaler.uid] = _Known(target=spec.target, start_ups=StartUps(), gap=self._gap)
        return known

    def _begin(self, scaler: Scaler, known: _Known, look: Look, place: Hashable, now: datetime) -> None:
        task = asyncio.create_task(self._look(scaler, known, look, place, now))
        self._under_way[scaler.uid] = task
        task.add_done_callback(lambda _: self._under_way.pop(scaler.uid, None))

    async def _look(self, scaler: Scaler, known: _Known, look: Look, place: Hashable, now: datetime) -> None:
        try:
            found = await self._in_turn(look, place, known.start_ups)
            before = known.start_ups if known.start_ups.done else seen(now, found.earlier, known.start_ups)
            known.start_ups = seen(now, found.pods, before)
            known.problem, known.gap = found.problem, found.gap
        except LookError as error:
            known.problem = error.problem
        except Exception as error:
            log.exception("look at start-ups failed", extra={"scaler": scaler.key})
            words = f"cannot read {self._what}: {type(error).__name__}: {error}"
            known.problem = problem(self._reason, words)

    async def _in_turn(self, look: Look, place: Hashable, before: StartUps) -> Found:
        """The pause also follows a look that failed, perhaps because there were too many."""
        async with self._turns[place]:
            try:
                return await look(before)
            finally:
                await asyncio.sleep(self._pause_seconds)


def problem(reason: LeadTimeReason, message: str) -> Problem:
    """Why a lead time is not known better."""
    return Problem(stage=Stage.LEAD_TIME, reason=reason, message=message)


def _lead_time(known: _Known, spec: ScalerSpec, now: datetime, warmup: timedelta) -> LeadTime:
    """Nothing learnt: the default, or the warm-up if that is longer."""
    default = max(spec.policy.lead_time - warmup, timedelta(0))
    told = lead_time(now, known.start_ups, default)
    return replace(told, duration=min(told.duration + warmup, LONGEST)) if warmup else told


def _is_due(known: _Known, version: str, now: datetime) -> bool:
    """A look later than now was made by a clock that was put back since."""
    if known.looked is None or known.looked > now:
        return True
    has_changed = version != known.version or known.problem is not None
    return now - known.looked >= (known.gap if has_changed else REFRESH)


def _restored(scaler: Scaler) -> tuple[StartUps, Problem | None]:
    stored = (scaler.status.get("leadTime") or {}).get("memory")
    if not stored:
        return StartUps(), None
    try:
        return StartUps.from_json(stored), None
    except StartUpsFormatError as error:
        log.warning("start-ups not usable, starting afresh", extra={"scaler": scaler.key, "error": str(error)})
        return StartUps(), problem(LeadTimeReason.MALFORMED, f"{error}; the lead time is learnt anew")
