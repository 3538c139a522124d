"""What is said of a decision: every sentence from the values used, whatever they were."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.story import headline, told
from controller.account import Account
from controller.core.arms import Turn
from controller.core.experiment import Arm
from controller.core.memory import Memory, Recommendation, Steering, TrackRecord
from controller.core.policy import Limit, Policy
from controller.core.series import Observation
from controller.core.startup import LeadTime, LeadTimeSource
from controller.outcome import LoadedModel, Outcome, Problem, Stage
from tests.builders import (
    FRESH,
    NOW,
    STEP,
    account,
    card,
    forecast,
    percent,
    pods,
    policy,
    record,
    rules,
    scaler,
    seconds,
    seen,
    series,
    unseen,
)
from tests.fakes import DIGEST
from tests.lives import POLICIES, Life

LEARNT = LeadTime(duration=seconds(60), source=LeadTimeSource.LEARNT, samples=7)


def _tells(made: Account) -> dict[str, str]:
    """By label."""
    return dict(told(made))


def _account(load: float | None = 45.0, *, mode: str = "Active", written: bool = False, **changes: Any) -> Account:
    """As `tests.builders.account`, of a model that is known; `found`, `problems` and `lead_time` are of the outcome."""
    outcome = {key: changes.pop(key) for key in ("found", "problems", "lead_time") if key in changes}
    made = record(load, **changes)
    return Account.of(
        scaler(spec={"mode": mode}),
        Outcome(
            time=NOW,
            model=LoadedModel(card=card(), digest=DIGEST),
            record=made,
            decision=made.decision,
            is_written=written,
            memory=made.memory,
            **outcome,
        ),
    )


def test_the_whole_story_of_a_morning() -> None:
    """The arithmetic: level 0.9 of the window's highest step is 70, and 70 / 10 needs 7; one lead time further 80."""
    rails = policy(lead=seconds(300), high=6, up=rules(pods(4), percent(100)), down=rules(pods(1), window=300))
    made = _account(45, written=True, ahead=forecast(60, 70, 80), current=3, rails=rails, lead_time=LEARNT)
    assert headline(made) == "shop/web, 2026-03-02T12:00:00Z"
    assert list(told(made)) == [
        ("Result", '3 -> 6 replicas, and Deployment "web" was told so.'),
        ("Seen", "A load of 45, 0 s old. 3 replicas serve 30 well, at 10 each."),
        (
            "Forecast",
            "seasonal-naive 1 (seasonal, abababababab) knew the load until 2026-03-02T12:00:00Z, 0 s before. A replica "
            "asked for at the next decision is ready at 2026-03-02T12:05:15Z: 5 min lead time learnt from 7 pods and "
            "15 s until then. Highest until then, by level: 50%: 35, 90%: 70. Level 0.9, 70, corrected by +0 of its "
            "band is 70; too few are known to say how many held.",
        ),
        ("Trust", "It counts 100%: no forecast yet can be held against what came."),
        ("Demand", "To be ready for: the larger of 45 seen and 45 + 1 x (70 - 45): 70."),
        ("Rule", "Load 3 -> 7: Forecast load 70 / 10 per replica needs 7."),
        ("Scale-in", "7 may pass: one lead time further 80 must be served."),
        ("Hold-down", "7 may pass: windows of 0 s up and 5 min down."),
        ("Rate", "7 may pass: scaleUp the Max of 4 Pods in 15 s and 100 Percent in 15 s; scaleDown 1 Pods in 15 s."),
        ("Flap budget", "7 may pass: none is set."),
        ("Bounds", "7 -> 6, maxReplicas is 6."),
        (
            "Without it",
            "Had there been no forecast now, 5 replicas: Load 3 -> 5: Seen load 45 / 10 per replica needs 5.",
        ),
        ("Made by", "release 0.1.0, mode Active, generation 1 of the spec."),
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"current": 5}, "5 replicas, as before."),
        ({"load": 5.0, "current": 1}, "1 replica, as before."),
        ({"load": 5.0, "current": 4}, "4 -> 1 replica, but"),
        ({"written": True}, '1 -> 5 replicas, and Deployment "web" was told so.'),
        ({"mode": "Observe"}, 'would be asked for. The mode is Observe, so Deployment "web" was left alone.'),
        ({"problems": (Problem(stage=Stage.ACT, reason="TargetConflict", message="changed"),)}, "was not told."),
        ({"mode": "Observe", "found": 9}, "had 9; 1 is what it would have had by these decisions."),
    ],
    ids=str,
)
def test_result(changes: dict[str, Any], words: str) -> None:
    assert words in _tells(_account(**changes))["Result"]


@pytest.mark.parametrize(
    ("observation", "words"),
    [
        (None, "The metric system gave nothing."),
        (unseen(), "No usable load: the query gives no series."),
        (seen(45, at=NOW - seconds(151)), "The last load was 45, 2.52 min old: too old (over 2.5 min) or no load."),
        (seen(math.nan), "The last load was nan, 0 s old"),
        (seen(45, at=NOW - seconds(4.5)), "A load of 45, 4.5 s old. 1 replica serves 10 well, at 10 each."),
        (replace(seen(45), problem="the history is late"), "Its history is not up to date: the history is late."),
    ],
    ids=str,
)
def test_what_was_seen(observation: Observation | None, words: str) -> None:
    assert words in _tells(_account(None, observation=observation))["Seen"]


def test_without_a_load_the_story_says_what_held_the_size() -> None:
    made = _tells(_account(None, current=4))
    assert made["Result"] == "4 replicas, as before."
    assert made["Rule"] == "Hold: no usable metric for 0 s (the metric system gave nothing)."
    assert "Demand" not in made


@pytest.mark.parametrize(
    ("problems", "words"),
    [
        ((), "None, so it reacts to what is seen."),
        (
            (Problem(stage=Stage.FORECAST, reason="ModelFile", message="there is no web.onnx"),),
            "None: there is no web.onnx.",
        ),
    ],
    ids=["none", "broken"],
)
def test_without_a_forecast(problems: tuple[Problem, ...], words: str) -> None:
    made = _tells(_account(problems=problems))
    assert made["Forecast"] == words
    assert not {"Trust", "Without it"} & made.keys()


def _track(**changes: Any) -> Memory:
    return Memory(track=TrackRecord(settled=40.0, watched=40.0, covered=36.0, **changes))


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (
            _track(loss=20.0, loss_persistence=40.0, loss_seasonal=50.0),
            "lost 20, persistence, the better of the naive, 40: 0.50",
        ),
        (
            _track(loss=90.0, loss_persistence=60.0, loss_seasonal=45.0),
            "the seasonal naive one, the better of the naive, 45: 2.00",
        ),
        (_track(loss=9.0), "the better of the naive, 0: far more than 1 to 1"),
        (Memory(track=TrackRecord(settled=3.0)), "only 3 forecasts can be held against what came"),
    ],
    ids=["persistence", "seasonal", "perfect", "few"],
)
def test_trust_by_the_losses(memory: Memory, words: str) -> None:
    assert words in _tells(_account(ahead=forecast(60, 70), memory=memory))["Trust"]


def test_the_correction_is_told_with_its_cause() -> None:
    made = _tells(_account(ahead=forecast(60, 70), memory=_track(correction=0.125)))
    assert "Level 0.9, 70, corrected by +0.125 of its band is 74.375; of late 90.0% held." in made["Forecast"]


def test_a_forecast_that_does_not_reach() -> None:
    made = _tells(_account(ahead=forecast(60, origin=NOW - 3 * STEP)))
    assert made["Forecast"].endswith("The forecast does not reach that far.")
    assert made["Demand"] == "To be ready for: 45 seen."


def test_an_objective_is_told_with_what_was_measured() -> None:
    steering = Steering(shift=0.5, headroom=1.25, time=NOW, settled=200.0, short=3.0)
    made = _tells(_account(rails=policy(objective=0.01), ahead=forecast(60, 70), memory=Memory(steering=steering)))
    assert made["Objective"] == (
        "Too few replicas may be ready in 1.00% of the time; of late it was 1.50%, over 200 loads. So +0.5 of its "
        "doubt is added to a forecast, and where none is trusted, what is seen counts 1.25-fold."
    )
    assert "Level 0.99, 70, with the objective's +0.5 of its doubt is 87.5." in made["Forecast"]
    assert made["Demand"] == "To be ready for: the larger of 45 seen and 56.25 + 1 x (87.5 - 56.25): 87.5."


def test_an_objective_that_nothing_is_known_of_yet() -> None:
    made = _tells(_account(None, rails=policy(objective=0.01), memory=Memory(steering=Steering(headroom=1.5))))
    assert "that was not measured yet" in made["Objective"]


def test_without_a_forecast_the_headroom_is_told() -> None:
    judged = Steering(headroom=1.5, time=NOW)  # so that this load teaches nothing more
    made = _tells(_account(rails=policy(objective=0.01), memory=Memory(steering=judged)))
    assert made["Demand"] == "To be ready for: the larger of 45 seen and 67.5 with headroom: 67.5."


def test_a_burst_is_named() -> None:
    made = _tells(_account(99, ahead=forecast(60, 70)))
    assert made["Burst"] == "More is seen than the 60 that was forecast at most: growth is not waited out."


@pytest.mark.parametrize(
    ("rails", "memory", "label", "words"),
    [
        (policy(down=rules(pods(9), window=300)), FRESH, "Hold-down", "5 -> 20, 20 were wanted within the last 300 s."),
        (policy(down=rules(pods(2))), FRESH, "Rate", "5 -> 18, scaleDown allows 18 now."),
        (
            policy(flap_budget=1),
            Memory(direction=1, turns=(NOW - seconds(60),)),
            "Flap budget",
            "5 -> 20, it turned 1 times in the last hour, 1 are allowed.",
        ),
        (policy(flap_budget=6), Memory(turns=(NOW,)), "Flap budget", "5 may pass: 6 an hour, 1 used."),
        (policy(low=8), FRESH, "Bounds", "5 -> 8, minReplicas is 8."),
        (policy(low=2, high=30), FRESH, "Bounds", "5 may pass: 2 to 30."),
    ],
)
def test_each_rail_with_its_numbers(rails: Policy, memory: Memory, label: str, words: str) -> None:
    memory = replace(memory, recommendations=(Recommendation(time=NOW - seconds(15), replicas=20),))
    assert _tells(_account(current=20, rails=rails, memory=memory))[label] == words


def test_scale_in_is_told_where_it_keeps_replicas() -> None:
    rails = policy(lead=seconds(600))
    made = _tells(_account(45, current=20, rails=rails, ahead=forecast(50, 50, 50, 190)))
    assert made["Scale-in"] == "5 -> 19, 19 will be needed within the next lead time."


def test_a_target_that_is_off_has_no_rails() -> None:
    made = _tells(_account(current=0))
    assert made["Rule"] == "Disabled: the target is scaled to 0; scale it up to hand it back."
    assert not {"Rate", "Bounds", "Scale-in"} & made.keys()


def test_whose_turn_it_is_in_an_experiment() -> None:
    made = _account()
    assert made.record is not None
    turn = Turn(arm=Arm.REACTIVE, window=3, of=48, until=NOW)
    inputs = replace(made.record.inputs, turn=turn)
    tells = _tells(replace(made, record=replace(made.record, inputs=inputs)))
    assert tells["Experiment"] == f"{turn.words}."


def test_nothing_was_decided() -> None:
    assert list(told(account(None))) == [
        ("Nothing", "was decided."),
        ("Problem", 'TargetNotFound (read): Deployment "web" does not exist.'),
    ]


def test_a_paused_scaler_says_so() -> None:
    paused = Account.of(scaler(spec={"mode": "Paused"}), Outcome(time=NOW, memory=FRESH))
    assert list(told(paused)) == [("Nothing", "was decided. The mode is Paused.")]


@pytest.mark.parametrize(
    ("source", "words"),
    [(LeadTimeSource.SPEC, "5 min lead time by the spec"), (LeadTimeSource.DEFAULT, "until pods were seen to start")],
)
def test_who_named_the_lead_time(source: LeadTimeSource, words: str) -> None:
    lead_time = LeadTime(duration=STEP, source=source)
    assert words in _tells(_account(ahead=forecast(60), lead_time=lead_time))["Forecast"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            LeadTimeSource.LEARNT,
            "4.25 min lead time learnt from 7 instances, 45 s for the pods on it and 15 s until then",
        ),
        (LeadTimeSource.DEFAULT, "4.25 min lead time until instances were seen to start, 45 s for the pods on it and"),
    ],
)
def test_the_lead_time_of_a_group_is_told_apart_from_that_of_its_pods(source: LeadTimeSource, words: str) -> None:
    lead_time = LeadTime(duration=STEP, source=source, samples=7, of_pods=seconds(45))
    made = _account(ahead=forecast(60), lead_time=lead_time)
    group = replace(made, scaler=replace(made.scaler, target='AutoScalingGroup "workers"'))
    assert words in _tells(group)["Forecast"]


LIMITS = (
    Limit(rule="Coordination", highest=5, why='1 of the 2 units of AutoScalingGroup "workers" serve, with room for 5'),
    Limit(rule="TargetBounds", highest=4, why="the AutoScalingGroup's own maximum is 4"),
)


def test_limits_of_the_world_come_last_whether_they_limit_or_not() -> None:
    made = _account(90, rails=replace(policy(), limits=LIMITS))
    units = '1 of the 2 units of AutoScalingGroup "workers" serve, with room for 5'
    assert list(told(made))[-4:-1] == [
        ("Bounds", "9 may pass: 1 to 100."),
        ("Coordination", f"9 -> 5: {units}."),
        ("Target bounds", "5 -> 4: the AutoScalingGroup's own maximum is 4."),
    ]
    few = _tells(_account(30, rails=replace(policy(), limits=LIMITS)))
    assert few["Coordination"] == f"3 may pass: {units}."


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), rails=POLICIES)
def test_whatever_comes_in_there_is_a_story_and_it_ends_with_the_decision(seed: int, rails: Policy) -> None:
    for made in Life(seed, rails, STEP, context=30, horizon=6).records(ticks=10):
        outcome = Outcome(time=made.inputs.now, record=made, decision=made.decision, memory=made.memory)
        kept = Account.from_text(Account.of(scaler(), outcome).to_text())
        story = list(told(kept))
        assert story == list(told(Account.of(scaler(), outcome)))
        assert all(text.endswith(".") for _, text in story)
        assert _last_size(dict(story)) in {made.decision.replicas, None}


def _last_size(tells: dict[str, str]) -> int | None:
    """What the last rail let pass; None where there are no rails."""
    words = tells.get("Bounds")
    if words is None:
        return None
    first = words.split(",")[0].split(" may")[0]
    return int(first.rpartition(" ")[2])


def test_a_history_is_no_part_of_the_story() -> None:
    one, other = (_account(None, observation=seen(45, history=series(values))) for values in ([1.0], [2.0]))
    assert list(told(one)) == list(told(other))
