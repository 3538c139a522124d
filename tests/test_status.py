"""What `.status` says of a tick. That it fits the CRD: tests/contracts/test_status_fits_the_crd.py."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.core.decide import decide
from controller.core.forecast import Forecast
from controller.core.memory import Memory, Steering, TrackRecord
from controller.core.scorecard import Scorecard, Tally, added
from controller.core.shadow import Shadow
from controller.core.startup import LeadTime, LeadTimeSource, StartUps
from controller.grading import Grade
from controller.outcome import Beside, LoadedModel, Outcome, Problem, Stage
from controller.status import POINTS, status
from tests.builders import FRESH, NOW, STEP, card, forecast, policy, scaler, seconds, seen


def _status(load: float | None = 52, ahead: Forecast | None = None, **fields: Any) -> dict[str, Any]:
    decision, memory = decide(NOW, None if load is None else seen(load), ahead, 3, policy(), FRESH)
    outcome: dict[str, Any] = {"time": NOW, "decision": decision, "forecast": ahead, "memory": memory} | fields
    return status(scaler(generation=4), Outcome(**outcome), ())


@pytest.mark.parametrize(("is_written", "current"), [(True, 6), (False, 3)])
def test_current_is_what_the_target_asks_for_now(is_written: bool, current: int) -> None:
    assert _status(is_written=is_written)["currentReplicas"] == current


@pytest.mark.parametrize(
    ("beside", "target"),
    [
        (None, None),
        (Beside(), None),
        (Beside(ready=0), {"ready": 0}),
        (Beside(ready=5, warm=2, note="one is starting"), {"ready": 5, "warm": 2, "note": "one is starting"}),
    ],
    ids=["unread", "tells-nothing", "none-ready", "all"],
)
def test_what_a_target_tells_beside_its_size(beside: Beside | None, target: dict[str, Any] | None) -> None:
    """None removes what a target of another kind has told."""
    assert _status(beside=beside)["target"] == target


def test_how_much_of_a_lead_time_is_that_of_the_pods_on_the_units() -> None:
    lead_time = LeadTime(duration=seconds(165), source=LeadTimeSource.SPEC, of_pods=seconds(45))
    assert _status(lead_time=lead_time)["leadTime"] == {"seconds": 165, "source": "Spec", "ofPods": 45}


def test_desired_is_what_was_decided() -> None:
    assert _status()["desiredReplicas"] == 6


@pytest.mark.parametrize("is_written", [True, False])
def test_the_time_of_scaling_is_set_by_scaling_only(is_written: bool) -> None:
    assert ("lastScaleTime" in _status(is_written=is_written)) is is_written


def test_a_load_that_is_missing_is_absent_not_zero() -> None:
    assert {"demand", "seen", "forecast"}.isdisjoint(_status(load=None)["lastDecision"])


def test_a_true_zero_is_there() -> None:
    assert _status(load=0)["lastDecision"]["seen"] == 0.0


def test_loads_have_six_digits() -> None:
    assert _status(load=123456.789)["lastDecision"]["seen"] == 123457.0


def test_steps_are_those_of_the_decision() -> None:
    steps = _status()["lastDecision"]["steps"]
    assert steps == [{"rule": "Load", "before": 3, "after": 6, "why": "Seen load 52 / 10 per replica needs 6"}]


@pytest.mark.parametrize("steps", [1, 2, 12, 13, 72, 300])
def test_points_are_few_increasing_and_end_with_the_forecast(steps: int) -> None:
    points = _status(ahead=forecast(*range(steps)))["forecast"]["points"]
    times = [point["time"] for point in points]
    assert (len(times) <= POINTS, times == sorted(set(times)), points[-1]["upper"]) == (True, True, steps - 1)


def test_points_begin_with_the_step_that_covers_now() -> None:
    ahead = forecast(1, 2, 3, origin=NOW - STEP)
    assert _status(ahead=ahead)["forecast"]["points"][0] == {
        "time": "2026-03-02T12:05:00Z",
        "median": 1.0,
        "upper": 2.0,
    }


def test_a_forecast_that_has_run_out_has_no_points() -> None:
    assert _status(ahead=forecast(1, 2, origin=NOW - timedelta(days=1)))["forecast"]["points"] == []


@pytest.mark.parametrize("key", ["forecast", "model"])
def test_what_is_not_true_any_more_is_removed(key: str) -> None:
    assert _status()[key] is None


def test_model_is_the_one_in_use() -> None:
    model = LoadedModel(card=card(name="web-lightgbm"), digest="ab" * 32)
    assert _status(model=model)["model"] == {
        "name": "web-lightgbm",
        "version": "1",
        "family": "seasonal",
        "digest": "ab" * 32,
    }


def _score(memory: Memory, objective: str | None = "1%") -> dict[str, Any]:
    spec = {} if objective is None else {"objective": {"underProvisionedTime": objective}}
    return status(scaler(spec=spec), Outcome(time=NOW, memory=memory), ())


def test_an_objective_is_told_as_the_spec_tells_it_with_what_came() -> None:
    memory = replace(FRESH, steering=Steering(shift=-0.25, headroom=1.31, settled=2000.0, short=19.4))
    assert _score(memory)["objective"] == {
        "underProvisionedTime": "1%",
        "measured": "0.97%",
        "shift": -0.25,
        "headroom": 1.31,
    }


@pytest.mark.parametrize("objective", ["0.0001%", "0.125%", "1%", "12.3456%", "20%"])
def test_an_objective_is_told_without_a_trace_of_arithmetic(objective: str) -> None:
    assert _score(FRESH, objective)["objective"]["underProvisionedTime"] == objective


@pytest.mark.parametrize(("short", "told"), [(0.0, "0%"), (1e-9, "0%"), (0.123456, "0.123%"), (23.456, "23.5%")])
def test_what_was_measured_is_told_as_people_read_it(short: float, told: str) -> None:
    memory = replace(FRESH, steering=Steering(settled=100.0, short=short))
    assert _score(memory)["objective"]["measured"] == told


def test_what_was_not_measured_is_absent_not_zero() -> None:
    assert _score(FRESH)["objective"]["measured"] is None  # a null in a merge patch removes


def test_without_an_objective_there_is_none_to_tell() -> None:
    assert _score(FRESH, None)["objective"] is None


@pytest.mark.parametrize(("objective", "nominal"), [("1%", 0.99), (None, 0.9)])
def test_coverage_is_told_with_what_it_should_be(objective: str | None, nominal: float) -> None:
    memory = replace(FRESH, track=TrackRecord(covered=28.5, watched=30.0))
    assert _score(memory, objective)["coverage"] == {"nominal": nominal, "measured": 0.95, "settled": 30.0}


def test_the_coverage_of_few_forecasts_is_not_told() -> None:
    memory = replace(FRESH, track=TrackRecord(covered=1.0, watched=2.0))
    assert _score(memory)["coverage"] == {"nominal": 0.99, "settled": 2.0}


def test_without_a_forecast_nothing_is_covered() -> None:
    assert _score(FRESH)["coverage"] is None


def test_with_an_objective_the_points_are_at_its_level() -> None:
    outcome = Outcome(time=NOW, forecast=forecast(10, 20), memory=FRESH)
    told = status(scaler(spec={"objective": {"underProvisionedTime": "10%"}}), outcome, ())["forecast"]
    assert (told["quantile"], told["points"][-1]["upper"]) == (0.9, 20.0)


def test_memory_can_be_read_back() -> None:
    memory = decide(NOW + seconds(15), seen(52), None, 3, policy(), FRESH)[1]
    assert Memory.from_json(_status(memory=memory)["memory"]) == memory


def test_without_a_decision_the_last_one_stays() -> None:
    assert {"lastDecision", "currentReplicas", "desiredReplicas"}.isdisjoint(_status(decision=None))


def test_generation_is_the_one_that_was_judged() -> None:
    assert _status()["observedGeneration"] == 4


LEARNT = LeadTime(
    duration=seconds(31), source=LeadTimeSource.LEARNT, samples=7, waiting=2, template="5d9f", start_ups=StartUps()
)


def test_a_lead_time_tells_what_it_was_learnt_from() -> None:
    told = _status(lead_time=LEARNT)["leadTime"]
    assert told.pop("memory") == StartUps().to_json()
    assert told == {"seconds": 31, "source": "Learnt", "samples": 7, "waiting": 2, "template": "5d9f"}


def test_a_lead_time_of_the_spec_was_learnt_from_nothing() -> None:
    assert _status(lead_time=LeadTime.given(seconds(0.5)))["leadTime"] == {"seconds": 0.5, "source": "Spec"}


def test_a_lead_time_that_cannot_be_learnt_says_why() -> None:
    problem = Problem(stage=Stage.LEAD_TIME, reason="PodsForbidden", message="grant list on pods")
    assert _status(lead_time=LEARNT, problems=(problem,))["leadTime"]["message"] == "grant list on pods"


def test_what_was_learnt_stays_while_nothing_is_decided() -> None:
    assert "leadTime" not in _status(decision=None)


def _two_weeks() -> Grade:
    """A score of all the hours there are, with sizes of three digits."""
    card = Scorecard()
    for index in range(15 * 24):
        tally = Tally(known=3600, own_replicas=360_000, own_short=15, actual_replicas=540_000, actual_short=15)
        card = added(card, NOW + index * timedelta(hours=1), tally)
    end = NOW + timedelta(days=15)
    return Grade(target="ab" * 6, rules="cd" * 6, shadow=Shadow.of(end, 100)).counted(card, end)


def test_a_grade_has_its_windows_in_hours_and_minutes() -> None:
    tally = Tally(known=5400, own_replicas=7200, own_short=90, actual_replicas=10_800, actual_short=15)
    grade = Grade(target="", rules="", against="an HPA").counted(added(Scorecard(), NOW, tally), NOW)
    told = _status(grade=grade)["grade"]
    assert told.pop("state") == grade.to_json()
    window = {
        "knownHours": 1.5,
        "own": {"replicaHours": 2.0, "underProvisionedMinutes": 1.5},
        "actual": {"replicaHours": 3.0, "underProvisionedMinutes": 0.2},
    }
    assert told == {
        "time": "2026-03-02T12:00:00Z",
        "since": "2026-03-02T12:00:00Z",
        "against": "an HPA",
        "windows": [{"window": name} | window for name in ("1d", "7d", "14d")],
    }


def test_a_grade_of_two_weeks_is_small() -> None:
    assert len(json.dumps(_status(grade=_two_weeks())["grade"], separators=(",", ":"))) < 4000


def test_a_grade_can_be_read_back() -> None:
    grade = _two_weeks()
    assert Grade.from_json(_status(grade=grade)["grade"]["state"]) == grade


def test_without_a_grade_the_last_one_stays() -> None:
    assert "grade" not in _status()
