"""How does an experiment look that is running, ended, or of equal arms? One with a known difference."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from controller.core.arms import turn_at
from controller.core.comparison import compared
from controller.core.experiment import Arm, Plan, Tally, begun, side
from controller.core.memory import Steering
from controller.experiment import Trial
from tests.builders import NOW, policy


def trial(
    *,
    is_ended: bool = False,
    arms: tuple[Arm, Arm] = (Arm.REACTIVE, Arm.PREDICTIVE),
    pairs: int = 12,
    turn: Arm | None = None,
    has_ended: bool = False,
) -> Trial:
    """An experiment of 24 hours. The second arm has a replica more and is never short, the first a tenth of the time.

    `turn`: whose it is, the one that it is at its first window by default.
    """
    plan = Plan(windows=24, window_length=timedelta(hours=1), arms=arms)
    begun_at = NOW - plan.windows * plan.window_length if is_ended else NOW
    state = begun(begun_at, "web", plan, Steering())
    tallies = tuple(
        Tally(known=3000, replicas=3000 * (5 + one), needed=12000, short=300 * (1 - one), changes=2)
        for one in (side(state, window) for window in range(2 * pairs))
    )
    experiment = replace(state, tallies=tallies, is_ended=is_ended)
    at = state.start + 2 * pairs * plan.window_length
    found = turn_at(experiment, NOW)
    return Trial(
        experiment=experiment,
        turn=found if turn is None else replace(found, arm=turn),
        comparison=compared(policy(), replace(experiment, is_ended=False), at),
        over=2 * pairs,
        has_ended=has_ended,
    )
