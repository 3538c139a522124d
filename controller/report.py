"""What does the world hear of a tick? Status, events, metrics, logs and ledger, all from the same Outcome.

Must not decide: the words are in `conditions` and `status`, the numbers in `metrics`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.account import Account
from controller.conditions import Condition, ConditionType, Reason, Status, conditions, shared_with, stored
from controller.core.decide import Decision
from controller.ledger import Ledger
from controller.metrics import Metrics
from controller.outcome import Outcome, Stage
from controller.ports import StatusError, StatusWriter
from controller.registry import Scaler, version_of, writers_of
from controller.spec import Mode, ScalerSpec
from controller.status import status

log = logging.getLogger(__name__)

CHECKPOINT_INTERVALS = 4  # a status that says nothing new is written every four ticks, for its Memory and its numbers
RIVAL_INTERVALS = 3 * CHECKPOINT_INTERVALS  # for so long after its last write another controller is taken to be there


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What was last written of a scaler; `version` and `writers` as of `Scaler`, right after."""

    conditions: tuple[Condition, ...]
    essence: object
    time: datetime | None
    version: int | None = None
    writers: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rival:
    """Another controller that writes the status of a scaler. `wrote`: when it last did, as the API server says.

    `time`: when that was seen here.
    """

    name: str
    wrote: str
    time: datetime


class Report:
    """Implements `ports.Reporter`. `group`: in whose name statuses are written, as `Scaler.writers` has it."""

    def __init__(self, *, writer: StatusWriter, metrics: Metrics, ledger: Ledger, group: str = "") -> None:
        self._writer = writer
        self._metrics = metrics
        self._ledger = ledger
        self._group = group
        self._told: dict[str, _Told] = {}
        self._rivals: dict[str, _Rival] = {}

    async def report(self, scaler: Scaler, outcome: Outcome) -> None:
        """Tell one tick. The status is written only when it says something new, or for its Memory once in a while."""
        told = self._told.get(scaler.uid) or _Told(conditions=stored(scaler.status), essence=None, time=None)
        before, rival = self._rivals.get(scaler.uid), self._rival(scaler, outcome.time, told)
        now_true = conditions(scaler, outcome, told.conditions, "" if rival is None else rival.name)
        self._metrics.tell(scaler, outcome, now_true)
        self._ledger.add(scaler.uid, Account.of(scaler, outcome))
        if outcome.decision is not None:
            _log_decision(scaler, outcome.decision, is_written=outcome.is_written)
        is_known = await self._write_status(scaler, outcome, now_true, told)
        notes = [*_scaled(outcome), *_ended(outcome), *(_flips(told.conditions, now_true) if is_known else ())]
        if rival is not None and before is None:
            log.warning("another controller decides as well", extra={"scaler": scaler.key, "other": rival.name})
            notes.append(("Warning", Reason.ANOTHER_CONTROLLER, shared_with(rival.name)))
        await asyncio.gather(*(self._emit(scaler, outcome.time, note) for note in notes))

    def took(self, stage: Stage, seconds: float) -> None:
        """Record how long a shared stage of a tick took."""
        self._metrics.took(stage, seconds)

    def leave(self, uid: str) -> None:
        """Tell no more of a scaler that is served elsewhere; its records stay, in case it comes back."""
        self._told.pop(uid, None)
        self._rivals.pop(uid, None)
        self._metrics.forget(uid)

    def forget(self, uid: str) -> None:
        """Drop what is held of a scaler that is gone."""
        self.leave(uid)
        self._ledger.forget(uid)

    async def _write_status(
        self, scaler: Scaler, outcome: Outcome, now_true: tuple[Condition, ...], told: _Told
    ) -> bool:
        """Whether the cluster knows the status; a failed write is tried again at the next tick."""
        essence = _essence(scaler, outcome, now_true)
        if essence == told.essence and _is_recent(scaler, outcome.time, told.time):
            return True
        try:
            fields = status(scaler, outcome, now_true)
            body = await self._writer.patch_status(scaler.namespace, scaler.name, scaler.uid, fields)
        except StatusError as error:
            if error.gone:
                raise
            log.warning("status not written", extra={"scaler": scaler.key, "error": str(error)})
            self._metrics.failed(scaler, Stage.REPORT, "StatusNotWritten")
            return False
        told = _Told(conditions=now_true, essence=essence, time=outcome.time)
        if body is not None:
            told = replace(told, version=version_of(body), writers=writers_of(body))
        self._told[scaler.uid] = told
        return True

    def _rival(self, scaler: Scaler, now: datetime, told: _Told) -> _Rival | None:
        """Who else wrote after we last did. What a predecessor wrote before is no rival's: it may be gone."""
        if told.version is not None and scaler.version is not None and scaler.version > told.version:
            self._note(scaler, now, {one for one in scaler.writers - told.writers if one[0] != self._group})
        found = self._rivals.get(scaler.uid)
        if found is not None and now - found.time >= RIVAL_INTERVALS * _interval(scaler):
            del self._rivals[scaler.uid]
            return None
        return found

    def _note(self, scaler: Scaler, now: datetime, others: Set[tuple[str, str]]) -> None:
        """The last one to write; what was seen before is no news."""
        if others:
            wrote, name = max((wrote, name) for name, wrote in others)
            held = self._rivals.get(scaler.uid)
            if held is None or (held.name, held.wrote) != (name, wrote):
                self._rivals[scaler.uid] = _Rival(name=name, wrote=wrote, time=now)

    async def _emit(self, scaler: Scaler, now: datetime, note: _Note) -> None:
        """An event tells people what the status keeps; one that cannot be written is not worth a second try."""
        type_, reason, text = note
        try:
            await self._writer.emit(
                scaler.namespace, scaler.name, scaler.uid, type_=type_, reason=reason, note=text, now=now
            )
        except StatusError as error:
            log.warning("event not recorded", extra={"scaler": scaler.key, "reason": reason, "error": str(error)})
            self._metrics.failed(scaler, Stage.REPORT, "EventNotRecorded")


def _essence(scaler: Scaler, outcome: Outcome, now_true: Sequence[Condition]) -> object:
    """The part of a status whose change is news: what is true and what is asked for, not every load."""
    decision = outcome.decision
    return (
        scaler.generation,
        None if decision is None else (outcome.current_replicas, decision.replicas, _waking(scaler, outcome, decision)),
        None if outcome.model is None else outcome.model.digest,
        None if outcome.lead_time is None else (outcome.lead_time.source, outcome.lead_time.template),
        None if outcome.trial is None else (outcome.trial.phase, outcome.trial.turn),
        tuple((one.type, one.status, one.reason) for one in now_true),
    )


def _waking(scaler: Scaler, outcome: Outcome, decision: Decision) -> int | None:
    """Of an observed target at 0, the order of magnitude of the load: KEDA starts it by what a status tells of that."""
    is_waiting = isinstance(scaler.spec, ScalerSpec) and scaler.spec.mode is Mode.OBSERVE
    if is_waiting and outcome.current_replicas == 0 and decision.demand.value:
        return math.frexp(decision.demand.value)[1]
    return None


def _is_recent(scaler: Scaler, now: datetime, told: datetime | None) -> bool:
    """A time after now is no recent one: the clock was put back."""
    return told is not None and timedelta(0) <= now - told < CHECKPOINT_INTERVALS * _interval(scaler)


def _interval(scaler: Scaler) -> timedelta:
    return scaler.spec.interval if isinstance(scaler.spec, ScalerSpec) else timedelta(minutes=1)


_Note = tuple[str, str, str]
"""An Event: type, reason, note."""


def _scaled(outcome: Outcome) -> Iterator[_Note]:
    decision = outcome.decision
    if decision is not None and outcome.is_written:
        yield "Normal", "Scaled", f"from {decision.current} to {decision.replicas} replicas: {decision.message}"


def _ended(outcome: Outcome) -> Iterator[_Note]:
    if outcome.trial is not None and outcome.trial.has_ended:
        yield "Normal", "ExperimentEnded", outcome.trial.words


_ORDINARY = {ConditionType.RECOMMENDED: Status.UNKNOWN}
"""What a condition is of itself, and nobody's fault whatever it becomes."""


def _flips(before: Sequence[Condition], after: Sequence[Condition]) -> Iterator[_Note]:
    """One event for every condition that flipped; that a new scaler is well is no news."""
    earlier = {condition.type: condition.status for condition in before}
    for condition in after:
        if condition.status is not earlier.get(condition.type, _ORDINARY.get(condition.type, Status.TRUE)):
            is_bad = condition.status is Status.FALSE and condition.type not in _ORDINARY
            type_ = "Warning" if is_bad else "Normal"
            yield type_, condition.reason, f"{condition.type.value} is {condition.status.value}: {condition.message}"


def _log_decision(scaler: Scaler, decision: Decision, *, is_written: bool) -> None:
    level = logging.INFO if is_written else logging.DEBUG
    if not log.isEnabledFor(level):
        return
    log.log(
        level,
        "scaled" if is_written else "decided",
        extra={
            "scaler": scaler.key,
            "current": decision.current,
            "replicas": decision.replicas,
            "demand": decision.demand.value,
            "source": decision.demand.source.value,
            "why": decision.message,
        },
    )
