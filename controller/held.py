"""What does the cycle hold of a scaler between ticks, and what of it is there again after a restart?

All but the forecast comes back from the status. Must not decide anything, nor write the status.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from controller.coordination import Known
from controller.core.coordination import Wish
from controller.core.forecast import Forecast
from controller.core.memory import Memory, MemoryFormatError, TrackRecord
from controller.core.policy import Limit, Policy
from controller.experiment import Trial
from controller.experiment import restored as restored_trial
from controller.grading import Grade, GradeFormatError
from controller.outcome import Problem
from controller.registry import Scaler
from controller.spec import Metric

log = logging.getLogger(__name__)

Question = tuple[datetime, int, ZoneInfo, str]
"""A history's end, how many of its steps were recorded, whose clock, and the model's digest: what a forecast needs."""


@dataclass(slots=True, kw_only=True)
class Held:
    """What is known of a scaler from tick to tick.

    `metric`, `digest`: of the load and the model that the memory's track record speaks of. `asked`: what the forecast
    was made from. `known`, `wishes`: what whoever it coordinates with goes by, and what it would have liked of late.
    """

    memory: Memory
    grade: Grade | None = None
    trial: Trial | None = None
    metric: Metric | None = None
    digest: str | None = None
    forecast: Forecast | None = None
    forecast_problem: Problem | None = None
    asked: Question | None = None
    known: Known | None = None
    wishes: tuple[Wish, ...] = ()
    ruled: tuple[Policy, Policy] | None = None

    def policy(self, rules: Policy, lead_time: timedelta, limits: tuple[Limit, ...]) -> Policy:
        """The user's rules with what holds now; the same object while nothing changes, so that it is written once."""
        if self.ruled is not None:
            given, ruled = self.ruled
            if given is rules and (ruled.lead_time, ruled.limits) == (lead_time, limits):
                return ruled
        ruled = rules
        if (rules.lead_time, rules.limits) != (lead_time, limits):
            ruled = replace(rules, lead_time=lead_time, limits=limits)
        self.ruled = (rules, ruled)
        return ruled

    def take_metric(self, metric: Metric) -> None:
        """Another load than before, in another unit perhaps, starts without the forecast and the record of the last."""
        if self.metric is not None and self.metric.load != metric.load:
            self.forecast, self.asked = None, None
            self.memory = replace(self.memory, track=TrackRecord())
        self.metric = metric

    def take_model(self, digest: str) -> None:
        """Another model than before starts without the record of the one that it replaces."""
        if self.digest != digest:
            self.memory = replace(self.memory, track=TrackRecord())
        self.digest = digest

    def take_forecast(self, asked: Question | None, answer: Forecast | Problem | None) -> None:
        """None: no forecast is wanted."""
        self.asked = asked
        self.forecast = None if isinstance(answer, Problem) else answer
        self.forecast_problem = answer if isinstance(answer, Problem) else None


def restored(scaler: Scaler) -> Held:
    """What its status tells; what cannot be read there is logged, and that part starts afresh."""
    model = scaler.status.get("model") or {}
    return Held(memory=_memory(scaler), grade=_grade(scaler), trial=_trial(scaler), digest=model.get("digest"))


def _memory(scaler: Scaler) -> Memory:
    stored = scaler.status.get("memory")
    try:
        return Memory.from_json(stored) if stored else Memory()
    except MemoryFormatError as error:
        _tell_unusable("memory", scaler, error)
        return Memory()


def _grade(scaler: Scaler) -> Grade | None:
    stored = (scaler.status.get("grade") or {}).get("state")
    try:
        return Grade.from_json(stored) if stored else None
    except GradeFormatError as error:
        _tell_unusable("score", scaler, error)
        return None


def _trial(scaler: Scaler) -> Trial | None:
    try:
        return restored_trial(scaler.status)
    except MemoryFormatError as error:
        _tell_unusable("experiment", scaler, error)
        return None


def _tell_unusable(part: str, scaler: Scaler, error: Exception) -> None:
    log.warning("%s not usable, starting afresh", part, extra={"scaler": scaler.key, "error": str(error)})
