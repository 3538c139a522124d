"""What does `.status` say? One tick's outcome as the fields of the CRD: pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from controller.conditions import Condition
from controller.core import calibration
from controller.core.comparison import Comparison, Estimate
from controller.core.decide import Decision
from controller.core.forecast import Forecast
from controller.core.memory import Memory, Steering, TrackRecord
from controller.core.policy import Policy
from controller.core.startup import LeadTime
from controller.experiment import Phase, Trial
from controller.grading import Grade, told
from controller.outcome import Beside, Outcome, Problem, Stage
from controller.registry import Scaler
from controller.spec import SpecError

POINTS = 12  # of the short forecast
MESSAGE_LENGTH = 1024
NAME_LENGTH = 128
"""The CRD allows no longer names, and a status that breaks it is refused as a whole."""


def status(scaler: Scaler, outcome: Outcome, conditions: Sequence[Condition]) -> dict[str, Any]:
    """The keys of `.status` to set, each as a whole; None removes what is no longer true, absent ones stay."""
    fields: dict[str, Any] = {
        "observedGeneration": scaler.generation,
        "conditions": [condition.to_json(scaler.generation) for condition in conditions],
        "memory": outcome.memory.to_json(),
        "model": _model(outcome),
        "target": None if outcome.beside is None else _beside(outcome.beside),
        "forecast": None,
        "objective": None,
        "coverage": None,
    }
    if outcome.decision is not None:
        fields |= _decided(outcome.decision, outcome)
    if outcome.grade is not None:
        fields["grade"] = _grade(outcome.grade)
    fields["experiment"] = None if outcome.trial is None else _experiment(outcome.trial)
    if outcome.lead_time is not None:
        fields["leadTime"] = _lead_time(outcome.lead_time, outcome.problem(Stage.LEAD_TIME))
    if not isinstance(scaler.spec, SpecError):
        fields |= _kept_score(outcome.memory, scaler.spec.policy)
    if outcome.forecast is not None and not isinstance(scaler.spec, SpecError):
        fields["forecast"] = _forecast(outcome, outcome.forecast, scaler.spec.policy)
    return fields


def _decided(decision: Decision, outcome: Outcome) -> dict[str, Any]:
    fields = {
        "currentReplicas": outcome.current_replicas,
        "desiredReplicas": decision.replicas,
        "lastDecision": last_decision(decision),
    }
    return fields | ({"lastScaleTime": timestamp(decision.time)} if outcome.is_written else {})


def _beside(beside: Beside) -> dict[str, Any] | None:
    """None for a target that tells no more than its size, as a Deployment."""
    told = {"ready": beside.ready, "warm": beside.warm, "note": beside.note[:MESSAGE_LENGTH] or None}
    return {name: value for name, value in told.items() if value is not None} or None


def last_decision(decision: Decision) -> dict[str, Any]:
    """A decision as `.status.lastDecision`, and as the API gives it."""
    demand = decision.demand
    return {
        "time": timestamp(decision.time),
        "source": demand.source.value,
        **_known(demand=demand.value, seen=demand.seen, forecast=demand.forecast),
        "message": decision.message[:MESSAGE_LENGTH],
        "steps": [
            {"rule": step.rule, "before": step.before, "after": step.after, "why": step.why[:MESSAGE_LENGTH]}
            for step in decision.steps
        ],
    }


def _lead_time(lead_time: LeadTime, problem: Problem | None) -> dict[str, Any]:
    """What was decided by, how that is known, and what it is learnt from."""
    fields: dict[str, Any] = {"seconds": lead_time.duration.total_seconds(), "source": lead_time.source.value}
    if lead_time.start_ups is not None:
        fields |= {"samples": lead_time.samples, "waiting": lead_time.waiting, "memory": lead_time.start_ups.to_json()}
    if lead_time.of_pods:
        fields["ofPods"] = lead_time.of_pods.total_seconds()
    if lead_time.template:
        fields["template"] = lead_time.template
    if problem is not None:
        fields["message"] = problem.message[:MESSAGE_LENGTH]
    return fields


def _kept_score(memory: Memory, policy: Policy) -> dict[str, Any]:
    """How what was promised compares with what came, over the last days."""
    return {
        "objective": None if policy.objective is None else _objective(policy.objective, memory.steering),
        "coverage": _coverage(policy.level, memory.track) if memory.track.watched > 0.0 else None,
    }


def _objective(objective: float, steering: Steering) -> dict[str, Any]:
    """Shares in the form that the spec gives them in."""
    measured = steering.under_provisioned
    return {
        "underProvisionedTime": _percentage(objective, digits=6),  # as many as the spec takes
        "measured": None if measured is None else _percentage(measured, digits=3),
        **_known(shift=steering.shift, headroom=steering.headroom),
    }


def _coverage(level: float, record: TrackRecord) -> dict[str, Any]:
    return _known(nominal=level, measured=calibration.coverage(record), settled=record.watched)


def _percentage(share: float, digits: int) -> str:
    """Four decimals at most, as in the spec: what has almost decayed is 0%."""
    return f"{round(100.0 * share, 4):.{digits}g}%"


def _grade(grade: Grade) -> dict[str, Any]:
    """`state` is what a restart goes on from."""
    return {
        **({} if grade.time is None else {"time": timestamp(grade.time)}),
        **({} if grade.card.since is None else {"since": timestamp(grade.card.since)}),
        **({} if grade.against is None else {"against": grade.against[:MESSAGE_LENGTH]}),
        "windows": told(grade.windows()),
        "state": grade.to_json(),
    }


def _experiment(trial: Trial) -> dict[str, Any]:
    """`state` is what a restart goes on from."""
    experiment, turn = trial.experiment, trial.turn
    fields: dict[str, Any] = {
        "phase": trial.phase.value,
        "of": experiment.plan.windows,
        "startedAt": timestamp(experiment.start),
        "endsAt": timestamp(experiment.end),
        "state": experiment.to_json(),
    }
    if turn is not None:
        fields["arm"] = turn.arm.value
        fields |= {} if turn.window is None else {"window": turn.window}
        fields |= {} if turn.until is None else {"windowEndsAt": timestamp(turn.until)}
    if trial.comparison is not None:
        fields["result"] = _result(trial, trial.comparison)
    return fields


def _result(trial: Trial, comparison: Comparison) -> dict[str, Any]:
    """Whether it is significant is said at the end: who looks again and again finds something once."""
    return {
        "pairs": comparison.pairs,
        "replicaHours": _estimate(trial.sides, comparison.replica_hours),
        "underProvisioned": _estimate(trial.sides, comparison.under_provisioned),
        "message": trial.words[:MESSAGE_LENGTH],
        **({"significant": comparison.is_significant} if trial.phase is Phase.ENDED else {}),
    }


def _estimate(sides: tuple[str, str], estimate: Estimate) -> dict[str, float]:
    figures = {sides[0]: estimate.first, sides[1]: estimate.second}
    return _known(**figures, difference=estimate.difference, low=estimate.low, high=estimate.high)


def _model(outcome: Outcome) -> dict[str, Any] | None:
    if outcome.model is None:
        return None
    card = outcome.model.card
    names = {"name": card.name, "version": card.version, "family": card.family}
    return {key: name[:NAME_LENGTH] for key, name in names.items()} | {"digest": outcome.model.digest}


def _forecast(outcome: Outcome, forecast: Forecast, policy: Policy) -> dict[str, Any]:
    """Up to POINTS steps, evenly over what the forecast still reaches; the peak is what the decision went by."""
    ahead = forecast.steps_between(outcome.time, forecast.origin + forecast.horizon)
    chosen = np.unique(np.linspace(ahead.start, max(ahead.start, ahead.stop - 1), POINTS).astype(int))
    median, upper = forecast.at_level(0.5), forecast.at_level(policy.level)
    return {
        "origin": timestamp(forecast.origin),
        "quantile": policy.level,
        **_known(peak=None if outcome.decision is None else outcome.decision.demand.forecast),
        "points": [
            {
                "time": timestamp(forecast.origin + int(step + 1) * forecast.step),
                **_known(median=float(median[step]), upper=float(upper[step])),
            }
            for step in chosen[chosen < len(median)]
        ],
    }


def timestamp(time: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _known(**loads: float | None) -> dict[str, float]:
    """Those that are known, with six digits: that says all that a load can, and a status is read by people."""
    return {name: float(f"{load:.6g}") for name, load in loads.items() if load is not None and math.isfinite(load)}
