"""What Prometheus reads, as it reads it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from controller import RELEASE
from controller.conditions import conditions
from controller.core.decide import decide
from controller.core.experiment import Arm
from controller.core.forecast import Forecast
from controller.core.memory import Steering, TrackRecord
from controller.core.scorecard import Scorecard, Tally, added
from controller.core.shadow import Shadow
from controller.core.startup import LeadTime
from controller.experiment import Trial
from controller.grading import Grade
from controller.metrics import LABELS, SERIES_OF_A_SCALER, Metrics
from controller.outcome import Beside, Outcome, Problem, Stage
from tests.builders import FRESH, NOW, STEP, forecast, policy, scaler, seconds, seen
from tests.trials import trial

LONG = forecast(*range(10, 40))
"""Level 0.9 is 10, 11, 12 and so on, a step of 5 minutes each; the median half of that."""


def _tell(metrics: Metrics, load: float | None = 52, ahead: Forecast | None = LONG, **fields: Any) -> None:
    decision, memory = decide(NOW, None if load is None else seen(load), ahead, 3, policy(), FRESH)
    told: dict[str, Any] = {"time": NOW, "decision": decision, "forecast": ahead, "memory": memory}
    outcome = Outcome(**(told | fields))
    metrics.tell(scaler(), outcome, conditions(scaler(), outcome, ()))


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    labels = {"namespace": "shop", "scaler": "web"} | labels
    return metrics.registry.get_sample_value(f"predictive_scaler_{name}", labels)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("load", {}, 52),
        ("demand_load", {"source": "seen"}, 52),
        ("demand_load", {"source": "forecast"}, 11),  # the peak until now + 2 steps
        ("demand_load", {"source": "decided"}, 52),
        ("desired_replicas", {}, 6),
        ("current_replicas", {}, 3),
        ("forecast_weight", {}, 1),
        ("decisions_total", {"rule": "Load"}, 1),
        ("condition", {"type": "Ready"}, 1),
        ("forecast_load", {"level": "0.9", "lead": "135"}, 10),
        ("forecast_load", {"level": "0.9", "lead": "1800"}, 15),  # the step that ends 30 minutes ahead is the sixth
        ("forecast_load", {"level": "0.5", "lead": "3600"}, 10.5),  # the twelfth, its median
    ],
)
def test_values_after_a_tick(name: str, labels: dict[str, str], value: float) -> None:
    metrics = Metrics()
    _tell(metrics)
    assert _value(metrics, name, **labels) == value


@pytest.mark.parametrize(("name", "labels"), [("load", {}), ("demand_load", {"source": "decided"})])
def test_a_load_that_is_missing_is_nan(name: str, labels: dict[str, str]) -> None:
    metrics = Metrics()
    _tell(metrics)
    _tell(metrics, load=None)
    assert math.isnan(_value(metrics, name, **labels) or 0.0)


@pytest.mark.parametrize("name", ["load", "current_replicas", "forecast_weight"])
def test_without_a_decision_what_it_told_is_nan(name: str) -> None:
    metrics = Metrics()
    _tell(metrics)
    _tell(metrics, decision=None)
    assert math.isnan(_value(metrics, name) or 0.0)


def test_without_a_decision_the_last_desired_stays() -> None:
    metrics = Metrics()
    _tell(metrics)
    _tell(metrics, decision=None)
    assert _value(metrics, "desired_replicas") == 6


def test_without_a_forecast_its_loads_are_nan() -> None:
    metrics = Metrics()
    _tell(metrics)
    _tell(metrics, ahead=None)
    assert math.isnan(_value(metrics, "forecast_load", level="0.9", lead="1800") or 0.0)


def test_a_lead_beyond_the_horizon_is_nan() -> None:
    metrics = Metrics()
    _tell(metrics, ahead=forecast(1, 2))
    assert math.isnan(_value(metrics, "forecast_load", level="0.9", lead="3600") or 0.0)


PROMISED = scaler(spec={"objective": {"underProvisionedTime": "1%"}})
STEERED = replace(
    FRESH, steering=Steering(shift=-0.25, headroom=1.31, settled=100.0, short=2.0), turns=(NOW - STEP, NOW - seconds(1))
)


def _tell_steered(metrics: Metrics) -> None:
    decision, _ = decide(NOW, seen(52), LONG, 3, policy(), FRESH)
    outcome = Outcome(time=NOW, decision=replace(decision, under_provisioned=0.02), memory=STEERED)
    metrics.tell(PROMISED, outcome, ())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("under_provisioned_ratio", 0.02),
        ("under_provisioned_objective_ratio", 0.01),
        ("steering_shift", -0.25),
        ("steering_headroom", 1.31),
        ("direction_changes", 2),
        ("forecast_coverage_nominal_ratio", 0.99),
    ],
)
def test_an_objective_and_what_came_of_it(name: str, value: float) -> None:
    metrics = Metrics()
    _tell_steered(metrics)
    assert _value(metrics, name) == pytest.approx(value, rel=1e-12)


STEERING = ("under_provisioned_ratio", "under_provisioned_objective_ratio", "steering_shift", "steering_headroom")


@pytest.mark.parametrize("name", STEERING)
def test_an_objective_that_was_taken_back_is_nan(name: str) -> None:
    metrics = Metrics()
    _tell_steered(metrics)
    _tell(metrics)
    assert math.isnan(_value(metrics, name) or 0.0)


@pytest.mark.parametrize("name", STEERING)
def test_a_scaler_without_an_objective_has_no_series_of_it(name: str) -> None:
    metrics = Metrics()
    _tell(metrics)
    assert _value(metrics, name) is None


def test_the_upper_quantile_of_an_objective_is_that_of_its_level() -> None:
    metrics = Metrics()
    spec = scaler(spec={"objective": {"underProvisionedTime": "10%"}})
    metrics.tell(spec, Outcome(time=NOW, forecast=LONG, memory=FRESH), ())
    assert _value(metrics, "forecast_load", level="0.9", lead="1800") == 15


@pytest.mark.parametrize(("load", "direction"), [(99, "up"), (1, "down")])
def test_sizes_written_by_direction(load: float, direction: str) -> None:
    metrics = Metrics()
    _tell(metrics, load=load, ahead=None, is_written=True)
    assert _value(metrics, "scale_changes_total", direction=direction) == 1


def test_problems_are_counted_by_step_and_reason() -> None:
    metrics = Metrics()
    problem = Problem(stage=Stage.ACT, reason="TargetConflict", message="")
    _tell(metrics, problems=(problem,))
    _tell(metrics, problems=(problem,))
    assert _value(metrics, "errors_total", step="act", reason="TargetConflict") == 2


def test_one_scaler_that_is_gone_leaves_the_others() -> None:
    metrics = Metrics()
    _tell(metrics)
    outcome = Outcome(time=NOW, memory=FRESH)
    metrics.tell(scaler("api"), outcome, conditions(scaler("api"), outcome, ()))
    metrics.forget("uid-web")
    scalers = {sample.labels.get("scaler") for family in metrics.registry.collect() for sample in family.samples}
    assert scalers == {None, "api"}


def test_a_re_created_scaler_of_the_same_name_keeps_its_series_when_the_old_one_is_forgotten() -> None:
    metrics = Metrics()
    _tell(metrics)
    decision, memory = decide(NOW, seen(30), None, 3, policy(), FRESH)
    outcome = Outcome(time=NOW, decision=decision, memory=memory)
    metrics.tell(scaler(uid="second"), outcome, ())
    metrics.forget("uid-web")
    assert _value(metrics, "load") == 30


def test_forgetting_what_was_never_told_is_no_error() -> None:
    Metrics().forget("uid-web")


def test_known_scalers_are_counted_when_asked() -> None:
    metrics, scalers = Metrics(), list[int]()
    metrics.count(scalers)
    scalers.append(1)
    assert metrics.registry.get_sample_value("predictive_scaler_scalers") == 1


def test_shared_stages_are_timed() -> None:
    metrics = Metrics()
    metrics.took(Stage.OBSERVE, 0.02)
    assert metrics.registry.get_sample_value("predictive_scaler_step_seconds_sum", {"step": "observe"}) == 0.02


def test_lag_is_in_seconds() -> None:
    metrics = Metrics()
    metrics.lagged(seconds(1.5))
    assert metrics.registry.get_sample_value("predictive_scaler_tick_lag_seconds_sum") == 1.5


def test_a_lead_is_looked_up_in_the_one_step_that_covers_it() -> None:
    metrics = Metrics()
    _tell(metrics, ahead=forecast(*range(10, 40), origin=NOW - seconds(100)))
    assert _value(metrics, "forecast_load", level="0.9", lead="1800") == 16  # 1900 s ahead: in (1800 s, 2100 s]


def test_a_lead_time_is_in_seconds() -> None:
    metrics = Metrics()
    _tell(metrics, lead_time=LeadTime.given(seconds(45)))
    assert _value(metrics, "lead_time_seconds") == 45


def test_the_forecast_is_told_of_the_lead_time_that_was_learnt() -> None:
    metrics = Metrics()
    _tell(metrics, lead_time=LeadTime.given(seconds(385)))
    assert _value(metrics, "forecast_load", level="0.9", lead="400") == 11  # in (300 s, 600 s]


def test_a_lead_time_that_changed_leaves_no_series_behind() -> None:
    metrics = Metrics()
    for lead in (45, 60):
        _tell(metrics, lead_time=LeadTime.given(seconds(lead)))
    (family,) = (one for one in metrics.registry.collect() if one.name == "predictive_scaler_forecast_load")
    assert {sample.labels["lead"] for sample in family.samples} == {"75", "1800", "3600"}


def _graded(*, is_watched: bool = True) -> Grade:
    tally = Tally(known=7200, own_replicas=36_000, own_short=90, actual_replicas=72_000, actual_short=0)
    grade = Grade(target="", rules="", shadow=Shadow.of(NOW, 1) if is_watched else None)
    return grade.counted(added(Scorecard(), NOW, tally), NOW)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("grade_replica_hours", {"who": "own"}, 10),
        ("grade_replica_hours", {"who": "actual"}, 20),
        ("grade_under_provisioned_minutes", {"who": "own"}, 1.5),
        ("grade_under_provisioned_minutes", {"who": "actual"}, 0),
        ("grade_known_hours", {}, 2),
    ],
)
@pytest.mark.parametrize("window", ["1d", "7d", "14d"])
def test_the_grade_by_window(name: str, labels: dict[str, str], value: float, window: str) -> None:
    metrics = Metrics()
    _tell(metrics, grade=_graded())
    assert _value(metrics, name, window=window, **labels) == value


def test_the_grade_of_a_scaler_that_acts_by_now_is_nan() -> None:
    metrics = Metrics()
    _tell(metrics, grade=_graded())
    _tell(metrics, grade=_graded(is_watched=False))
    assert math.isnan(_value(metrics, "grade_replica_hours", window="7d", who="own") or 0.0)


def test_a_condition_that_is_told_no_more_is_nan() -> None:
    metrics = Metrics()
    outcome = Outcome(time=NOW, memory=FRESH)
    for mode in ("Observe", "Active"):
        watched = scaler(spec={"mode": mode})
        metrics.tell(watched, outcome, conditions(watched, outcome, ()))
    assert math.isnan(_value(metrics, "condition", type="Recommended") or 0.0)


def test_the_current_size_is_the_targets_and_not_what_was_decided_from() -> None:
    metrics = Metrics()
    _tell(metrics, found=1)
    assert _value(metrics, "current_replicas") == 1


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("experiment_arm", {"arm": "predictive"}, 1),
        ("experiment_arm", {"arm": "reactive"}, 0),
        ("experiment_window", {}, 1),
        ("experiment_pairs", {}, 12),
        ("experiment_difference", {"figure": "replica_hours", "bound": "estimate"}, 1),
        ("experiment_difference", {"figure": "under_provisioned", "bound": "low"}, -0.1),
        ("experiment_difference", {"figure": "under_provisioned", "bound": "high"}, -0.1),
    ],
)
def test_an_experiment(name: str, labels: dict[str, str], value: float) -> None:
    metrics = Metrics()
    _tell(metrics, trial=trial(turn=Arm.PREDICTIVE))
    assert _value(metrics, name, **labels) == pytest.approx(value)


def test_bounds_that_too_few_pairs_do_not_give_are_nan() -> None:
    metrics = Metrics()
    _tell(metrics, trial=trial(pairs=4))
    low = _value(metrics, "experiment_difference", figure="replica_hours", bound="low")
    assert low is not None
    assert math.isnan(low)


@pytest.mark.parametrize("later", [None, replace(trial(), turn=None)], ids=["gone", "waiting"])
def test_the_arm_of_an_experiment_that_does_not_run_is_nan(later: Trial | None) -> None:
    metrics = Metrics()
    _tell(metrics, trial=trial())
    _tell(metrics, trial=later)
    for arm in Arm:
        value = _value(metrics, "experiment_arm", arm=arm.value)
        assert value is not None
        assert math.isnan(value)


def test_what_a_target_tells_of_its_replicas() -> None:
    metrics = Metrics()
    _tell(metrics, beside=Beside(ready=2, warm=5))
    assert (_value(metrics, "ready_replicas"), _value(metrics, "warm_replicas")) == (2, 5)


def test_a_target_that_tells_only_its_size_has_no_such_series() -> None:
    metrics = Metrics()
    _tell(metrics, beside=Beside())
    assert (_value(metrics, "ready_replicas"), _value(metrics, "warm_replicas")) == (None, None)


def test_replicas_that_are_told_no_more_are_not_known() -> None:
    metrics = Metrics()
    _tell(metrics, beside=Beside(ready=2))
    _tell(metrics, beside=None)
    ready = _value(metrics, "ready_replicas")
    assert ready is not None
    assert math.isnan(ready)


def test_calls_to_aws_are_counted_and_timed_by_what_they_are() -> None:
    metrics = Metrics()
    for seconds_taken in (0.25, 1.25):
        metrics.called("cloudwatch", "get_metric_data", seconds_taken)
    call = {"service": "cloudwatch", "operation": "get_metric_data"}
    name = "predictive_scaler_aws_call_seconds"
    assert metrics.registry.get_sample_value(f"{name}_count", call) == 2
    assert metrics.registry.get_sample_value(f"{name}_sum", call) == 1.5


def test_fetches_of_models_are_timed_by_what_came_of_them() -> None:
    metrics = Metrics()
    metrics.fetched("s3", "unchanged", 0.5)
    labels = {"scheme": "s3", "outcome": "unchanged"}
    assert metrics.registry.get_sample_value("predictive_scaler_model_fetch_seconds_sum", labels) == 0.5


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("replica_load", {}, 100),
        ("replica_limit_load", {}, 110),  # the tolerance of the defaults
        ("scale_changes_total", {"direction": "up"}, 0),
        ("scale_changes_total", {"direction": "down"}, 0),
        ("replicas_bound", {"bound": "min"}, 2),
        ("replicas_bound", {"bound": "max"}, 30),
        ("tick_timestamp_seconds", {}, NOW.timestamp()),
        ("tick_interval_seconds", {}, 15),
        ("info", {"mode": "Observe", "kind": "Deployment", "target": "web", "model": ""}, 1),
        ("condition_reason", {"type": "Ready", "status": "True", "reason": "Observing"}, 1),
    ],
)
def test_what_a_scaler_is(name: str, labels: dict[str, str], value: float) -> None:
    metrics, outcome = Metrics(), Outcome(time=NOW, memory=FRESH)
    watched = scaler(spec={"mode": "Observe", "minReplicas": 2, "maxReplicas": 30})
    metrics.tell(watched, outcome, conditions(watched, outcome, ()))
    assert _value(metrics, name, **labels) == pytest.approx(value)


@pytest.mark.parametrize(
    ("load", "replicas"), [pytest.param(1001, 11, id="by-load"), pytest.param(1e9, 30, id="at-max"), (0, 1)]
)
def test_what_reacting_alone_asks_for(load: float, replicas: int) -> None:
    metrics = Metrics()
    decision, memory = decide(NOW, seen(load), LONG, 3, policy(each=50), FRESH)
    metrics.tell(scaler(spec={"maxReplicas": 30}), Outcome(time=NOW, decision=decision, memory=memory), ())
    assert _value(metrics, "reactive_replicas") == replicas


@pytest.mark.parametrize(("forecaster", "loss"), [("model", 1.5), ("persistence", 3), ("seasonal", 2)])
def test_losses_are_means_over_the_forecasts_that_were_scored(forecaster: str, loss: float) -> None:
    metrics, track = Metrics(), TrackRecord(settled=10, loss=15, loss_persistence=30, loss_seasonal=20)
    _tell(metrics, memory=replace(FRESH, track=track))
    assert _value(metrics, "forecast_loss", forecaster=forecaster) == loss


def test_losses_of_too_few_forecasts_are_not_told() -> None:
    metrics, track = Metrics(), TrackRecord(settled=5, loss=15)
    _tell(metrics, memory=replace(FRESH, track=track))
    assert _value(metrics, "forecast_loss", forecaster="model") is None


def _labels(metrics: Metrics, name: str) -> list[dict[str, str]]:
    """The labels of each series of a metric."""
    (family,) = (one for one in metrics.registry.collect() if one.name == f"predictive_scaler_{name}")
    return [sample.labels for sample in family.samples]


def test_of_a_condition_only_the_reason_that_holds_is_told() -> None:
    metrics = Metrics()
    _tell(metrics, problems=(Problem(stage=Stage.OBSERVE, reason="MetricTimeout", message=""),), decision=None)
    _tell(metrics)
    told = [labels["reason"] for labels in _labels(metrics, "condition_reason") if labels["type"] == "MetricsAvailable"]
    assert told == ["MetricsFound"]


def test_what_a_scaler_was_is_no_more() -> None:
    metrics, outcome = Metrics(), Outcome(time=NOW, memory=FRESH)
    for mode in ("Observe", "Active"):
        metrics.tell(scaler(spec={"mode": mode}), outcome, ())
    assert [labels["mode"] for labels in _labels(metrics, "info")] == ["Active"]


def test_of_a_spec_that_is_refused_nothing_is_known() -> None:
    metrics, outcome = Metrics(), Outcome(time=NOW, memory=FRESH)
    refused = scaler(spec={"metric": {"targetPerReplica": "0"}})
    for one in (scaler(), refused):
        metrics.tell(one, outcome, conditions(one, outcome, ()))
    assert _labels(metrics, "info") == []
    assert math.isnan(_value(metrics, "replicas_bound", bound="max") or 0.0)
    assert _value(metrics, "condition_reason", type="Ready", status="False", reason="SpecInvalid") == 1


@pytest.mark.parametrize("name", ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"])
def test_the_process_is_measured(name: str) -> None:
    assert (Metrics().registry.get_sample_value(name) or 0.0) > 0.0


def test_silent_watches_are_counted() -> None:
    metrics, silent = Metrics(), ["shop"]
    metrics.count_silent(lambda: silent)
    assert metrics.registry.get_sample_value("predictive_scaler_watches_silent") == 1
    silent.clear()
    assert metrics.registry.get_sample_value("predictive_scaler_watches_silent") == 0


def test_the_release_is_told() -> None:
    assert Metrics().registry.get_sample_value("predictive_scaler_build_info", {"release": RELEASE}) == 1


def test_every_family_is_noted_as_it_is_scraped() -> None:
    metrics = Metrics()
    scraped = {one.name for one in metrics.registry.collect() if one.name.startswith("predictive_scaler_")}
    assert {one.name.removesuffix("_total") for one in metrics.families} == scraped


def test_every_label_is_explained() -> None:
    assert {label for family in Metrics().families for label in family.labels} == LABELS.keys()


@pytest.mark.slow
def test_a_scaler_has_a_bounded_number_of_series_whatever_happens_to_it() -> None:
    """A thousand ticks with all that can be told, each with another lead time, reason, bound and mode."""
    metrics = Metrics()
    decision, _ = decide(NOW, seen(52), LONG, 3, policy(), FRESH)
    for number in range(1000):
        outcome = Outcome(
            time=NOW + seconds(number),
            decision=replace(decision, under_provisioned=0.02),
            beside=Beside(ready=2, warm=5),
            is_written=True,
            forecast=LONG,
            lead_time=LeadTime.given(seconds(number)),
            problems=(Problem(stage=Stage.OBSERVE, reason=("MetricEmpty", "MetricStale")[number % 2], message=""),),
            grade=_graded(),
            trial=trial(turn=Arm.PREDICTIVE),
            memory=replace(STEERED, track=TrackRecord(settled=10, loss=15)),
        )
        spec = {"mode": ("Observe", "Active", "Experiment")[number % 3], "maxReplicas": 1 + number}
        watched = scaler(spec=spec | {"objective": {"underProvisionedTime": "1%"}})
        metrics.tell(watched, outcome, conditions(watched, outcome, ()))
    told = [sample for one in metrics.registry.collect() for sample in one.samples if "scaler" in sample.labels]
    assert SERIES_OF_A_SCALER - 10 <= len(told) <= SERIES_OF_A_SCALER


def test_with_an_objective_nothing_above_the_target_is_tolerated() -> None:
    metrics = Metrics()
    metrics.tell(PROMISED, Outcome(time=NOW, memory=FRESH), ())
    assert _value(metrics, "replica_limit_load") == 100
