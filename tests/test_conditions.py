"""Outcomes in the words of conditions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.conditions import Condition, ConditionType, Status, conditions, stored
from controller.core.decide import decide
from controller.core.experiment import Arm
from controller.core.memory import Memory, Rivals, Steering, TrackRecord
from controller.core.policy import Limit
from controller.core.scorecard import Scorecard, Tally, added
from controller.grading import Grade
from controller.outcome import Outcome, Problem, Stage
from tests.builders import FRESH, NOW, forecast, policy, scaler, seconds, seen
from tests.trials import trial

WELL = {"Ready": "True", "MetricsAvailable": "True", "Forecasting": "True", "AbleToScale": "True"}


def _outcome(*problems: Problem, current: int = 5, load: float | None = 50, **fields: Any) -> Outcome:
    memory, rules = fields.pop("memory", FRESH), fields.pop("rules", policy())
    decision, _ = decide(NOW, None if load is None else seen(load), forecast(50), current, rules, memory)
    made: dict[str, Any] = {"time": NOW, "problems": problems, "forecast": forecast(50), "memory": memory}
    return Outcome(**(made | {"decision": decision} | fields))


def _statuses(outcome: Outcome, **spec: Any) -> dict[str, str]:
    return {one.type.value: one.status.value for one in conditions(scaler(spec=spec), outcome, ())}


def _reason(outcome: Outcome, kind: ConditionType, **spec: Any) -> str:
    return next(one.reason for one in conditions(scaler(spec=spec), outcome, ()) if one.type is kind)


def _problem(stage: Stage) -> Problem:
    return Problem(stage=stage, reason="SomeReason", message="some words")


def test_all_is_well() -> None:
    assert _statuses(_outcome()) == WELL


@pytest.mark.parametrize(
    ("stage", "false"),
    [
        (Stage.FORECAST, {"Forecasting"}),
        (Stage.LEAD_TIME, set()),
        (Stage.READ, {"Ready", "AbleToScale"}),
        (Stage.COORDINATE, {"Ready", "AbleToScale"}),
        (Stage.DECIDE, {"Ready", "AbleToScale"}),
        (Stage.ACT, {"Ready", "AbleToScale"}),
    ],
)
def test_what_a_problem_makes_false_by_stage(stage: Stage, false: set[str]) -> None:
    statuses = _statuses(_outcome(_problem(stage)))
    assert {kind for kind, status in statuses.items() if status != "True"} == false


def _limited(*limits: Limit) -> Outcome:
    return _outcome(load=90, rules=replace(policy(), limits=limits))


MOST = Limit(rule="TargetBounds", highest=7, why="the AutoScalingGroup's own maximum is 7")
UNITS = Limit(rule="Coordination", highest=8, why="2 of the 3 units serve, with room for 8")
LEAST = Limit(rule="TargetBounds", lowest=1, why="the AutoScalingGroup's own minimum is 1")


@pytest.mark.parametrize(
    ("limits", "reason", "words"),
    [
        ((MOST,), "TargetAtBound", "is asked for 7 instead of 9: the AutoScalingGroup's own maximum is 7"),
        ((UNITS,), "Coordinated", "is asked for 8 instead of 9: 2 of the 3 units serve, with room for 8"),
        ((UNITS, MOST), "TargetAtBound", "is asked for 7 instead of 8: the AutoScalingGroup's own maximum is 7"),
        ((LEAST,), "ReadyForNewScale", "the target can be read and scaled"),
        ((), "ReadyForNewScale", "the target can be read and scaled"),
    ],
    ids=["maximum", "units", "both", "not-reached", "none"],
)
def test_what_is_held_back_by_the_world_is_told_and_nothing_fails(
    limits: tuple[Limit, ...], reason: str, words: str
) -> None:
    outcome = _limited(*limits)
    able = next(one for one in conditions(scaler(), outcome, ()) if one.type is ConditionType.ABLE_TO_SCALE)
    assert (able.status.value, able.reason) == ("True", reason)
    assert able.message.endswith(words)
    assert _statuses(outcome) == WELL


def test_a_metric_that_is_missing_makes_the_scaler_not_ready() -> None:
    statuses = _statuses(_outcome(_problem(Stage.OBSERVE), load=None))
    assert {kind for kind, status in statuses.items() if status != "True"} == {"Ready", "MetricsAvailable"}


@pytest.mark.parametrize(
    ("settled", "short", "spec", "reason"),
    [
        (1440, 30, {}, "ObjectiveMissed"),
        (1440, 28, {}, "Scaling"),  # less than twice what is allowed
        (1439, 100, {}, "Scaling"),  # a moment short of six hours
        (1440, 30, {"mode": "Observe"}, "Observing"),  # it was not its own doing
        (1440, 30, {"objective": None}, "Scaling"),
        (0, 0, {}, "Scaling"),
    ],
)
def test_an_objective_that_is_missed_for_long_is_told(
    settled: float, short: float, spec: dict[str, Any], reason: str
) -> None:
    memory = replace(FRESH, steering=Steering(settled=settled, short=short))
    spec = {"objective": {"underProvisionedTime": "1%"}} | spec
    outcome = _outcome(memory=memory)
    answers = _reason(outcome, ConditionType.READY, **spec), set(_statuses(outcome, **spec).values()) - {"Unknown"}
    assert answers == (reason, {"True"})


def test_an_objective_that_is_missed_is_told_with_the_cure() -> None:
    memory = replace(FRESH, steering=Steering(settled=2000, short=84))
    scaled = scaler(spec={"objective": {"underProvisionedTime": "1%"}})
    (ready,) = (one for one in conditions(scaled, _outcome(memory=memory), ()) if one.type is ConditionType.READY)
    assert ready.message == (
        "of late the target was too small in 4.2% of the time, and the objective is 1%: raise maxReplicas where it is "
        "reached, allow more in behavior.scaleUp, or make replicas start faster"
    )


@pytest.mark.parametrize("mode", ["Active", "Observe"])
def test_another_controller_is_named_with_the_cure(mode: str) -> None:
    ready = conditions(scaler(spec={"mode": mode}), _outcome(), (), "scaling/other")[0]
    assert (ready.type, ready.status, ready.reason) == (ConditionType.READY, Status.TRUE, "AnotherController")
    assert 'the controller "scaling/other"' in ready.message
    assert "watchNamespaces" in ready.message


def test_what_keeps_a_scaler_from_its_work_comes_before_another_controller() -> None:
    ready = conditions(scaler(), _outcome(_problem(Stage.ACT)), (), "scaling/other")[0]
    assert (ready.status, ready.reason) == (Status.FALSE, "SomeReason")


def test_a_forecast_that_is_not_wanted_is_no_question() -> None:
    outcome, spec = _outcome(forecast=None), {"forecast": {"model": "none"}}
    assert _statuses(outcome, **spec) == WELL | {"Forecasting": "Unknown"}
    assert _reason(outcome, ConditionType.FORECASTING, **spec) == "ForecastNotWanted"


def test_a_load_without_its_history_is_still_a_metric() -> None:
    assert _statuses(_outcome(_problem(Stage.OBSERVE)))["MetricsAvailable"] == "True"


def test_a_load_without_its_history_says_so() -> None:
    assert _reason(_outcome(_problem(Stage.OBSERVE)), ConditionType.METRICS_AVAILABLE) == "SomeReason"


def test_a_forecast_whose_reach_cannot_be_learnt_says_so() -> None:
    assert _reason(_outcome(_problem(Stage.LEAD_TIME)), ConditionType.FORECASTING) == "SomeReason"


def test_the_worse_of_two_problems_is_the_reason_of_ready() -> None:
    outcome = _outcome(
        Problem(stage=Stage.OBSERVE, reason="MetricEmpty", message=""),
        Problem(stage=Stage.ACT, reason="TargetOwned", message=""),
        load=None,
    )
    assert _reason(outcome, ConditionType.READY) == "TargetOwned"


@pytest.mark.parametrize(
    ("spec", "statuses", "reason"),
    [
        ({"mode": "Observe"}, WELL | {"Recommended": "Unknown"}, "Observing"),
        ({"mode": "Paused"}, dict.fromkeys(WELL, "Unknown") | {"Ready": "True"}, "Paused"),
        ({"maxReplicas": 0}, dict.fromkeys(WELL, "Unknown") | {"Ready": "False"}, "SpecInvalid"),
        ({}, WELL, "Scaling"),
    ],
)
def test_statuses_and_the_reason_of_ready_by_spec(spec: dict[str, Any], statuses: dict[str, str], reason: str) -> None:
    assert (_statuses(_outcome(), **spec), _reason(_outcome(), ConditionType.READY, **spec)) == (statuses, reason)


def test_no_forecast_and_no_problem_is_no_forecast() -> None:
    assert _reason(_outcome(forecast=None), ConditionType.FORECASTING) == "NoForecast"


@pytest.mark.parametrize(("loss", "reason"), [(1.2, "Forecasting"), (1.3, "LosingToNaive")])  # weight 0.6, 0.4
def test_a_forecast_loses_to_the_naive_below_half_its_weight(loss: float, reason: str) -> None:
    memory = replace(FRESH, track=TrackRecord(settled=1e6, loss=loss * 1e12, loss_persistence=1e12, loss_seasonal=1e12))
    assert _reason(_outcome(memory=memory), ConditionType.FORECASTING) == reason


@pytest.mark.parametrize(("cost", "reason"), [(1.04, "Forecasting"), (1.06, "ReactingIsCheaper")])  # weight 0.6, 0.4
def test_a_forecast_that_costs_more_than_reacting_steps_back(cost: float, reason: str) -> None:
    memory = replace(FRESH, rivals=Rivals(watched=1e9, forecast_cost=cost * 1e10, reactive_cost=1e10))
    outcome = _outcome(memory=memory, rules=policy(objective=0.01))
    assert _reason(outcome, ConditionType.FORECASTING) == reason


def test_a_target_at_zero_is_not_scaled() -> None:
    assert _reason(_outcome(current=0), ConditionType.ABLE_TO_SCALE) == "TargetScaledToZero"


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    earlier = conditions(scaler(), _outcome(), ())
    later = conditions(scaler(), _outcome(_problem(Stage.FORECAST), time=NOW + seconds(15)), earlier)
    changed = {one.type.value for one in later if one.since > NOW}
    assert changed == {"Forecasting"}


def test_stored_conditions_come_back_equal() -> None:
    made = conditions(scaler(), _outcome(_problem(Stage.ACT)), ())
    assert stored({"conditions": [one.to_json(3) for one in made]}) == made


def test_conditions_of_others_are_left_out() -> None:
    foreign = {
        "type": "Synced",
        "status": "True",
        "reason": "",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    assert stored({"conditions": [foreign]}) == ()


def test_a_condition_in_json() -> None:
    condition = Condition(type=ConditionType.READY, status=Status.TRUE, reason="Scaling", message="well", since=NOW)
    assert condition.to_json(7) == {
        "type": "Ready",
        "status": "True",
        "reason": "Scaling",
        "message": "well",
        "lastTransitionTime": "2026-03-02T12:00:00Z",
        "observedGeneration": 7,
    }


@pytest.mark.parametrize(
    ("days", "own", "actual", "answer"),
    [
        (0.9, 5, 6, ("Unknown", "NotYetKnown")),
        (2, 5, 6, ("True", "SavesReplicas")),
        (2, 7, 6, ("False", "CostsMore")),
    ],
)
def test_whether_to_let_it_act(days: float, own: float, actual: float, answer: tuple[str, str]) -> None:
    known = days * 86_400
    card = added(Scorecard(), NOW, Tally(known=known, own_replicas=own * known, actual_replicas=actual * known))
    grade = Grade(target="", rules="", against='HorizontalPodAutoscaler "web"').counted(card, NOW)
    found = conditions(scaler(spec={"mode": "Observe"}), _outcome(grade=grade), ())[-1]
    assert (found.type, found.status.value, found.reason) == ("Recommended", *answer)


@pytest.mark.parametrize("mode", ["Active", "Paused"])
def test_what_acts_or_rests_is_not_recommended_anything(mode: str) -> None:
    assert "Recommended" not in _statuses(_outcome(grade=Grade(target="", rules="")), mode=mode)


@pytest.mark.parametrize(("arm", "reason"), [(Arm.REACTIVE, "Forecasting"), (Arm.PREDICTIVE, "LosingToNaive")])
def test_an_arm_that_does_without_the_forecast_does_not_mean_that_it_loses(arm: Arm, reason: str) -> None:
    losing = Memory(track=TrackRecord(settled=100.0, loss=1000.0))
    assert _reason(_outcome(memory=losing, trial=trial(turn=arm)), ConditionType.FORECASTING) == reason


def test_a_floor_is_not_graded() -> None:
    target = {"kind": "HorizontalPodAutoscaler", "name": "web"}
    found = conditions(scaler(spec={"mode": "Observe", "targetRef": target}), _outcome(), ())[-1]
    assert (found.type, found.status.value, found.reason) == ("Recommended", "Unknown", "FloorNotGraded")
    assert "name the workload instead" in found.message
