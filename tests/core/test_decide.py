"""The whole decision: what always holds, whatever comes in, and what each step says."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.decide import decide
from controller.core.forecast import Forecast
from controller.core.memory import Memory
from controller.core.policy import Fallback, Limit, Policy, PolicyType, RatePolicy, ScalingRules, SelectPolicy
from controller.core.series import Observation
from tests.builders import FRESH, INTERVAL, NOW, STEP, forecast, percent, pods, policy, rules, seconds, seen, unseen

RATES = st.builds(
    RatePolicy, type=st.sampled_from(PolicyType), value=st.integers(1, 120), period=st.integers(1, 90).map(seconds)
)
RULES = st.builds(
    ScalingRules,
    stabilization=st.sampled_from([0, 15, 60, 300]).map(seconds),
    tolerance=st.sampled_from([0.0, 0.1, 0.5]),
    select=st.sampled_from(SelectPolicy),
    policies=st.lists(RATES, min_size=1, max_size=3).map(tuple),
)
FALLBACKS = st.builds(Fallback, after=st.sampled_from([0, 30]).map(seconds), replicas=st.none() | st.integers(1, 30))
POLICIES = st.builds(
    lambda low, span, up, down, fallback, objective, flap_budget: policy(
        low=low,
        high=low + span,
        up=up,
        down=down,
        fallback=fallback,
        objective=objective,
        flap_budget=flap_budget,
    ),
    st.integers(1, 20),
    st.integers(0, 30),
    RULES,
    RULES,
    FALLBACKS,
    st.sampled_from([None, 0.01, 0.2]),
    st.sampled_from([None, 1, 6]),
)
BAD_LOADS = st.sampled_from([math.nan, math.inf, -1.0])
LOADS = st.floats(0, 800) | st.just(0.0)
ABSENT = st.sampled_from([None, unseen(), seen(math.nan), seen(-5.0), seen(9.0, at=NOW - timedelta(hours=1))])
FORECASTS = st.none() | st.lists(st.floats(0, 900), min_size=1, max_size=4).map(lambda uppers: forecast(*uppers))
SIZES = st.integers(1, 60)
QUICK = settings(max_examples=50, deadline=None)
TICKS = st.lists(st.tuples(st.integers(1, 60), LOADS | st.none()), min_size=1, max_size=25)


def _lived(rails: Policy, size: int, ticks: list[tuple[int, float | None]]) -> list[tuple[float, int, Memory]]:
    """Seconds since NOW, size asked for and memory of each tick, when every decision is carried out."""
    memory, elapsed, lived = FRESH, 0.0, []
    for gap, load in ticks:
        elapsed += gap
        now = NOW + seconds(elapsed)
        decision, memory = decide(now, None if load is None else seen(load, at=now), None, size, rails, memory)
        size = decision.replicas
        lived.append((elapsed, size, memory))
    return lived


@QUICK
@given(rails=POLICIES, current=SIZES, observation=ABSENT | LOADS.map(seen) | BAD_LOADS.map(seen), ahead=FORECASTS)
def test_bounds_hold_whatever_comes_in(
    rails: Policy, current: int, observation: Observation | None, ahead: Forecast | None
) -> None:
    decision, _ = decide(NOW, observation, ahead, current, rails, FRESH)
    assert rails.min_replicas <= decision.replicas <= rails.max_replicas


@QUICK
@given(rails=POLICIES, current=SIZES, observation=ABSENT, ahead=FORECASTS)
def test_absent_data_never_shrinks(
    rails: Policy, current: int, observation: Observation | None, ahead: Forecast | None
) -> None:
    decision, _ = decide(NOW, observation, ahead, current, rails, FRESH)
    assert decision.replicas >= min(current, rails.max_replicas)


@QUICK
@given(rails=POLICIES, size=SIZES, ticks=TICKS, observation=ABSENT)
def test_absent_data_never_shrinks_after_any_past(
    rails: Policy, size: int, ticks: list[tuple[int, float | None]], observation: Observation | None
) -> None:
    elapsed, current, memory = _lived(rails, size, ticks)[-1]
    decision, _ = decide(NOW + seconds(elapsed + 15), observation, None, current, rails, memory)
    assert decision.replicas >= current


@QUICK
@given(rails=POLICIES, load=LOADS | st.none())
def test_what_was_scaled_to_zero_stays_there(rails: Policy, load: float | None) -> None:
    decision, _ = decide(NOW, None if load is None else seen(load), forecast(500), 0, rails, FRESH)
    assert decision.replicas == 0


@QUICK
@given(rails=POLICIES, size=SIZES, ticks=TICKS, load=LOADS | st.none(), ahead=FORECASTS)
def test_deciding_again_at_the_same_instant_changes_nothing(
    rails: Policy, size: int, ticks: list[tuple[int, float | None]], load: float | None, ahead: Forecast | None
) -> None:
    elapsed, current, memory = _lived(rails, size, ticks)[-1]
    now = NOW + seconds(elapsed + 15)
    observation = None if load is None else seen(load, at=now)
    first, memory = decide(now, observation, ahead, current, rails, memory)
    second, _ = decide(now, observation, ahead, first.replicas, rails, memory)
    assert second.replicas == first.replicas


@QUICK
@given(rails=POLICIES, size=SIZES, ticks=TICKS, load=LOADS, ahead=FORECASTS)
def test_a_forecast_can_only_add(
    rails: Policy, size: int, ticks: list[tuple[int, float | None]], load: float, ahead: Forecast | None
) -> None:
    elapsed, current, memory = _lived(rails, size, ticks)[-1]
    now = NOW + seconds(elapsed + 15)
    alone, _ = decide(now, seen(load, at=now), None, current, rails, memory)
    helped, _ = decide(now, seen(load, at=now), ahead, current, rails, memory)
    assert helped.replicas >= alone.replicas


@QUICK
@given(value=st.integers(1, 6), period=st.integers(1, 90), size=st.integers(1, 60), ticks=TICKS)
def test_growth_within_any_period_stays_within_the_policy(
    value: int, period: int, size: int, ticks: list[tuple[int, float | None]]
) -> None:
    rails = policy(up=rules(pods(value, period)), down=rules(select=SelectPolicy.DISABLED))
    past = [(-1e9, size)]
    for at, asked, _ in _lived(rails, size, ticks):
        before = [earlier for time, earlier in past if time <= at - period][-1]
        assert asked <= before + value
        past.append((at, asked))


@QUICK
@given(value=st.integers(1, 6), period=st.integers(1, 90), size=st.integers(1, 60), ticks=TICKS)
def test_shrinking_within_any_period_stays_within_the_policy(
    value: int, period: int, size: int, ticks: list[tuple[int, float | None]]
) -> None:
    rails = policy(down=rules(pods(value, period)), up=rules(select=SelectPolicy.DISABLED))
    past = [(-1e9, size)]
    for at, asked, _ in _lived(rails, size, ticks):
        before = [earlier for time, earlier in past if time <= at - period][-1]
        assert asked >= before - value
        past.append((at, asked))


@pytest.mark.parametrize("select", [SelectPolicy.MAX, SelectPolicy.MIN])
def test_half_a_minute_of_doubling_every_15_s(select: SelectPolicy) -> None:
    rails = policy(high=1000, up=rules(percent(100), pods(4), select=select))
    sizes = [asked for _, asked, _ in _lived(rails, 3, [(15, 10_000.0)] * 4)]
    # Max: max(3 + 4, 3 x 2) = 7, then max(11, 14), 28, 56. Min: min(7, 6) = 6, then min(10, 12), 14, 18.
    assert sizes == {SelectPolicy.MAX: [7, 14, 28, 56], SelectPolicy.MIN: [6, 10, 14, 18]}[select]


@pytest.mark.parametrize(
    ("current", "rails", "load", "names"),
    [
        (5, policy(), 100.0, ["Load"]),
        (10, policy(), 105.0, ["Tolerance"]),
        (5, policy(up=rules(pods(2))), 100.0, ["Load", "Rate"]),
        (5, policy(high=6, up=rules(pods(2))), 100.0, ["Load", "Rate", "Bounds"]),
        (5, policy(down=rules(pods(9), window=60)), 0.0, ["Load", "Stabilization"]),
        (0, policy(), 100.0, ["Disabled"]),
        (5, policy(), None, ["Hold"]),
        (5, policy(fallback=Fallback(after=timedelta(0), replicas=8)), None, ["Fallback"]),
        (5, policy(high=4), None, ["Hold", "Bounds"]),
    ],
)
def test_steps_name_the_rules_that_took_part(current: int, rails: Policy, load: float | None, names: list[str]) -> None:
    decision, _ = decide(NOW, None if load is None else seen(load), None, current, rails, FRESH)
    assert [step.rule for step in decision.steps] == names


@QUICK
@given(rails=POLICIES, current=SIZES, load=LOADS | st.none(), ahead=FORECASTS)
def test_steps_lead_from_the_current_size_to_the_decision_without_a_gap(
    rails: Policy, current: int, load: float | None, ahead: Forecast | None
) -> None:
    decision, _ = decide(NOW, None if load is None else seen(load), ahead, current, rails, FRESH)
    befores = [step.before for step in decision.steps]
    afters = [step.after for step in decision.steps]
    assert [*befores, decision.replicas] == [current, *afters]


@pytest.mark.parametrize(
    ("observation", "rails", "words"),
    [
        (seen(234.5), policy(each=10), "Seen load 234.5 / 10 per replica needs 24"),
        (seen(52), policy(each=10), "Seen load 52 / 10 per replica is within tolerance of 5"),
        (seen(234.5), policy(each=10, high=20), "maxReplicas is 20"),
        (seen(234.5), policy(each=10, up=rules(pods(3))), "scaleUp allows 8 now"),
        (seen(0), policy(low=2), "minReplicas is 2"),
        (seen(0), policy(down=rules(pods(9), window=60)), "5 were wanted within the last 60 s"),
        (None, policy(), "no usable metric for 0 s"),
    ],
)
def test_message_is_built_from_the_values_used(observation: Observation | None, rails: Policy, words: str) -> None:
    decision, _ = decide(NOW, observation, None, 5, rails, FRESH)
    assert words in decision.message


def test_message_gives_each_step_with_before_and_after() -> None:
    decision, _ = decide(NOW, seen(200), forecast(300, 300), 5, policy(high=8), FRESH)
    assert re.match(r"Load 5 -> 30: Forecast load 300 .*; Bounds 30 -> 8: ", decision.message)


@pytest.mark.parametrize(
    ("missing", "fallback", "current", "size"),
    [
        (0, 8, 5, 5),
        (29, 8, 5, 5),
        (30, 8, 5, 8),
        (30, 3, 5, 5),  # a fallback never shrinks
        (3000, None, 5, 5),  # hold
    ],
)
def test_fallback_after_30_s_by_how_long_the_metric_is_missing(
    missing: float, fallback: int | None, current: int, size: int
) -> None:
    rails = policy(fallback=Fallback(after=seconds(30), replicas=fallback))
    _, memory = decide(NOW, seen(50), None, current, rails, FRESH)
    decision, _ = decide(NOW + seconds(missing), None, None, current, rails, memory)
    assert decision.replicas == size


@pytest.mark.parametrize(
    ("elapsed", "load", "size"),
    [
        (45, None, 5),  # 5 was enough less than a minute ago
        (60, None, 8),  # the size that was held for want of a metric delays neither the fallback
        (60, 90.0, 9),  # nor what the next value asks for
        (60, 10.0, 5),  # but it does hold down
    ],
)
def test_a_gap_counts_for_the_scale_down_window_only(elapsed: int, load: float | None, size: int) -> None:
    rails = policy(
        up=rules(pods(99), window=60), down=rules(window=60), fallback=Fallback(after=seconds(30), replicas=8)
    )
    memory, current = FRESH, 5
    for after in range(0, elapsed + 1, 15):
        now, value = NOW + seconds(after), 50.0 if after == 0 else load if after == elapsed else None
        decision, memory = decide(now, unseen() if value is None else seen(value, now), None, current, rails, memory)
        current = decision.replicas
    assert current == size


def test_the_wait_for_a_fallback_begins_anew_after_each_usable_metric() -> None:
    rails = policy(fallback=Fallback(after=seconds(30), replicas=8))
    _, memory = decide(NOW, None, None, 5, rails, FRESH)
    _, memory = decide(NOW + seconds(20), seen(50, at=NOW + seconds(20)), None, 5, rails, memory)
    decision, _ = decide(NOW + seconds(40), None, None, 5, rails, memory)
    assert decision.replicas == 5


def test_a_new_scaler_without_a_metric_waits_for_its_fallback_from_now_on() -> None:
    rails = policy(fallback=Fallback(after=seconds(30), replicas=8))
    _, memory = decide(NOW, None, None, 5, rails, FRESH)
    decision, _ = decide(NOW + seconds(30), None, None, 5, rails, memory)
    assert decision.replicas == 8


def test_the_size_found_first_counts_as_wanted_until_then() -> None:
    decision, _ = decide(NOW, seen(10), None, 5, policy(down=rules(pods(9), window=300)), FRESH)
    assert decision.replicas == 5


@pytest.mark.parametrize(("away", "size"), [(150, 1), (151, 50), (3600, 50)])
def test_seconds_without_a_decision_after_which_the_size_counts_as_wanted_until_now(away: float, size: int) -> None:
    rails = policy(down=rules(pods(99), window=120))
    _, memory = decide(NOW, seen(10), None, 50, policy(), FRESH)
    _, memory = decide(NOW + seconds(15), seen(10, at=NOW + seconds(15)), None, 50, rails, memory)
    later = NOW + seconds(15 + away)
    decision, _ = decide(later, seen(10, at=later), None, 50, rails, memory)
    assert decision.replicas == size


def test_a_clock_that_was_put_back_by_a_day_holds_a_size_for_one_window_only() -> None:
    rails = policy(down=rules(pods(99), window=60))
    ahead = NOW + timedelta(days=1)
    _, memory = decide(ahead, seen(500, at=ahead), None, 50, rails, FRESH)
    sizes = []
    for at in (NOW + seconds(15 * tick) for tick in range(5)):
        decision, memory = decide(at, seen(10, at=at), None, 50, rails, memory)
        sizes.append(decision.replicas)
    assert sizes == [50, 50, 50, 50, 1]


def test_a_size_that_somebody_else_set_uses_up_the_rate() -> None:
    rails = policy(up=rules(pods(4, period=60)))
    _, memory = decide(NOW, seen(50), None, 5, rails, FRESH)
    decision, _ = decide(NOW + seconds(15), seen(999, at=NOW + seconds(15)), None, 8, rails, memory)
    assert decision.replicas == 9  # 5 + 4, of which 3 are there


def test_a_burst_is_not_waited_out() -> None:
    """The lowest wish of the last minute was 5, and the load is more than anybody thought possible."""
    patient = policy(up=rules(pods(100, period=15), window=60))
    calm, memory = decide(NOW - seconds(15), seen(50.0, at=NOW - seconds(15)), None, 5, patient, FRESH)
    assert calm.replicas == 5
    waiting, _ = decide(NOW, seen(90.0), forecast(95.0), 5, patient, memory)
    burst, _ = decide(NOW, seen(90.0), forecast(60.0), 5, patient, memory)
    assert (waiting.replicas, burst.replicas) == (5, 9)
    assert "Seen (burst, above the 60 that was forecast) load 90 / 10 per replica needs 9" in burst.message


def test_a_shrinking_target_keeps_what_the_next_lead_time_will_need() -> None:
    # one step ahead 20 are needed now, 50 one lead time later, and 90 only after that
    rails = policy(lead=STEP - INTERVAL)
    decision, memory = decide(NOW, seen(20.0), forecast(20, 50, 90), 10, rails, FRESH)
    step = decision.steps[1]
    assert (decision.replicas, step.rule, step.before, step.after) == (5, "ScaleIn", 2, 5)
    assert step.why == "5 will be needed within the next lead time"
    assert memory.recommendations[-1].replicas == 2  # what the load asked for, not what was kept


def test_a_growing_target_is_not_held_to_the_next_lead_time() -> None:
    rails = policy(lead=STEP - INTERVAL)
    assert decide(NOW, seen(20.0), forecast(30, 90), 2, rails, FRESH)[0].replicas == 3


def test_the_flap_budget_holds_the_size_until_a_turn_is_an_hour_old() -> None:
    rails, size, memory, sizes = policy(flap_budget=2, lead=INTERVAL), 5, FRESH, []
    for tick in range(260):
        now = NOW + tick * INTERVAL
        load = 50.0 if tick % 2 == 0 else 90.0
        decision, memory = decide(now, seen(load, at=now), None, size, rails, memory)
        size = decision.replicas
        sizes.append(size)
    assert sizes[:6] == [5, 9, 5, 9, 9, 9]  # it turned twice: the third time it may not shrink
    assert sizes[6:238] == [9] * 232
    assert 5 in sizes[238:246]  # the first turn was an hour ago


def test_the_flap_budget_never_keeps_from_growing() -> None:
    rails = policy(flap_budget=1)
    turned = replace(FRESH, direction=-1, turns=(NOW - seconds(30), NOW - seconds(15)))
    assert decide(NOW, seen(90.0), None, 5, rails, turned)[0].replicas == 9


def test_the_share_that_was_short_is_told_with_an_objective_only() -> None:
    assert decide(NOW, seen(90.0), None, 5, policy(), FRESH)[0].under_provisioned is None
    assert decide(NOW, seen(90.0), None, 5, policy(objective=0.01), FRESH)[0].under_provisioned == 1.0


MOST = Limit(rule="TargetBounds", highest=6, why="the group's own maximum is 6")
LEAST = Limit(rule="Coordination", lowest=8, why="the 16 replicas need 8")


@pytest.mark.parametrize(
    ("load", "limits", "size", "last"),
    [
        (30, (LEAST,), 8, "Coordination 3 -> 8: the 16 replicas need 8"),
        (99, (MOST,), 6, "TargetBounds 10 -> 6: the group's own maximum is 6"),
        (30, (LEAST, MOST), 6, "TargetBounds 8 -> 6: the group's own maximum is 6"),
        (30, (MOST, LEAST), 8, "Coordination 3 -> 8: the 16 replicas need 8"),
        (50, (MOST,), 5, "Load 4 -> 5: Seen load 50 / 10 per replica needs 5"),
    ],
    ids=["lowest", "highest", "the-later-wins", "in-their-order", "unlimited"],
)
def test_limits_of_the_world_come_after_all_rules_of_the_user(
    load: float, limits: tuple[Limit, ...], size: int, last: str
) -> None:
    decision, _ = decide(NOW, seen(load), None, 4, replace(policy(), limits=limits), FRESH)
    assert (decision.replicas, str(decision.steps[-1])) == (size, last)


def test_what_a_limit_held_back_is_still_what_was_wished_for() -> None:
    """Else a window of stabilization would go by what could not be had."""
    free, bound = (decide(NOW, seen(99), None, 4, replace(policy(), limits=one), FRESH) for one in ((), (MOST,)))
    assert free[1].recommendations == bound[1].recommendations


def test_no_limit_wakes_what_was_scaled_to_zero() -> None:
    decision, _ = decide(NOW, seen(99), None, 0, replace(policy(), limits=(LEAST,)), FRESH)
    assert decision.replicas == 0
