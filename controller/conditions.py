"""Is a scaler well, and if not, why? Outcomes in the words of Kubernetes conditions: pure, and the whole vocabulary.

Reasons of sources and targets come with their errors (`controller.ports`), those of a pair with
`controller.coordination`; the rest stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from controller.core.coordination import RULE as COORDINATION
from controller.core.experiment import Arm
from controller.core.memory import Memory, Steering
from controller.core.policy import TARGET_BOUNDS, Policy
from controller.grading import Grade
from controller.outcome import Outcome, Problem, Stage
from controller.registry import Scaler
from controller.spec import FloorRef, Mode, ScalerSpec, SpecError

MESSAGE_LENGTH = 4096  # the API server allows eight times that; a reason of its own length says nothing more
MISSED = 2.0  # times the objective, which chance alone does not make of a quarter of a day
JUDGED = timedelta(hours=6)  # of loads, before an objective can be said to be missed
LOSING = 0.5  # below this weight the forecast adds less than half of what it asks for


class ConditionType(StrEnum):
    """The questions that a status answers; the last one only in mode Observe."""

    READY = "Ready"
    METRICS_AVAILABLE = "MetricsAvailable"
    FORECASTING = "Forecasting"
    ABLE_TO_SCALE = "AbleToScale"
    RECOMMENDED = "Recommended"


class Status(StrEnum):
    """A condition's answer."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Reasons that no adapter brings."""

    SPEC_INVALID = "SpecInvalid"
    PAUSED = "Paused"
    OBSERVING = "Observing"
    SCALING = "Scaling"
    OBJECTIVE_MISSED = "ObjectiveMissed"
    ANOTHER_CONTROLLER = "AnotherController"
    METRICS_FOUND = "MetricsFound"
    FORECASTING = "Forecasting"
    LOSING_TO_NAIVE = "LosingToNaive"
    REACTING_IS_CHEAPER = "ReactingIsCheaper"
    NO_FORECAST = "NoForecast"
    NOT_WANTED = "ForecastNotWanted"
    ABLE = "ReadyForNewScale"
    DISABLED = "TargetScaledToZero"
    LIMITED = "TargetAtBound"
    COORDINATED = "Coordinated"
    NOT_YET_KNOWN = "NotYetKnown"
    NOT_GRADED = "FloorNotGraded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One answer. `since`: when the status last changed."""

    type: ConditionType
    status: Status
    reason: str
    message: str
    since: datetime

    def to_json(self, generation: int) -> dict[str, Any]:
        """As metav1.Condition."""
        return {
            "type": self.type.value,
            "status": self.status.value,
            "reason": str(self.reason),
            "message": self.message[:MESSAGE_LENGTH],
            "lastTransitionTime": self.since.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "observedGeneration": generation,
        }


def conditions(
    scaler: Scaler, outcome: Outcome, earlier: Sequence[Condition], rival: str = ""
) -> tuple[Condition, ...]:
    """The conditions after a tick; one whose status did not change keeps its time.

    `rival`: the controllers that decide for the scaler as well; empty: none.
    """
    since = {condition.type: (condition.status, condition.since) for condition in earlier}
    made = []
    for kind, (status, reason, message) in _answers(scaler, outcome, rival).items():
        held = since.get(kind)
        time = held[1] if held is not None and held[0] is status else outcome.time
        made.append(Condition(type=kind, status=status, reason=str(reason), message=message, since=time))
    return tuple(made)


def stored(status: Mapping[str, Any]) -> tuple[Condition, ...]:
    """The conditions of a status read from the cluster; those that cannot be ours are left out."""
    kinds = {kind.value for kind in ConditionType}
    return tuple(
        Condition(
            type=ConditionType(raw["type"]),
            status=Status(raw["status"]),
            reason=raw["reason"],
            message=raw["message"],
            since=datetime.fromisoformat(raw["lastTransitionTime"]),
        )
        for raw in status.get("conditions", ())
        if raw["type"] in kinds
    )


_Answer = tuple[Status, str, str]


def _answers(scaler: Scaler, outcome: Outcome, rival: str) -> dict[ConditionType, _Answer]:
    spec = scaler.spec
    if isinstance(spec, SpecError):
        return _idle(Status.FALSE, Reason.SPEC_INVALID, str(spec))
    if spec.mode is Mode.PAUSED:
        return _idle(Status.TRUE, Reason.PAUSED, "mode is Paused: nothing is watched and nothing is scaled")
    metrics, able = _metrics(outcome), _able(outcome)
    recommended = {ConditionType.RECOMMENDED: _recommended(spec, outcome.grade)} if spec.mode is Mode.OBSERVE else {}
    return {
        ConditionType.READY: _ready(spec, outcome.memory, metrics, able, rival),
        ConditionType.METRICS_AVAILABLE: metrics,
        ConditionType.FORECASTING: _forecasting(spec, outcome),
        ConditionType.ABLE_TO_SCALE: able,
        **recommended,
    }


def _recommended(spec: ScalerSpec, grade: Grade | None) -> _Answer:
    """Whether to let it act. One that acts has no such answer: the sizes are its own, so nothing is beside them."""
    if isinstance(spec.target, FloorRef):
        words = (
            "a floor is no size that could be graded; let a PredictiveScaler in mode Observe name the workload instead"
        )
        return Status.UNKNOWN, Reason.NOT_GRADED, words
    if grade is None:
        return Status.UNKNOWN, Reason.NOT_YET_KNOWN, "nothing was decided yet that could be graded"
    found = grade.verdict()
    status = {None: Status.UNKNOWN, True: Status.TRUE, False: Status.FALSE}[found.is_recommended]
    return status, found.reason, found.message


def _idle(status: Status, reason: Reason, message: str) -> dict[ConditionType, _Answer]:
    unknown = (Status.UNKNOWN, reason, message)
    others = (ConditionType.METRICS_AVAILABLE, ConditionType.FORECASTING, ConditionType.ABLE_TO_SCALE)
    return {ConditionType.READY: (status, reason, message), **dict.fromkeys(others, unknown)}


def _ready(spec: ScalerSpec, memory: Memory, metrics: _Answer, able: _Answer, rival: str) -> _Answer:
    for answer in (able, metrics):
        if answer[0] is not Status.TRUE:
            return answer
    if rival:
        return Status.TRUE, Reason.ANOTHER_CONTROLLER, shared_with(rival)
    if spec.mode is Mode.OBSERVE:
        return Status.TRUE, Reason.OBSERVING, "mode is Observe: decisions are made and reported, never acted on"
    return _missed(spec.policy, memory.steering) or (Status.TRUE, Reason.SCALING, "the target follows the decisions")


def shared_with(rival: str) -> str:
    """What two controllers that decide for the same scaler do to it, and the cure."""
    return (
        f'the controller "{rival}" (the namespace and name of its Leases) decides for this scaler as well, so that its '
        "size and memory may go back and forth: have the two releases watch different namespaces (watchNamespaces), or "
        "uninstall one of them"
    )


def _missed(policy: Policy, steering: Steering) -> _Answer | None:
    """The scaler does what it can, so it is ready; that it is not enough is for its user to know."""
    measured = steering.under_provisioned
    if policy.objective is None or measured is None or steering.settled * policy.interval < JUDGED:
        return None
    if measured <= MISSED * policy.objective:
        return None
    return (
        Status.TRUE,
        Reason.OBJECTIVE_MISSED,
        f"of late the target was too small in {100 * measured:.3g}% of the time, and the objective is "
        f"{100 * policy.objective:.3g}%: raise maxReplicas where it is reached, allow more in behavior.scaleUp, or "
        "make replicas start faster",
    )


def _metrics(outcome: Outcome) -> _Answer:
    problem = outcome.problem(Stage.OBSERVE)
    if problem is None:
        return Status.TRUE, Reason.METRICS_FOUND, "the load is known"
    if outcome.decision is not None and outcome.decision.demand.seen is not None:
        return Status.TRUE, problem.reason, f"the load is known, its history not: {problem.message}"
    return _failed(problem)


def _forecasting(spec: ScalerSpec, outcome: Outcome) -> _Answer:
    problem = outcome.problem(Stage.FORECAST)
    if problem is not None:
        return _failed(problem)
    if spec.model is None:
        return Status.UNKNOWN, Reason.NOT_WANTED, "forecast.model is none: reacting to what is seen"
    if outcome.forecast is None:
        return Status.FALSE, Reason.NO_FORECAST, "no forecast can be made without a metric: reacting to what is seen"
    if outcome.trial is not None and outcome.trial.turn is not None and outcome.trial.turn.arm is Arm.REACTIVE:
        message = "the forecast is made and scored; it is the turn of the experiment's reactive arm, which does without"
        return Status.TRUE, Reason.FORECASTING, message
    return _trusted(outcome)


def _trusted(outcome: Outcome) -> _Answer:
    """How far a forecast that was made counts."""
    demand = None if outcome.decision is None else outcome.decision.demand
    weight = 1.0 if demand is None else demand.weight
    if demand is not None and demand.worth < LOSING:
        message = f"of late reacting alone meets the objective at less cost: the forecast counts {weight:.0%}"
        return Status.FALSE, Reason.REACTING_IS_CHEAPER, message
    if weight < LOSING:
        message = f"of late the forecast loses to the naive ones: it counts {weight:.0%} until it is better again"
        return Status.FALSE, Reason.LOSING_TO_NAIVE, message
    unlearnt = outcome.problem(Stage.LEAD_TIME)
    if unlearnt is not None:
        return Status.TRUE, unlearnt.reason, f"the forecast is made and trusted, its reach not: {unlearnt.message}"
    return Status.TRUE, Reason.FORECASTING, "the forecast is made and trusted"


def _able(outcome: Outcome) -> _Answer:
    problem = outcome.problem(Stage.READ, Stage.COORDINATE, Stage.DECIDE, Stage.ACT)
    if problem is not None:
        return _failed(problem)
    if outcome.decision is not None and outcome.current_replicas == 0:
        return Status.FALSE, Reason.DISABLED, outcome.decision.message
    return _limited(outcome) or (Status.TRUE, Reason.ABLE, "the target can be read and scaled")


_LIMITED = {TARGET_BOUNDS: Reason.LIMITED, COORDINATION: Reason.COORDINATED}


def _limited(outcome: Outcome) -> _Answer | None:
    """It does what it is told, and that is not what the load asks for."""
    steps = () if outcome.decision is None else outcome.decision.steps
    step = next((one for one in reversed(steps) if one.rule in _LIMITED), None)
    if step is None:
        return None
    words = f"the target can be read and scaled, and is asked for {step.after} instead of {step.before}: {step.why}"
    return Status.TRUE, _LIMITED[step.rule], words


def _failed(problem: Problem) -> _Answer:
    return Status.FALSE, problem.reason, problem.message
