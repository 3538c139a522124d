"""What `parse` makes of a good spec. What it refuses: tests/contracts/refused.yaml."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from controller.core.experiment import Arm, Plan
from controller.core.policy import Fallback, PolicyType, RatePolicy, ScalingRules, SelectPolicy
from controller.spec import (
    BasicAuth,
    Coordination,
    Mode,
    ModelRef,
    PrometheusMetric,
    ScalerSpec,
    SecretKey,
    SpecError,
    TargetRef,
    Tls,
    parse,
)
from tests.contracts.specs import SMALLEST, full_specs, merged


@pytest.fixture(scope="module")
def full() -> ScalerSpec:
    return parse(full_specs()[0])


@pytest.fixture(scope="module")
def smallest() -> ScalerSpec:
    return parse(SMALLEST)


def test_target(full: ScalerSpec) -> None:
    assert full.target == TargetRef(api_version="apps/v1beta1", kind="StatefulSet", name="store")


def test_bounds(full: ScalerSpec) -> None:
    assert (full.policy.min_replicas, full.policy.max_replicas) == (2, 40)


def test_mode(full: ScalerSpec) -> None:
    assert full.mode is Mode.OBSERVE


def test_quantities_become_plain_numbers(full: ScalerSpec) -> None:
    assert (full.policy.target_per_replica, full.policy.scale_down.tolerance) == (12.5, 0.2)


def test_forecast(full: ScalerSpec) -> None:
    assert (full.policy.quantile, full.policy.lead_time) == (0.8, timedelta(seconds=90))


def test_model(full: ScalerSpec) -> None:
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    assert full.model == ModelRef(name="store-lightgbm", sha256=digest)


def test_without_a_model_there_is_no_forecast_to_be_made() -> None:
    assert parse(merged(SMALLEST, {"forecast": {"model": "none"}})).model is None


def test_zone(full: ScalerSpec) -> None:
    assert full.zone == ZoneInfo("Europe/Berlin")


def test_interval_is_part_of_the_policy_too(full: ScalerSpec) -> None:
    assert full.interval == full.policy.interval == timedelta(seconds=30)


def test_scale_up(full: ScalerSpec) -> None:
    assert full.policy.scale_up == ScalingRules(
        stabilization=timedelta(seconds=10),
        tolerance=0.05,
        select=SelectPolicy.MIN,
        policies=(RatePolicy(type=PolicyType.PERCENT, value=50, period=timedelta(minutes=1)),),
    )


def test_fallback(full: ScalerSpec) -> None:
    assert full.policy.fallback == Fallback(after=timedelta(minutes=5), replicas=20)


def test_flap_budget(full: ScalerSpec, smallest: ScalerSpec) -> None:
    assert (full.policy.flap_budget, smallest.policy.flap_budget) == (6, None)


def test_experiment(full: ScalerSpec) -> None:
    """It waits beside the mode Observe."""
    assert full.experiment == Plan(windows=24, window_length=timedelta(minutes=30), arms=(Arm.PREDICTIVE, Arm.REACTIVE))


def test_an_experiment_has_defaults() -> None:
    spec = parse(merged(SMALLEST, {"mode": "Experiment", "experiment": {}}))
    two_days = Plan(windows=48, window_length=timedelta(hours=1), arms=(Arm.REACTIVE, Arm.PREDICTIVE))
    assert (spec.mode, spec.experiment) == (Mode.EXPERIMENT, two_days)


def test_without_an_experiment_there_is_none(smallest: ScalerSpec) -> None:
    assert smallest.experiment is None


def test_an_objective_takes_the_place_of_the_quantile() -> None:
    policy = parse(full_specs()[1]).policy
    assert (policy.objective, policy.level) == (0.015, 0.985)


def test_without_an_objective_the_quantile_is_the_level(smallest: ScalerSpec) -> None:
    assert (smallest.policy.objective, smallest.policy.level) == (None, 0.9)


@pytest.mark.parametrize(
    ("patch", "up", "down"),
    [
        ({}, 0.1, 0.1),
        ({"objective": {"underProvisionedTime": "1%"}}, 0.0, 0.1),
        (
            {"objective": {"underProvisionedTime": "1%"}, "behavior": {"scaleUp": {"tolerance": "0.05"}}},
            0.05,
            0.1,
        ),
    ],
)
def test_with_an_objective_nothing_is_ignored_upwards_unless_it_is_said(
    patch: dict[str, Any], up: float, down: float
) -> None:
    policy = parse(merged(SMALLEST, patch)).policy
    assert (policy.scale_up.tolerance, policy.scale_down.tolerance) == (up, down)


def test_a_lead_time_that_is_learnt_is_that_of_the_default_until_then(smallest: ScalerSpec) -> None:
    learnt = parse(merged(SMALLEST, {"forecast": {"leadTime": "auto"}}))
    assert (learnt.lead_time_auto, smallest.lead_time_auto) == (True, False)
    assert learnt.policy.lead_time == smallest.policy.lead_time == timedelta(minutes=2)


def test_bearer(full: ScalerSpec) -> None:
    assert isinstance(full.metric, PrometheusMetric)
    assert (full.metric.bearer, full.metric.basic) == (SecretKey(name="prometheus", key="token"), None)


def test_basic() -> None:
    metric = parse(full_specs()[1]).metric
    assert isinstance(metric, PrometheusMetric)
    user, password = SecretKey(name="prometheus", key="user"), SecretKey(name="prometheus", key="password")
    assert (metric.bearer, metric.basic) == (None, BasicAuth(username=user, password=password))


def test_tls(full: ScalerSpec) -> None:
    assert isinstance(full.metric, PrometheusMetric)
    assert full.metric.tls == Tls(
        ca=SecretKey(name="prometheus-tls", key="ca.crt"),
        certificate=SecretKey(name="prometheus-tls", key="tls.crt"),
        key=SecretKey(name="prometheus-tls", key="tls.key"),
        server_name="prometheus.internal",
    )


def test_coordination(smallest: ScalerSpec) -> None:
    assert parse(full_specs()[2]).coordination == Coordination(scaler="web", per_unit=8)
    assert smallest.coordination is None


def test_without_address_the_controllers_own_is_meant(smallest: ScalerSpec) -> None:
    assert isinstance(smallest.metric, PrometheusMetric)
    assert smallest.metric.address is None


def test_without_fallback_replicas_the_size_is_held(smallest: ScalerSpec) -> None:
    assert smallest.policy.fallback == Fallback(after=timedelta(minutes=10), replicas=None)


def test_defaults_of_scale_down_are_those_of_the_hpa(smallest: ScalerSpec) -> None:
    assert smallest.policy.scale_down == ScalingRules(
        stabilization=timedelta(seconds=300),
        tolerance=0.1,
        select=SelectPolicy.MAX,
        policies=(RatePolicy(type=PolicyType.PERCENT, value=100, period=timedelta(seconds=15)),),
    )


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"minReplicas": 11}, "spec.maxReplicas: 10 is below minReplicas, 11; raise maxReplicas or lower minReplicas"),
        ({"fallback": {"replicas": 11}}, "spec.fallback.replicas: 11 must be from minReplicas, 1, to maxReplicas, 10"),
        (
            {"objective": {"underProvisionedTime": "1"}},
            "spec.objective.underProvisionedTime: must be a percentage above 0% and at most 20%, "
            "such as \"1%\", not '1'",
        ),
        (
            {"objective": {"underProvisionedTime": "1%"}, "forecast": {"quantile": 0.9}},
            "spec.forecast.quantile: has no effect beside objective, which steers the level; remove one of them",
        ),
        (
            {"forecast": {"leadTime": "Auto"}},
            "spec.forecast.leadTime: must be auto or a duration such as 90s or 2m, at most 6h, not 'Auto'",
        ),
        (
            {"mode": "Experiment"},
            "spec.experiment: is required with mode Experiment; add it, {} takes its defaults",
        ),
        (
            {"forecast": {"timeZone": "Europe/Atlantis"}},
            "spec.forecast.timeZone: must be the name of an IANA time zone such as Europe/Berlin; "
            "there is none called 'Europe/Atlantis'",
        ),
    ],
)
def test_messages_hold_the_values(patch: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse(merged(SMALLEST, patch))
    assert str(refused.value) == message


@pytest.mark.parametrize("name", ["America", "leapseconds", "Mars/Olympus"])
def test_what_is_in_the_zones_folder_and_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="IANA"):
        parse(merged(SMALLEST, {"forecast": {"timeZone": name}}))


def test_a_spec_that_is_no_object_is_refused() -> None:
    with pytest.raises(SpecError, match=r"^spec: must be an object"):
        parse([])  # type: ignore[arg-type]  # what a broken YAML file can hold
