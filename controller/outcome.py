"""What did one tick do to one scaler? Plain data that the cycle makes and the report tells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controller.core.card import Card
from controller.core.decide import Decision
from controller.core.forecast import Forecast
from controller.core.memory import Memory
from controller.core.record import Record
from controller.core.startup import LeadTime
from controller.experiment import Trial
from controller.grading import Grade


class Stage(StrEnum):
    """The steps of a tick; errors and seconds are counted by them."""

    OBSERVE = "observe"
    FORECAST = "forecast"
    READ = "read"
    COORDINATE = "coordinate"
    LEAD_TIME = "lead-time"
    DECIDE = "decide"
    ACT = "act"
    REPORT = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What went wrong at a stage. `reason`: one CamelCase word; `message`: names the cause and the cure."""

    stage: Stage
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """The model in use. `digest`: the file's sha256 in hex."""

    card: Card
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a target said of itself beside its size, as in `ports.TargetState`."""

    ready: int | None = None
    warm: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """One scaler's tick, as far as it came.

    `lead_time`: what was decided by; None where nothing was. `found`: the target's size, where it is not what was
    decided from; `beside`: what else it said; None where it was not read. `is_written`: the target was told a new size.
    `memory`: what the next tick starts from; the old one when the tick did not end well. `grade`: the score, `trial`:
    the experiment, where there is one.
    """

    time: datetime
    problems: tuple[Problem, ...] = ()
    model: LoadedModel | None = None
    forecast: Forecast | None = None
    lead_time: LeadTime | None = None
    found: int | None = None
    beside: Beside | None = None
    record: Record | None = None
    decision: Decision | None = None
    is_written: bool = False
    memory: Memory
    grade: Grade | None = None
    trial: Trial | None = None

    @property
    def current_replicas(self) -> int | None:
        """What the target asks for after the tick; None without a decision."""
        if self.decision is None:
            return None
        if self.is_written:
            return self.decision.replicas
        return self.decision.current if self.found is None else self.found

    def problem(self, *stages: Stage) -> Problem | None:
        """The first problem at one of the stages."""
        return next((problem for problem in self.problems if problem.stage in stages), None)
