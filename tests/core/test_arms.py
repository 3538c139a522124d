"""Two arms on one target: what does each of them know, and what does neither learn from the other?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.arms import decide_in_turn, turn_at
from controller.core.decide import Decision, decide
from controller.core.experiment import Arm, Experiment, Plan, arm_at, begun, is_washed_out, window_at
from controller.core.forecast import Forecast
from controller.core.memory import Memory, Steering
from controller.core.policy import Policy
from controller.core.series import Observation, Sample, Series, floor_to_step
from tests.builders import FRESH, NOW, STEP, forecast, percent, pods, policy, rules, seconds, seen

TICK = timedelta(minutes=1)
A_B, A_A, B_B = (
    (Arm.REACTIVE, Arm.PREDICTIVE),
    (Arm.REACTIVE, Arm.REACTIVE),
    (Arm.PREDICTIVE, Arm.PREDICTIVE),
)
PLAIN = policy(
    lead=timedelta(minutes=2), interval=TICK, up=rules(pods(4), percent(100)), down=rules(percent(100), window=300)
)
STEERED = replace(PLAIN, objective=0.05)


def plan(arms: tuple[Arm, Arm] = A_B, windows: int = 8) -> Plan:
    return Plan(windows=windows, window_length=timedelta(hours=1), arms=arms)


def known_until(loads: list[float], now: datetime) -> Observation:
    """Minute by minute until `now`, and its five-minute means."""
    minutes = (now - NOW) // TICK
    latest = Sample(time=now, value=loads[minutes - 1]) if minutes else None
    end = floor_to_step(now, STEP)
    whole = max(0, (end - NOW) // STEP)
    values = np.array(loads[: 5 * whole], dtype=np.float64).reshape(whole, 5).mean(axis=1)
    return Observation(history=Series(end=end, step=STEP, values=values), latest=latest)


def expecting(loads: list[float], now: datetime) -> Forecast:
    """Half as much again as what really comes, for half an hour."""
    origin = floor_to_step(now, STEP)
    first = (origin - NOW) // TICK
    steps = [loads[first + 5 * step : first + 5 * step + 5] or [1.0] for step in range(6)]
    return forecast(*(1.5 * max(step) for step in steps), origin=origin)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One decision, with what was there before and after it."""

    now: datetime
    decision: Decision
    before: tuple[Memory, Experiment]
    memory: Memory
    experiment: Experiment

    @property
    def arm(self) -> Arm:
        return arm_at(self.before[1], self.now)


def run(loads: list[float], rules_: Policy, of: Plan, identity: str = "web") -> Iterator[Tick]:
    """Decides each minute, on a target that obeys."""
    memory, size, experiment = FRESH, 5, begun(NOW, identity, of, Steering())
    for minute in range(len(loads)):
        now = NOW + minute * TICK
        before = memory, experiment
        decision, memory, experiment = decide_in_turn(
            now, known_until(loads, now), expecting(loads, now), size, rules_, memory, experiment
        )
        yield Tick(now=now, decision=decision, before=before, memory=memory, experiment=experiment)
        size = decision.replicas


def waves(seed: int, minutes: int) -> list[float]:
    generator = np.random.default_rng(seed)
    swing = 60 + 40 * np.sin(2 * np.pi * np.arange(minutes) / 180)
    return [float(load) for load in generator.poisson(swing)]


@pytest.fixture(scope="module")
def plain() -> list[Tick]:
    return list(run(waves(1, 480), PLAIN, plan()))


@pytest.fixture(scope="module")
def steered() -> list[Tick]:
    return list(run(waves(2, 480), STEERED, plan()))


def test_the_reactive_arm_knows_no_forecast(plain: list[Tick]) -> None:
    assert {tick.decision.demand.forecast is None for tick in plain if tick.arm is Arm.REACTIVE} == {True}


def test_the_predictive_arm_does(plain: list[Tick]) -> None:
    assert any(
        (tick.decision.demand.value or 0.0) > (tick.decision.demand.seen or 0.0)
        for tick in plain
        if tick.arm is Arm.PREDICTIVE
    )


def test_no_arm_prepares_for_less_than_is_seen(plain: list[Tick], steered: list[Tick]) -> None:
    demands = [tick.decision.demand for tick in (*plain, *steered)]
    assert all(one.value >= one.seen for one in demands if one.value is not None and one.seen is not None)


def test_each_decision_says_whose_it_is_and_until_when(plain: list[Tick]) -> None:
    for tick in plain:
        window = window_at(tick.before[1], tick.now)
        assert window is not None
        until = (NOW + (window + 1) * timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = f"Experiment: window {window + 1} of 8 is the {tick.arm.value} arm's, until {until}"
        assert tick.decision.message.endswith(wanted)
        assert tick.decision.steps[-1].after == tick.decision.replicas


def test_after_the_end_the_decision_says_so() -> None:
    state = begun(NOW, "web", plan(), Steering())
    decision, _, _ = decide_in_turn(NOW + 9 * timedelta(hours=1), seen(50), None, 5, PLAIN, FRESH, state)
    assert decision.steps[-1].why == "all 8 windows are over; the predictive arm goes on"


def test_the_arms_change_at_the_end_of_their_windows(plain: list[Tick]) -> None:
    changes = [after.now for before, after in pairwise(plain) if before.arm is not after.arm]
    assert changes
    assert {(change - NOW) % timedelta(hours=1) for change in changes} == {timedelta(0)}


def test_forecasts_are_scored_all_the_time(plain: list[Tick]) -> None:
    """As in an Active scaler that was given the same loads: the truth is nobody's doing."""
    memory, loads, size = FRESH, waves(1, 480), 5
    for tick in plain:
        decision, memory = decide(
            tick.now, known_until(loads, tick.now), expecting(loads, tick.now), size, PLAIN, memory
        )
        size = decision.replicas
        assert tick.memory.track == memory.track


def test_neither_arm_learns_from_the_sizes_of_the_other(steered: list[Tick]) -> None:
    for tick in steered:
        memory, experiment = tick.before
        if tick.arm is Arm.REACTIVE:
            assert tick.memory.steering == memory.steering
        else:
            assert tick.experiment.reactive == experiment.reactive


def test_nothing_is_learnt_in_the_wash_out(steered: list[Tick]) -> None:
    washing = [tick for tick in steered if not is_washed_out(STEERED, tick.before[1], tick.now)]
    assert len(washing) == 8 * 8  # 2 + 1 + 5 minutes of each window
    for tick in washing:
        before, after = _steerings(*tick.before), _steerings(tick.memory, tick.experiment)
        assert before == after


def test_both_arms_learn_in_their_own_time(steered: list[Tick]) -> None:
    last = steered[-1]
    assert last.memory.steering.settled > 0
    assert last.experiment.reactive.settled > 0
    assert last.experiment.reactive.headroom != Steering().headroom


@settings(max_examples=6)  # of two windows each: a replay takes a tenth of a second
@given(seed=st.integers(0, 1000), identity=st.text(min_size=1, max_size=8), rules_=st.sampled_from([PLAIN, STEERED]))
def test_equal_arms_decide_the_same_whatever_the_coins(seed: int, identity: str, rules_: Policy) -> None:
    """So what a window comes to hangs on the load alone, and an A/A test finds what chance finds."""
    loads = waves(seed, 120)
    for arms in (A_A, B_B):
        one, other = (
            [tick.decision.replicas for tick in run(loads, rules_, plan(arms), name)] for name in ("web", identity)
        )
        assert one == other


@pytest.mark.parametrize(("arms", "forecasts"), [(A_A, False), (B_B, True)])
def test_equal_arms_decide_as_decide_does(arms: tuple[Arm, Arm], forecasts: bool) -> None:
    loads, memory, size = waves(3, 300), FRESH, 5
    for tick in run(loads, PLAIN, plan(arms)):
        expected = expecting(loads, tick.now) if forecasts else None
        decision, memory = decide(tick.now, known_until(loads, tick.now), expected, size, PLAIN, memory)
        assert tick.decision.steps[:-1] == decision.steps
        size = decision.replicas


def test_what_is_tallied_is_what_was_decided(plain: list[Tick]) -> None:
    """By hand: minutes from the eighth of each window on, the size before the decision, the least of three minutes."""
    sizes = [5, *(tick.decision.replicas for tick in plain)]
    loads = waves(1, 480)
    for window, tally in enumerate(plain[-1].experiment.tallies[:7]):
        minutes = range(60 * window + 9, 60 * window + 61)
        assert tally.known == 60 * len(minutes)
        assert tally.replicas == 60 * sum(sizes[minute] for minute in minutes)
        short = [loads[minute - 1] > 10 * min(sizes[minute - 2 : minute + 1]) for minute in minutes]
        assert tally.short == 60 * sum(short)


def test_a_target_that_is_switched_off_stays_off() -> None:
    state = begun(NOW, "web", plan(), Steering())
    decision, _, after = decide_in_turn(NOW, seen(50), None, 0, PLAIN, FRESH, state)
    assert (decision.replicas, after.size) == (0, 0)


def test_without_a_metric_both_arms_hold() -> None:
    for number in range(4):
        state = begun(NOW, f"scaler {number}", plan(), Steering())
        decision, _, _ = decide_in_turn(NOW + seconds(1), None, None, 7, PLAIN, FRESH, state)
        assert decision.replicas == 7


def test_a_turn_in_words() -> None:
    state = begun(NOW, "web", plan(A_A), Steering())
    assert turn_at(state, NOW).words == "window 1 of 8 is the reactive arm's, until 2026-03-02T13:00:00Z"


def _steerings(memory: Memory, experiment: Experiment) -> tuple[Steering, Steering]:
    """What was learnt, but for when."""
    return replace(memory.steering, time=None), replace(experiment.reactive, time=None)
