"""What does an experiment decide now, and what may either arm learn from it? The only way in while there is one.

Both arms are `decide`, so each is guarded by what is seen; the reactive one is not told the forecast. The forecasts
are scored all the time, since what comes true of them is nobody's doing; but how short of replicas the load is, is
the doing of whoever asked for them, so each arm learns that from its own sizes alone (docs/decisions/0011).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from controller.core import calibration
from controller.core.decide import Decision, Step, decide
from controller.core.experiment import (
    Arm,
    Experiment,
    Plan,
    Sight,
    arm_at,
    is_washed_out,
    tallied,
    window_at,
    window_end,
)
from controller.core.forecast import Forecast
from controller.core.memory import Memory, Steering
from controller.core.policy import Policy
from controller.core.series import Observation

RULE = "Experiment"


def decide_in_turn(
    now: datetime,
    observation: Observation | None,
    forecast: Forecast | None,
    current: int,
    policy: Policy,
    memory: Memory,
    *,
    plan: Plan,
    experiment: Experiment,
) -> tuple[Decision, Memory, Experiment]:
    """As `decide`, by the arm whose window it is; the last Step of the Decision says which, and until when."""
    arm = arm_at(plan, experiment, now)
    own = replace(memory, steering=experiment.steering[arm])
    decision, after = decide(now, observation, shown(arm, forecast), current, policy, own)
    after = _scored(after, observation, forecast, policy) if arm is Arm.REACTIVE else after
    if not is_washed_out(plan, policy, experiment, now):
        after = replace(after, steering=replace(own.steering, time=after.steering.time))
    sight = Sight(now=now, load=decision.demand.seen, size=current, ready=_ready(now, after, policy))
    experiment = replace(
        tallied(plan, policy, experiment, sight), steering=_learnt(experiment.steering, arm, after.steering)
    )
    return replace(decision, steps=(*decision.steps, _step(now, decision, plan, experiment))), after, experiment


def shown(arm: Arm, forecast: Forecast | None) -> Forecast | None:
    """What an arm may know of the future."""
    return forecast if arm is Arm.PREDICTIVE else None


def _scored(memory: Memory, observation: Observation | None, forecast: Forecast | None, policy: Policy) -> Memory:
    """The record of the forecasts goes on while they do not decide."""
    if observation is None:
        return memory
    return replace(memory, track=calibration.updated(memory.track, observation.history, forecast, policy))


def _ready(now: datetime, memory: Memory, policy: Policy) -> int:
    """Those asked for all the time that a replica takes to start."""
    return memory.smallest_since(now - policy.window) or 0


def _learnt(before: Mapping[Arm, Steering], arm: Arm, steering: Steering) -> dict[Arm, Steering]:
    return {**before, arm: steering}


def _step(now: datetime, decision: Decision, plan: Plan, experiment: Experiment) -> Step:
    """Changes nothing: it tells who decided."""
    arm, window = arm_at(plan, experiment, now), window_at(plan, experiment, now)
    if window is None:
        why = f"all {plan.windows} windows are over; the {arm.value} arm goes on"
    else:
        until = window_end(plan, experiment, window).isoformat(timespec="seconds").replace("+00:00", "Z")
        why = f"window {window + 1} of {plan.windows} is the {arm.value} arm's, until {until}"
    return Step(rule=RULE, before=decision.replicas, after=decision.replicas, why=why)
