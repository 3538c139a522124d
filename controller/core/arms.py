"""How does an experiment's arm decide, and what may it learn from that? Around `decide`, while there is an experiment.

Both arms are `decide`, so each is guarded by what is seen; the reactive one is not told the forecast. The forecasts
are scored all the time, since what comes true of them is nobody's doing. How short of replicas the load is, is the
doing of whoever asked for them, so each arm learns that from its own sizes alone (docs/decisions/0012).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from controller.core import calibration
from controller.core.decide import Decision, Step, decide
from controller.core.experiment import (
    Arm,
    Experiment,
    Sight,
    arm_at,
    is_washed_out,
    tallied,
    window_at,
    window_end,
)
from controller.core.forecast import Forecast
from controller.core.memory import Memory
from controller.core.policy import Policy
from controller.core.series import Observation

RULE = "Experiment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whose turn it is. `window`: its number, from 1, `of` so many; None when all are over, as is `until`."""

    arm: Arm
    window: int | None
    of: int
    until: datetime | None

    @property
    def words(self) -> str:
        """The same for people."""
        if self.window is None or self.until is None:
            return f"all {self.of} windows are over; the {self.arm.value} arm goes on"
        until = self.until.isoformat(timespec="seconds").replace("+00:00", "Z")
        return f"window {self.window} of {self.of} is the {self.arm.value} arm's, until {until}"


def turn_at(experiment: Experiment, now: datetime) -> Turn:
    """Whose turn it is now."""
    window = window_at(experiment, now)
    return Turn(
        arm=arm_at(experiment, now),
        window=None if window is None else window + 1,
        of=experiment.plan.windows,
        until=None if window is None else window_end(experiment, window),
    )


def shown(arm: Arm, forecast: Forecast | None) -> Forecast | None:
    """What an arm may know of the future."""
    return forecast if arm is Arm.PREDICTIVE else None


def own(arm: Arm, experiment: Experiment, memory: Memory) -> Memory:
    """The memory that an arm decides by: what it learnt of its own sizes, and all else that is known."""
    return memory if arm is Arm.PREDICTIVE else replace(memory, steering=experiment.reactive)


def decide_as(
    turn: Turn,
    now: datetime,
    observation: Observation | None,
    forecast: Forecast | None,
    current: int,
    policy: Policy,
    memory: Memory,
) -> tuple[Decision, Memory]:
    """As `decide`, by the arm whose turn it is, given its `own` memory; the last Step says which, and until when."""
    decision, after = decide(now, observation, shown(turn.arm, forecast), current, policy, memory)
    told = Step(rule=RULE, before=decision.replicas, after=decision.replicas, why=turn.words)
    return replace(decision, steps=(*decision.steps, told)), after


def learnt(
    turn: Turn,
    decision: Decision,
    observation: Observation | None,
    forecast: Forecast | None,
    policy: Policy,
    experiment: Experiment,
    before: Memory,
    after: Memory,
) -> tuple[Memory, Experiment]:
    """What is remembered of a decision of `decide_as`.

    `before`: what the experiment's last turn left, `after`: what this decision did. What is seen during the wash-out
    is of the other arm's sizes, so nothing is learnt from it about one's own.
    """
    sight = Sight(now=decision.time, load=decision.demand.seen, size=decision.current, ready=_ready(after, policy))
    steering = after.steering
    if not is_washed_out(policy, experiment, decision.time):
        steering = replace(own(turn.arm, experiment, before).steering, time=steering.time)
    experiment = tallied(policy, experiment, sight)
    if turn.arm is Arm.PREDICTIVE:
        return replace(after, steering=steering), experiment
    memory = replace(_scored(after, observation, forecast, policy), steering=before.steering)
    return memory, replace(experiment, reactive=steering)


def decide_in_turn(
    now: datetime,
    observation: Observation | None,
    forecast: Forecast | None,
    current: int,
    policy: Policy,
    memory: Memory,
    experiment: Experiment,
) -> tuple[Decision, Memory, Experiment]:
    """`decide` while there is an experiment: by the arm whose turn it is, and what both of them remember."""
    turn = turn_at(experiment, now)
    decision, after = decide_as(turn, now, observation, forecast, current, policy, own(turn.arm, experiment, memory))
    return decision, *learnt(turn, decision, observation, forecast, policy, experiment, memory, after)


def _ready(memory: Memory, policy: Policy) -> int:
    """Those asked for all the time that a replica takes to start."""
    return 0 if memory.size is None else memory.smallest_since(memory.size.time - policy.window) or 0


def _scored(memory: Memory, observation: Observation | None, forecast: Forecast | None, policy: Policy) -> Memory:
    """The record of the forecasts goes on while they do not decide."""
    if observation is None:
        return memory
    return replace(memory, track=calibration.updated(memory.track, observation.history, forecast, policy))
