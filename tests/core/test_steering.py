"""Does what is added meet the objective, whatever the load and the forecast are like?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.decide import decide
from controller.core.headroom import BOUNDS as HEADROOM_BOUNDS
from controller.core.headroom import FACTORS
from controller.core.memory import HEADROOMS, Memory, Recommendation, SizeChange, Steering
from controller.core.policy import Policy
from controller.core.series import Sample
from controller.core.steering import HEADROOM_RATE, SHIFT_BOUNDS, SHIFT_RATE, prepared, steered
from tests.builders import FRESH, INTERVAL, NOW, forecast, policy, seconds, seen

ONE_PERCENT = policy(objective=0.01, lead=seconds(60), high=1000)
LONG_JUDGED = Steering(settled=1e9, time=NOW - INTERVAL)
TEN = Memory(size=Recommendation(time=NOW, replicas=10), steering=LONG_JUDGED)  # each serves 10


def _after(load: float, memory: Memory = TEN, weight: float = 1.0, rules: Policy = ONE_PERCENT) -> Steering:
    return steered(memory, Sample(time=NOW, value=load), weight, rules)


@pytest.mark.parametrize(("load", "moved"), [(100.1, 0.99), (100.0, -0.01), (0.0, -0.01)])
def test_the_shift_goes_up_where_the_load_was_too_much_and_down_a_little_where_it_was_not(
    load: float, moved: float
) -> None:
    assert _after(load).shift == pytest.approx(SHIFT_RATE * moved, rel=1e-3)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_what_decides_is_what_learns(weight: float) -> None:
    after = _after(101.0, weight=weight)
    assert after.shift == pytest.approx(SHIFT_RATE * weight * 0.99, rel=1e-3)
    assert np.log(after.headroom / LONG_JUDGED.headroom) == pytest.approx(HEADROOM_RATE * (1 - weight) * 0.99, rel=1e-3)


def test_at_first_it_learns_eleven_times_as_fast() -> None:
    new = replace(TEN, steering=Steering())
    assert _after(101.0, new).shift == pytest.approx(11 * SHIFT_RATE * 0.99)


# the window is 75 s: what was asked for within it may not be ready
@pytest.mark.parametrize(("age", "is_short"), [(30, True), (74, True), (75, False), (300, False)])
def test_replicas_that_were_asked_for_lately_do_not_count(age: float, is_short: bool) -> None:
    grown = replace(TEN, changes=(SizeChange(time=NOW - seconds(age), change=4),))
    assert (_after(70.0, grown).shift > 0.0) is is_short


def test_another_objective_has_its_headroom_at_once() -> None:
    """Of a thousand loads twenty needed four times what was seen: too many for 1 %, and few enough for 5 %."""
    needed = [0.0] * (HEADROOMS + 1)
    needed[0], needed[FACTORS.index(4.0)] = 980.0, 20.0
    steering = replace(LONG_JUDGED, needed=tuple(needed), headroom=1.0, objective=0.05)
    after = _after(0.0, replace(TEN, steering=steering), rules=policy(objective=0.01, lead=seconds(60), high=1000))
    assert after.headroom == pytest.approx(4.0, rel=1e-3)
    assert after.objective == 0.01


def test_a_load_is_judged_once() -> None:
    after = _after(101.0)
    assert steered(replace(TEN, steering=after), Sample(time=NOW, value=101.0), 1.0, ONE_PERCENT) == after


@pytest.mark.parametrize(
    ("memory", "rules", "latest"),
    [
        (TEN, policy(), Sample(time=NOW, value=500.0)),  # no objective
        (TEN, ONE_PERCENT, None),
        (TEN, ONE_PERCENT, Sample(time=NOW, value=float("nan"))),
        (replace(TEN, size=None), ONE_PERCENT, Sample(time=NOW, value=500.0)),
        (replace(TEN, size=Recommendation(time=NOW, replicas=0)), ONE_PERCENT, Sample(time=NOW, value=500.0)),
    ],
)
def test_nothing_is_learnt_from(memory: Memory, rules: Policy, latest: Sample | None) -> None:
    assert steered(memory, latest, 1.0, rules) == LONG_JUDGED


def test_at_max_replicas_a_short_load_is_counted_but_moves_nothing() -> None:
    after = _after(101.0, rules=replace(ONE_PERCENT, max_replicas=10))
    assert (after.shift, after.headroom) == (LONG_JUDGED.shift, LONG_JUDGED.headroom)
    assert after.short == 1.0


@given(
    shift=st.floats(*SHIFT_BOUNDS),
    headroom=st.floats(*HEADROOM_BOUNDS),
    load=st.floats(0, 1e6),
    weight=st.floats(0, 1),
)
def test_what_is_added_stays_within_its_bounds(shift: float, headroom: float, load: float, weight: float) -> None:
    after = _after(load, replace(TEN, steering=Steering(shift=shift, headroom=headroom)), weight)
    assert SHIFT_BOUNDS[0] <= after.shift <= SHIFT_BOUNDS[1]
    assert HEADROOM_BOUNDS[0] <= after.headroom <= HEADROOM_BOUNDS[1]


@given(shift=st.floats(*SHIFT_BOUNDS), lower=st.floats(0, 1e9), spread=st.floats(0, 1e9))
def test_what_is_prepared_for_is_within_zero_and_eight_times_the_level(
    shift: float, lower: float, spread: float
) -> None:
    assert 0.0 <= prepared(Steering(shift=shift), lower + spread, spread) <= 8.0 * (lower + spread)


def test_a_forecast_that_is_sure_beyond_reason_can_still_be_shifted() -> None:
    assert prepared(Steering(shift=1.0), 100.0, 0.0) == pytest.approx(105.0)


def test_the_share_is_of_late_loads() -> None:
    """A day halves what was counted: one of 100 a day ago, and none of one now."""
    old = replace(TEN, steering=Steering(settled=100.0, short=1.0, time=NOW - timedelta(days=1)))
    assert _after(0.0, old).under_provisioned == pytest.approx(0.5 / 51)


def _share_short(loads: list[float], expected: list[float] | None, rules: Policy, last: int) -> float:
    """The share of the last loads that met too few ready replicas, when every decision is carried out.

    `expected`: the forecast's upper level for each load; a load meets what was asked for until the lead time before.
    """
    memory, size, sizes, short = FRESH, 10, [10], []
    lead = rules.lead_time // rules.interval
    for tick, load in enumerate(loads):
        now = NOW + tick * rules.interval
        ahead = None if expected is None else forecast(*expected[tick : tick + 9], origin=now, step=rules.interval)
        observation = None if tick == 0 else seen(loads[tick - 1], at=now)
        decision, memory = decide(now, observation, ahead, size, rules, memory)
        size = decision.replicas
        sizes.append(size)
        short.append(load > min(sizes[-lead - 1 :]) * rules.target_per_replica)
    return float(np.mean(short[-last:]))


def _noisy(kind: str, count: int, seed: int = 3) -> list[float]:
    generator = np.random.default_rng(seed)
    level = 200 + 100 * np.sin(np.arange(count) / count * 12 * np.pi)
    if kind == "jump":
        level[count // 2 :] *= 2
    noise = generator.poisson(level) if kind != "heavy" else level * np.exp(0.2 * generator.standard_t(4, count))
    return [float(load) for load in noise]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["poisson", "heavy", "jump"])
@pytest.mark.parametrize("bias", [0.6, 1.0, 1.5])
def test_the_objective_is_met_with_forecasts_that_are_too_low_right_or_too_high(kind: str, bias: float) -> None:
    loads = _noisy(kind, 4000)
    level = 200 + 100 * np.sin(np.arange(4009) / 4000 * 12 * np.pi)
    rules = policy(objective=0.02, lead=seconds(60), high=1000, low=1)
    # what jumps is doubled after the first half, and the forecast never learns of it
    last = 1000 if kind == "jump" else 2000
    found = _share_short(loads, [float(one) for one in bias * level], rules, last)
    assert found == pytest.approx(0.02, abs=0.008)


@pytest.mark.parametrize(("objective", "seed"), [(0.01, 0), (0.05, 1)])
def test_the_objective_is_met_without_a_forecast(objective: float, seed: int) -> None:
    rules = policy(objective=objective, lead=seconds(60), high=1000)
    assert _share_short(_noisy("poisson", 6000, seed), None, rules, last=3000) == pytest.approx(objective, abs=0.008)
