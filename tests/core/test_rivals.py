"""Which way is cheaper: what both would have had ready, and when the forecast steps back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.decide import decide
from controller.core.memory import Memory, Plan, Rivals
from controller.core.rivals import MOST_PLANS, PRIOR, Pick, by_forecast, by_reacting, followed, planned, ready, worth
from tests.builders import FRESH, INTERVAL, NOW, forecast, pods, policy, rules, seconds, seen

# ready after 60 s, held for 300 s
PATIENT = policy(objective=0.01, lead=seconds(60), down=rules(pods(1000, period=1), window=300), high=1000)
LONG = 1e9


def _lived(pairs: list[tuple[int, int]]) -> Memory:
    """What is remembered after these plans, one each interval, the last one at NOW."""
    memory = FRESH
    for index, (one, other) in enumerate(pairs):
        now = NOW + INTERVAL * (index + 1 - len(pairs))
        memory = replace(memory, rivals=planned(now, 0.0, one, other, PATIENT, memory))
    return memory


def _plan(time: datetime, size: int) -> Plan:
    return Plan(time=time, forecast=size, reactive=size, forecast_held=size, reactive_held=size)


def _cost(forecast: float, reactive: float, watched: float = LONG) -> Rivals:
    """Rivals that needed so many replicas."""
    return Rivals(watched=watched, forecast_cost=forecast * watched, reactive_cost=reactive * watched)


@pytest.mark.parametrize(("forecast", "expected"), [(5.0, 1.0), (10.0, 1.0), (10.5, 0.5), (11.0, 0.0), (99.0, 0.0)])
def test_the_forecast_steps_back_as_it_gets_dearer_than_reacting(forecast: float, expected: float) -> None:
    assert worth(_cost(forecast, 10.0), 0.01, 0.0) == pytest.approx(expected, abs=1e-4)


# a tenth dearer than reacting is no worth at all, in the long run; after the prior's time half of it is believed
@pytest.mark.parametrize(("watched", "expected"), [(0.0, 1.0), (PRIOR.total_seconds(), 0.5), (LONG, 0.0)])
def test_little_that_was_watched_says_little(watched: float, expected: float) -> None:
    assert worth(_cost(11.0, 10.0, watched), 0.01, 0.0) == pytest.approx(expected, abs=1e-4)


# the forecast is twice as dear, so by cost alone it has no say; an objective of 1 %
@pytest.mark.parametrize(
    ("reactive", "forecast", "expected"),
    [(0.0125, 0.01, 0.0), (0.015, 0.01, 0.5), (0.0175, 0.01, 1.0), (0.5, 0.4, 1.0), (0.5, 0.6, 0.0)],
)
def test_what_is_cheap_because_it_is_short_too_often_is_no_choice(
    reactive: float, forecast: float, expected: float
) -> None:
    short = replace(_cost(20.0, 10.0), judged=LONG, forecast_short=forecast * LONG, reactive_short=reactive * LONG)
    assert worth(short, 0.01, unreachable=1.0) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("unreachable", "expected"), [(0.0, 0.0), (0.0025, 0.0), (0.00375, 0.5), (0.005, 1.0)])
def test_reacting_that_was_short_too_often_keeps_its_word_where_a_headroom_would_have_helped(
    unreachable: float, expected: float
) -> None:
    short = replace(_cost(20.0, 10.0), judged=LONG, forecast_short=0.01 * LONG, reactive_short=0.05 * LONG)
    assert worth(short, 0.01, unreachable) == pytest.approx(expected, abs=1e-3)


def test_both_ways_are_judged_by_what_they_had_ready() -> None:
    """A load of 50 and five replicas by the forecast, four by reacting, each for long enough."""
    memory = _lived([(5, 4)] * 30)
    after = planned(NOW + INTERVAL, 50.0, 5, 4, PATIENT, memory)
    more = planned(NOW + INTERVAL, 51.0, 5, 4, PATIENT, memory)
    assert (after.forecast_short, after.reactive_short, more.forecast_short) == (0.0, 15.0, 15.0)


def test_what_is_not_known_is_not_judged() -> None:
    assert planned(NOW + INTERVAL, 99.0, 1, 1, PATIENT, _lived([(1, 1)])).judged == 0.0


@pytest.mark.parametrize("pick", [by_forecast, by_reacting])
def test_what_was_asked_for_within_the_lead_time_is_not_ready(pick: Pick) -> None:
    lived = _lived([(3, 3)] * 30 + [(9, 9)] * 4).rivals
    assert ready(lived, pick, NOW, PATIENT) == 3
    assert ready(_lived([(3, 3)] * 30 + [(9, 9)] * 9).rivals, pick, NOW, PATIENT) == 9


def test_what_is_no_longer_asked_for_is_held_for_the_scale_down_window() -> None:
    assert ready(_lived([(9, 2)] * 20 + [(3, 2)] * 15).rivals, by_forecast, NOW, PATIENT) == 9
    assert ready(_lived([(9, 2)] * 20 + [(3, 2)] * 30).rivals, by_forecast, NOW, PATIENT) == 3


def test_nothing_is_known_before_the_first_lead_time_is_over() -> None:
    assert ready(_lived([(9, 9)] * 3).rivals, by_forecast, NOW, PATIENT) is None
    assert ready(Rivals(), by_reacting, NOW, PATIENT) is None


def test_reacting_follows_what_was_seen_a_lead_time_ago_and_holds_it() -> None:
    memory = FRESH
    for tick in range(60):
        load = 80.0 if tick == 20 else 50.0 if tick < 57 else 90.0
        rivals = planned(NOW + tick * INTERVAL, load, None, 1, PATIENT, memory)
        memory = replace(memory, rivals=rivals)
    assert followed(memory.rivals, NOW + 59 * INTERVAL, PATIENT) == 50.0
    assert followed(memory.rivals, NOW + 75 * INTERVAL, PATIENT) == 90.0
    assert followed(Rivals(), NOW, PATIENT) is None


def test_without_a_forecast_no_costs_are_compared() -> None:
    after = planned(NOW, 50.0, None, 7, PATIENT, FRESH)
    assert (after.watched, after.judged, after.plans[0].reactive) == (0.0, 0.0, 7)


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 50), min_size=30, max_size=60))
def test_it_is_near_to_what_a_fleet_would_have_had(sizes: list[int]) -> None:
    """An oracle with every tick; two neighbours are one plan, dated by its first, so the last held may be left out."""
    held = [max(sizes[max(0, at - 18) : at + 1]) for at in range(len(sizes))]
    found = ready(_lived([(size, size) for size in sizes]).rivals, by_forecast, NOW, PATIENT)
    late = held[-9:]
    assert found is not None
    assert min(late) <= found <= max(sizes[-30:])


@given(count=st.integers(1, 200), lead=st.integers(0, 6 * 3600), window=st.integers(0, 3600))
def test_few_plans_are_kept_however_long_the_lead(count: int, lead: int, window: int) -> None:
    rails = policy(objective=0.01, lead=seconds(lead), down=rules(window=window))
    memory = FRESH
    for tick in range(count):
        memory = replace(memory, rivals=planned(NOW + tick * INTERVAL, 0.0, 1, 1, rails, memory))
    assert len(memory.rivals.plans) <= MOST_PLANS + 2


def test_costs_of_a_day_ago_count_half() -> None:
    memory = replace(FRESH, rivals=_cost(20.0, 10.0, watched=86_400.0))
    for tick in range(86_400 // 15):
        memory = replace(memory, rivals=planned(NOW + tick * INTERVAL, 0.0, 5, 5, PATIENT, memory))
    costs = memory.rivals
    day = 86_400 * (1 - 0.5) / np.log(2)  # what a day of counting comes to, as it decays
    assert costs.watched == pytest.approx(86_400 / 2 + day, rel=1e-3)
    assert costs.forecast_cost == pytest.approx(20 * 86_400 / 2 + 5 * day, rel=1e-3)


def test_a_plan_of_the_future_is_forgotten() -> None:
    memory = replace(FRESH, rivals=Rivals(plans=(_plan(NOW + timedelta(hours=1), 9),)))
    assert [plan.time for plan in planned(NOW, 0.0, 1, 1, PATIENT, memory).plans] == [NOW]


def test_a_decision_thinks_both_ways_through() -> None:
    # 60 are forecast for the level, 20 are seen: with a headroom of 1 / 0.7 that is 28.6
    _, memory = decide(NOW, seen(20.0), forecast(60), 5, PATIENT, FRESH)
    assert [(plan.forecast, plan.reactive) for plan in memory.rivals.plans] == [(6, 3)]


@pytest.mark.parametrize("rails", [policy(), replace(PATIENT, objective=None)])
def test_without_an_objective_costs_are_not_compared(rails: object) -> None:
    _, memory = decide(NOW, seen(20.0), forecast(60), 5, rails, FRESH)  # type: ignore[arg-type]
    assert memory.rivals == Rivals()


def test_a_dear_forecast_leaves_the_decision_to_what_is_seen() -> None:
    dear = replace(FRESH, rivals=_cost(20.0, 10.0))
    decision, _ = decide(NOW, seen(20.0), forecast(200), 3, PATIENT, dear)
    assert (decision.demand.weight, decision.demand.worth, decision.replicas) == (0.0, 0.0, 3)


@pytest.mark.slow
def test_each_way_comes_to_the_objective_whoever_decides() -> None:
    """Bursts that nobody forecasts: reacting is cheaper, and what decides is short as often as it may be."""
    generator = np.random.default_rng(4)
    loads = generator.poisson(100, 9000).astype(float)
    for start in range(60, 9000, 240):
        loads[start : start + 24] *= 4
    memory, size, sizes, short, weights = FRESH, 15, [15], [], []
    for tick, load in enumerate(loads):
        now = NOW + tick * INTERVAL
        observation = None if tick == 0 else seen(float(loads[tick - 1]), at=now)
        expected = forecast(*[120.0] * 9, origin=now, step=INTERVAL)
        decision, memory = decide(now, observation, expected, size, replace(PATIENT, objective=0.025), memory)
        size = decision.replicas
        sizes.append(size)
        short.append(load > min(sizes[-5:]) * 10.0)
        weights.append(decision.demand.weight)
    assert np.mean(weights[-3000:]) < 0.2
    assert np.mean(short[-4500:]) == pytest.approx(0.025, abs=0.006)
