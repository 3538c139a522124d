"""When does an experiment begin, go on, wait and end, from tick to tick and over a restart?

`core.experiment` has the windows, `core.arms` the decisions and `core.comparison` the result; here it is said when they
begin anew. Must not read the target nor make a decision: the cycle does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from controller.aws_spec import GroupRef
from controller.core import codec
from controller.core.arms import Turn, learnt, own, shown, turn_at
from controller.core.comparison import Comparison, Estimate, compared, fewest_pairs, windows_over
from controller.core.experiment import Arm, Experiment, Plan, begun, interrupted, is_cut_short
from controller.core.memory import Memory
from controller.core.policy import Policy
from controller.core.record import Inputs, Record
from controller.spec import Mode, ScalerSpec, SpecError

_MARK_LENGTH = 16
_NO_RULES_OF_THE_USER = ("metricAge", "limits")  # the one follows from the metric, the others come with each tick


class Phase(StrEnum):
    """Waiting: the mode is another one, and time goes on uncounted. Ended: all windows are over."""

    RUNNING = "Running"
    WAITING = "Waiting"
    ENDED = "Ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A scaler's experiment after a tick.

    `turn`: whose decision the last one was; None while nobody's is. `comparison`: over the first `over` windows, None
    before the first pair of them. `is_cut_short`: whether windows are too short for all that an arm leaves to the next.
    `has_ended`: with this tick.
    """

    experiment: Experiment
    turn: Turn | None = None
    comparison: Comparison | None = None
    over: int = 0
    is_cut_short: bool = False
    has_ended: bool = False

    @property
    def phase(self) -> Phase:
        """How far it is."""
        if self.experiment.is_ended:
            return Phase.ENDED
        return Phase.WAITING if self.turn is None else Phase.RUNNING

    @property
    def sides(self) -> tuple[str, str]:
        """What an `Estimate`'s first and second are called: the arms, or their places where the arms are the same."""
        one, other = self.experiment.plan.arms
        return (Arm.REACTIVE.value, Arm.PREDICTIVE.value) if one is not other else ("first", "second")

    @property
    def words(self) -> str:
        """What was found, for people."""
        if self.comparison is None:
            return "no pair of windows can be compared yet"
        hours, short = self.comparison.replica_hours, self.comparison.under_provisioned
        found = (
            f"over {self.comparison.pairs} pairs of windows, {self.sides[1]} had {hours.second:.4g} replicas "
            f"and {self.sides[0]} {hours.first:.4g} ({_chance(hours, 1.0, '')}); too few were ready in "
            f"{short.second:.2%} and {short.first:.2%} of the time ({_chance(short, 100.0, ' points')})"
        )
        return found + ("; the windows are too short for a whole wash-out: lengthen them" if self.is_cut_short else "")


def restored(status: Mapping[str, Any]) -> Trial | None:
    """The experiment that a scaler's status tells of; None where it tells of none. Raises MemoryFormatError."""
    stored = (status.get("experiment") or {}).get("state")
    return Trial(experiment=Experiment.from_json(stored)) if stored else None


def met(trial: Trial | None, now: datetime, uid: str, spec: ScalerSpec, memory: Memory) -> Trial | None:
    """The experiment at the beginning of a tick, where there is one."""
    return entered(trial, now, uid, spec, memory) if spec.mode is Mode.EXPERIMENT else left(trial, now, spec)


def entered(trial: Trial | None, now: datetime, uid: str, spec: ScalerSpec, memory: Memory) -> Trial:
    """The experiment at the beginning of a tick in mode Experiment: the one that was, or a new one.

    Whatever changes what is compared begins another: the plan, the load, the target, the model's name and the rules.
    A pause, a restart, another mode in between, a lead time that is learnt anew and a model that is trained anew do
    not.
    """
    if spec.experiment is None:
        raise ValueError("mode Experiment without spec.experiment is refused by controller.spec")
    identity = _identity(uid, spec)
    if trial is None or trial.experiment.identity != identity:
        trial = Trial(experiment=begun(now, identity, spec.experiment, memory.steering))
    return replace(trial, turn=turn_at(trial.experiment, now), has_ended=False)


def left(trial: Trial | None, now: datetime, spec: ScalerSpec | SpecError) -> Trial | None:
    """The experiment while nobody decides for it: it waits with what it knows, until `spec.experiment` is removed."""
    if trial is None or isinstance(spec, SpecError):
        return trial and disturbed(replace(trial, turn=None, has_ended=False))
    if spec.experiment is None:
        return None
    experiment = trial.experiment
    has_ended = now >= experiment.end and not experiment.is_ended
    experiment = replace(interrupted(experiment), is_ended=experiment.is_ended or has_ended)
    return judged(replace(trial, turn=None, experiment=experiment, has_ended=has_ended), spec.policy, now)


def disturbed(trial: Trial) -> Trial:
    """Until the next tick somebody else may decide, or the last decision stand: that time does not count."""
    return replace(trial, experiment=interrupted(trial.experiment))


def in_turn(inputs: Inputs, trial: Trial) -> Inputs:
    """What the arm whose turn it is may know."""
    if trial.turn is None:
        return inputs
    arm = trial.turn.arm
    return replace(
        inputs,
        forecast=shown(arm, inputs.forecast),
        memory=own(arm, trial.experiment, inputs.memory),
        turn=trial.turn,
    )


def concluded(trial: Trial, inputs: Inputs, record: Record) -> tuple[Memory, Trial]:
    """What is remembered of a decision. `inputs`: those that were given to `in_turn`."""
    if trial.turn is None:
        return record.memory, trial
    memory, experiment = learnt(
        trial.turn,
        record.decision,
        inputs.observation,
        inputs.forecast,
        inputs.policy,
        trial.experiment,
        inputs.memory,
        record.memory,
    )
    has_ended = experiment.is_ended and not trial.experiment.is_ended
    trial = replace(trial, experiment=experiment, has_ended=has_ended)
    return memory, judged(trial, inputs.policy, inputs.now)


def judged(trial: Trial, policy: Policy, now: datetime) -> Trial:
    """The comparison, made anew when another window is over."""
    over = windows_over(trial.experiment, now)
    if over == trial.over:
        return trial
    comparison = compared(policy, trial.experiment, now)
    return replace(trial, over=over, comparison=comparison, is_cut_short=is_cut_short(trial.experiment.plan, policy))


def _chance(estimate: Estimate, unit: float, name: str) -> str:
    """The difference and how sure it is."""
    difference = f"{unit * estimate.difference:+.3g}{name}"
    if estimate.low is None or estimate.high is None:
        return f"{difference}, of which fewer than {fewest_pairs()} pairs say nothing"
    verdict = "more than chance" if estimate.is_significant else "which may be chance"
    return f"{difference}, from {unit * estimate.low:+.3g} to {unit * estimate.high:+.3g}, {verdict}"


def _identity(uid: str, spec: ScalerSpec) -> str:
    """Equal as long as the same is compared; what a later release adds to the rules changes nothing while unused."""
    policy = replace(spec.policy, lead_time=timedelta(0)) if spec.lead_time_auto else spec.policy
    told = codec.to_json(Policy, policy).items()
    rules = {name: value for name, value in told if value is not None and name not in _NO_RULES_OF_THE_USER}
    plan = codec.to_json(Plan, spec.experiment)
    model = None if spec.model is None else spec.model.name
    target: tuple[str, ...] = (spec.target.api_version, spec.target.kind, spec.target.name)
    if isinstance(spec.target, GroupRef):
        target = (spec.target.access.region, *target)
    what = (uid, plan, *spec.metric.load, target, model, spec.zone.key, rules)
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:_MARK_LENGTH]
