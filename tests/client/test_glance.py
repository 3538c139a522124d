"""Is what needs somebody seen first, and are sizes, loads and ages told in short as they are?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.glance import Level, age, concern, glance, short, trust, why
from controller.core import demand
from controller.core.memory import Memory, TrackRecord
from tests.builders import FRESH, NOW, body, forecast, record, seconds
from tests.contracts.specs import SMALLEST, merged

GOOD = {"Ready": "Scaling", "MetricsAvailable": "MetricsFound", "Forecasting": "Forecasting"}


def _condition(kind: str, reason: str, status: str = "True", message: str = "words") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def _status(*conditions: dict[str, str], **fields: Any) -> dict[str, Any]:
    """Of a scaler that is well, but for `conditions`."""
    told = {kind: _condition(kind, reason) for kind, reason in GOOD.items()}
    told |= {one["type"]: one for one in conditions}
    last = {"time": NOW.isoformat(), "source": "Seen", "steps": []}
    return {"conditions": list(told.values()), "lastDecision": last} | fields


def _steps(*changes: tuple[str, int, int]) -> dict[str, Any]:
    steps = [{"rule": rule, "before": before, "after": after, "why": "so"} for rule, before, after in changes]
    return {"time": NOW.isoformat(), "source": "Forecast", "steps": steps}


@pytest.mark.parametrize(
    ("status", "level", "reason"),
    [
        (_status(), Level.WELL, "Scaling"),
        (_status(_condition("Ready", "TargetOwned", "False")), Level.FAILED, "TargetOwned"),
        (_status(_condition("Ready", "TargetScaledToZero", "False")), Level.OFF, "TargetScaledToZero"),
        (_status(_condition("Ready", "ObjectiveMissed")), Level.WARNING, "ObjectiveMissed"),
        (_status(_condition("Ready", "AnotherController")), Level.WARNING, "AnotherController"),
        (_status(_condition("Forecasting", "LosingToNaive", "False")), Level.WARNING, "LosingToNaive"),
        (_status(_condition("Forecasting", "ForecastNotWanted", "Unknown")), Level.WELL, "Scaling"),
        (_status(_condition("MetricsAvailable", "MetricPartial")), Level.WARNING, "MetricPartial"),
        (_status(_condition("AbleToScale", "TargetAtBound")), Level.WARNING, "TargetAtBound"),
        (_status(_condition("AbleToScale", "Coordinated")), Level.WELL, "Scaling"),
        (_status(lastDecision=_steps(("Load", 5, 30), ("Bounds", 30, 20))), Level.WARNING, "AtMaximum"),
        (_status(lastDecision=_steps(("Load", 5, 1), ("Bounds", 1, 2))), Level.WELL, "Scaling"),
        (_status(coverage={"nominal": 0.9, "measured": 0.74, "settled": 50}), Level.WARNING, "CoverageOff"),
        (_status(coverage={"nominal": 0.9, "measured": 0.76, "settled": 50}), Level.WELL, "Scaling"),
        (_status(coverage={"nominal": 0.9, "measured": 0.2, "settled": 49}), Level.WELL, "Scaling"),
        (_status(coverage={"nominal": 0.9, "settled": 900}), Level.WELL, "Scaling"),
    ],
)
def test_the_most_urgent_is_told(status: dict[str, Any], level: Level, reason: str) -> None:
    found = concern(body(status=status), NOW)
    assert (found.level, found.reason) == (level, reason)


@pytest.mark.parametrize(("since", "reason"), [(59, "New"), (61, "Unserved")])
def test_who_is_served_by_nobody_is_told_after_a_minute(since: float, reason: str) -> None:
    assert concern(body(created=(NOW - seconds(since)).isoformat()), NOW).reason == reason


@pytest.mark.parametrize(
    ("interval", "old", "reason"),
    [(15, 179, "Scaling"), (15, 181, "Silent"), (60, 599, "Scaling"), (60, 601, "Silent")],
)
def test_a_controller_that_fell_silent_is_noticed_by_the_age_of_its_last_word(
    interval: int, old: float, reason: str
) -> None:
    one = body(spec={"intervalSeconds": interval}, status=_status())
    assert concern(one, NOW + seconds(old)).reason == reason


def test_a_paused_one_is_not_expected_to_say_anything() -> None:
    paused = body(spec={"mode": "Paused"}, status=_status(_condition("Ready", "Paused")))
    found = concern(paused, NOW + timedelta(days=3))
    assert (found.level, found.reason) == (Level.OFF, "Paused")
    assert "resume" in found.message


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ({}, ""),
        (_steps(("Load", 5, 10)), "forecast"),
        (_steps(("Load", 5, 10)) | {"source": "Seen"}, "seen load"),
        (_steps(("Tolerance", 5, 5)), "within tolerance"),
        (_steps(("Hold", 5, 5)) | {"source": "Missing"}, "no metric: held"),
        (_steps(("Fallback", 5, 8)), "no metric: fallback"),
        (_steps(("Disabled", 0, 0)), "scaled to 0"),
        (_steps(("Load", 9, 2), ("ScaleIn", 2, 4), ("Stabilization", 4, 9)), "forecast, needed soon, hold-down"),
        (_steps(("Load", 5, 40), ("Rate", 40, 9), ("FlapBudget", 9, 8)), "forecast, rate, flap budget"),
        (_steps(("Load", 5, 40), ("TargetBounds", 40, 10), ("Odd", 10, 9)), "forecast, target's bounds, Odd"),
    ],
)
def test_why_in_a_few_words(last: dict[str, Any], words: str) -> None:
    assert why(last) == words


def test_every_rule_that_decides_has_words() -> None:
    """A step of a real decision, so that a rule that is renamed is noticed."""
    rule = record(95.0, ahead=forecast(99, 99)).decision.steps[0].rule
    assert why(_steps((rule, 1, 10))) == "forecast"


SPEC = merged(SMALLEST, {"metric": {"targetPerReplica": 10}})


@pytest.mark.parametrize("loss", [0.0, 300.0, 1e4])
def test_trust_is_the_weight_that_the_next_decision_gives_the_forecast(loss: float) -> None:
    track = TrackRecord(settled=200.0, loss=loss, loss_persistence=250.0, loss_seasonal=900.0)
    memory = Memory(track=track)
    found = trust(SPEC, {"memory": memory.to_json(), "forecast": {"quantile": 0.9}})
    made = record(45, ahead=forecast(50, 60), memory=memory)
    assert found == demand.skilled(made.inputs.forecast, made.inputs.policy, track)


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        (SPEC, {"memory": FRESH.to_json()}),
        (SPEC, {"forecast": {"quantile": 0.9}, "memory": {"version": 99}}),
        ({}, {"forecast": {"quantile": 0.9}, "memory": FRESH.to_json()}),
    ],
    ids=["no forecast", "a memory of another release", "a spec that is refused"],
)
def test_trust_that_nobody_knows_is_no_number(spec: dict[str, Any], status: dict[str, Any]) -> None:
    assert trust(spec, status) is None


def test_a_glance_has_what_the_object_has() -> None:
    status = _status(
        currentReplicas=5,
        desiredReplicas=9,
        target={"ready": 4},
        leadTime={"seconds": 75},
        model={"name": "default"},
        objective={"underProvisionedTime": "1%", "measured": "0.97%"},
        coverage={"nominal": 0.9, "measured": 0.93, "settled": 80},
        lastDecision=_steps(("Load", 5, 9)) | {"seen": 45.0, "forecast": 95.0},
    )
    target = {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "name": "web-hpa"}
    one = glance(body(spec={"targetRef": target, "mode": "Observe"}, status=status), NOW)
    assert (one.current, one.ready, one.desired, one.seen, one.forecast) == (5, 4, 9, 45.0, 95.0)
    assert (one.target, one.mode, one.why) == ("hpa/web-hpa", "Observe", "forecast")
    assert (one.coverage, one.objective, one.lead_time, one.model) == ((0.93, 0.9), ("0.97%", "1%"), 75, "default")
    assert one.age == timedelta(hours=36)


def test_nothing_is_known_of_one_that_was_just_made() -> None:
    one = glance(body(), NOW)
    assert (one.current, one.ready, one.desired, one.seen, one.trust, one.why) == (None, None, None, None, None, "")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (11_700, "3h15m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (190_800, "2d5h"),
        (691_200, "8d"),
        (63_071_999, "729d"),
        (63_072_000, "2y"),
        (72_000_000, "2y103d"),
        (300_000_000, "9y"),
        (-5, "0s"),
    ],
)
def test_ages_are_those_of_kubectl(told: int, words: str) -> None:
    """By duration.HumanDuration of k8s.io/apimachinery."""
    assert age(seconds(told)) == words


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (0.0, "0"),
        (0.70806, "0.7081"),
        (9999.4, "9999"),
        (9999.6, "10k"),
        (12_345.0, "12.3k"),
        (999_960.0, "1000k"),
        (1_234_567.0, "1.23M"),
        (5e9, "5G"),
        (5e14, "500T"),
        (2e15, "2.0e+15"),
    ],
)
def test_loads_are_short(load: float, words: str) -> None:
    assert short(load) == words


@given(st.floats(min_value=1e-3, max_value=1e14))
def test_a_short_load_is_the_load_to_within_half_a_percent(load: float) -> None:
    units = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    text = short(load)
    value = float(text[:-1]) * units[text[-1]] if text[-1] in units else float(text)
    assert value == pytest.approx(load, rel=0.0051)
    assert len(text) <= 9
