"""What is answered of which status: decided sizes, sizes to start with, activity, and why there is none."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.externalscaler.answers import (
    FAILOVER,
    TICKS,
    Answers,
    Cause,
    RefusedError,
    Trigger,
    longest_age,
)
from controller.registry import Registry
from controller.report import CHECKPOINT_INTERVALS
from controller.spec import ScalerSpec
from controller.status import timestamp
from tests.builders import INTERVAL, NOW, body, scaler, seconds

WEB = Trigger(namespace="shop", scaler="web")
AGE = TICKS * INTERVAL + FAILOVER


def _status(desired: int | None = 7, demand: float | None = 61.2, age: timedelta = INTERVAL) -> dict[str, Any]:
    last = {"time": timestamp(NOW - age)} | ({} if demand is None else {"demand": demand})
    return {"lastDecision": last} | ({} if desired is None else {"desiredReplicas": desired})


def _answers(status: dict[str, Any] | None = None, **spec: Any) -> Answers:
    registry = Registry()
    registry.put(body(spec={"mode": "Observe"} | spec, status=_status() if status is None else status))
    return Answers(registry)


def _replicas(answers: Answers, trigger: Trigger = WEB, now: datetime = NOW) -> int:
    return answers.replicas(trigger, now, is_listed=True)


def _is_active(answers: Answers, trigger: Trigger = WEB, now: datetime = NOW) -> bool:
    return answers.is_active(trigger, now, is_listed=True)


def _refusal(answers: Answers, trigger: Trigger = WEB, now: datetime = NOW, *, is_listed: bool = True) -> RefusedError:
    """Of both questions, which must be refused alike: KEDA asks for both and drops both."""
    with pytest.raises(RefusedError) as of_replicas:
        answers.replicas(trigger, now, is_listed=is_listed)
    with pytest.raises(RefusedError) as of_activity:
        answers.is_active(trigger, now, is_listed=is_listed)
    assert str(of_replicas.value) == str(of_activity.value)
    return of_replicas.value


class TestReplicas:
    def test_it_is_the_number_that_was_decided(self) -> None:
        assert _replicas(_answers(_status(desired=7))) == 7

    @pytest.mark.parametrize(("demand", "started"), [(61.2, 7), (60.0, 6), (0.0, 2), (1e12, 9)])
    def test_of_a_workload_at_0_it_is_what_to_start_with(self, demand: float, started: int) -> None:
        spec = {"minReplicas": 2, "maxReplicas": 9, "metric": {"targetPerReplica": 10}}
        assert _replicas(_answers(_status(desired=0, demand=demand), **spec)) == started

    @given(desired=st.integers(0, 100_000), demand=st.none() | st.floats(0.0, 1e9))
    def test_it_is_never_0(self, desired: int, demand: float | None) -> None:
        answers = _answers(_status(desired=desired, demand=demand))
        if desired == 0 and demand is None:
            assert _refusal(answers).cause is Cause.UNKNOWN
        else:
            assert _replicas(answers) >= 1

    def test_without_a_load_the_size_that_is_held_is_told(self) -> None:
        assert _replicas(_answers(_status(desired=7, demand=None))) == 7


class TestActivity:
    @pytest.mark.parametrize(
        ("demand", "activation", "active"), [(0.0, 0.0, False), (0.1, 0.0, True), (5.0, 5.0, False), (5.1, 5.0, True)]
    )
    @pytest.mark.parametrize("desired", [0, 3])
    def test_by_load(self, desired: int, demand: float, activation: float, *, active: bool) -> None:
        trigger = Trigger(namespace="shop", scaler="web", activation=activation)
        assert _is_active(_answers(_status(desired=desired, demand=demand)), trigger) is active

    def test_without_a_load_what_runs_goes_on_running(self) -> None:
        assert _is_active(
            _answers(_status(desired=3, demand=None)), Trigger(namespace="shop", scaler="web", activation=9)
        )

    def test_without_a_load_it_is_not_known_whether_to_start(self) -> None:
        error = _refusal(_answers(_status(desired=0, demand=None)))
        assert error.cause is Cause.UNKNOWN
        assert "MetricsAvailable" in str(error)


class TestRefusals:
    def test_before_the_first_list_nothing_is_known(self) -> None:
        error = _refusal(Answers(Registry()), is_listed=False)
        assert (error.cause, error.is_passing) == (Cause.UNKNOWN, True)

    def test_a_scaler_that_is_not_there(self) -> None:
        error = _refusal(_answers(), Trigger(namespace="bank", scaler="web"))
        assert (error.cause, error.is_passing) == (Cause.NOT_FOUND, False)
        assert str(error) == (
            'PredictiveScaler "web" is not in namespace bank, or the controller does not watch it; create it, '
            "or correct scaler in the trigger's metadata"
        )

    @pytest.mark.parametrize("mode", ["Active", "Paused", "Experiment"])
    def test_one_that_nobody_may_scale_by(self, mode: str) -> None:
        error = _refusal(_answers(mode=mode, **({"experiment": {}} if mode == "Experiment" else {})))
        assert (error.cause, error.is_passing) == (Cause.PRECONDITION, False)
        assert f"has mode {mode}; set mode: Observe" in str(error)

    def test_one_that_cannot_be_used(self) -> None:
        error = _refusal(_answers(maxReplicas=0))
        assert error.cause is Cause.PRECONDITION
        assert "maxReplicas" in str(error)

    @pytest.mark.parametrize(
        "status", [{}, _status(desired=None), {"desiredReplicas": 7}, {"desiredReplicas": 7, "lastDecision": {}}]
    )
    def test_one_that_has_decided_nothing_yet(self, status: dict[str, Any]) -> None:
        assert "has decided nothing yet" in str(_refusal(_answers(status)))

    def test_one_whose_target_is_missing_says_so(self) -> None:
        lost = {"type": "AbleToScale", "status": "False", "message": 'Deployment "web" does not exist'}
        error = _refusal(_answers({"conditions": [{"type": "Forecasting", "status": "False", "message": "x"}, lost]}))
        assert str(error).endswith('has decided nothing yet: Deployment "web" does not exist')


class TestAge:
    @pytest.mark.parametrize("age", [timedelta(0), AGE, -AGE])
    def test_a_late_decision_counts(self, age: timedelta) -> None:
        assert _replicas(_answers(_status(age=age))) == 7

    @pytest.mark.parametrize(
        ("age", "words"),
        [(AGE + seconds(1), "is 151 s old and counts for 150 s"), (-AGE - seconds(1), "is 151 s ahead of the clock")],
    )
    def test_an_old_one_does_not(self, age: timedelta, words: str) -> None:
        error = _refusal(_answers(_status(age=age)))
        assert (error.cause, error.is_passing) == (Cause.UNKNOWN, True)
        assert words in str(error)
        assert "see whether a replica of the controller is ready" in str(error)

    def test_the_bound_follows_the_interval(self) -> None:
        spec = scaler(spec={"intervalSeconds": 300}).spec
        assert isinstance(spec, ScalerSpec)
        assert longest_age(spec) == timedelta(minutes=40, seconds=30)

    def test_a_status_may_be_missed_once(self) -> None:
        assert TICKS == 2 * CHECKPOINT_INTERVALS


class TestTrigger:
    def test_what_kedas_own_keys_say_is_kedas_business(self) -> None:
        metadata = {"scalerAddress": "a:1", "enableTLS": "true", "unsafeSsl": "false", "scaler": "web"}
        assert Trigger.read("shop", metadata) == WEB

    def test_an_activation(self) -> None:
        assert Trigger.read("shop", {"scaler": "web", "activationThreshold": "2.5"}).activation == 2.5

    @pytest.mark.parametrize(
        ("metadata", "words"),
        [
            ({}, "metadata.scaler is missing; give the name of a PredictiveScaler"),
            ({"scaler": " "}, "metadata.scaler is missing"),
            ({"scaler": "web", "activation": "1"}, "metadata.activation is no option; there are scaler, activation"),
            (
                {"scaler": "web", "activationThreshold": "-1"},
                "metadata.activationThreshold must be a load of 0 or more",
            ),
            ({"scaler": "web", "activationThreshold": "nan"}, "in the metric's unit, not 'nan'"),
            ({"scaler": "web", "activationThreshold": "inf"}, "in the metric's unit, not 'inf'"),
            ({"scaler": "web", "activationThreshold": "five"}, "in the metric's unit, not 'five'"),
        ],
    )
    def test_what_cannot_be_meant(self, metadata: dict[str, str], words: str) -> None:
        with pytest.raises(RefusedError) as caught:
            Trigger.read("shop", metadata)
        assert caught.value.cause is Cause.INVALID
        assert words in str(caught.value)

    def test_one_without_a_namespace(self) -> None:
        with pytest.raises(RefusedError, match="without a namespace"):
            Trigger.read("", {"scaler": "web"})
