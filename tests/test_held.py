"""What is held of a scaler: told again by its status after a restart, and dropped where it spoke of something else."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.core.experiment import Arm, Plan, begun
from controller.core.memory import Memory, Steering, TrackRecord
from controller.core.policy import Limit
from controller.experiment import Trial
from controller.grading import Grade
from controller.held import Held, restored
from controller.outcome import Problem, Stage
from controller.spec import PrometheusMetric
from tests.builders import NOW, forecast, policy, scaler, seconds

TRACK = TrackRecord(settled=9.0, loss=1.0)
LEARNT = Memory(track=TRACK, direction=1)
GRADE = Grade(target="web", rules="these")
PLAN = Plan(windows=4, window_length=timedelta(hours=1), arms=(Arm.REACTIVE, Arm.PREDICTIVE))
EXPERIMENT = begun(NOW, "web", PLAN, Steering())
METRIC = PrometheusMetric(query="sum(load)", address="http://prometheus")
PROBLEM = Problem(stage=Stage.FORECAST, reason="ModelMissing", message="no such file")

STATUS: dict[str, Any] = {
    "memory": LEARNT.to_json(),
    "grade": {"state": GRADE.to_json()},
    "experiment": {"state": EXPERIMENT.to_json()},
    "model": {"digest": "abc"},
}
WHOLE = Held(memory=LEARNT, grade=GRADE, trial=Trial(experiment=EXPERIMENT), digest="abc")
UNREADABLE = {"version": 99}


def test_a_status_tells_everything_but_the_forecast() -> None:
    assert restored(scaler(status=STATUS)) == WHOLE


@pytest.mark.parametrize(
    "status", [{}, {"memory": {}, "grade": None, "experiment": None, "model": None}], ids=["no status", "empty parts"]
)
def test_a_status_that_tells_nothing_is_a_beginning(status: dict[str, Any]) -> None:
    assert restored(scaler(status=status)) == Held(memory=Memory())


@pytest.mark.parametrize(
    ("status", "expected", "part"),
    [
        ({"memory": UNREADABLE}, replace(WHOLE, memory=Memory()), "memory"),
        ({"grade": {"state": UNREADABLE}}, replace(WHOLE, grade=None), "score"),
        ({"experiment": {"state": UNREADABLE}}, replace(WHOLE, trial=None), "experiment"),
    ],
    ids=["memory", "grade", "experiment"],
)
def test_a_part_that_cannot_be_read_starts_afresh_alone_and_is_told(
    status: dict[str, Any], expected: Held, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert restored(scaler(status=STATUS | status)) == expected
    assert [one.getMessage() for one in caplog.records] == [f"{part} not usable, starting afresh"]
    assert vars(caplog.records[0])["scaler"] == "shop/web"


@pytest.mark.parametrize(
    ("metric", "is_kept"),
    [
        (METRIC, True),
        (replace(METRIC, query="sum(other)"), False),
        (replace(METRIC, address="http://other"), False),
    ],
)
def test_forecast_and_record_are_of_one_load(metric: PrometheusMetric, is_kept: bool) -> None:
    held = Held(memory=LEARNT, metric=METRIC, forecast=forecast(1.0))
    held.take_metric(metric)
    assert held.forecast is not None if is_kept else held.forecast is None
    assert held.memory == (LEARNT if is_kept else replace(LEARNT, track=TrackRecord()))
    assert held.metric == metric


def test_the_first_load_after_a_restart_is_thought_to_be_the_one_before() -> None:
    held = restored(scaler(status=STATUS))
    held.take_metric(METRIC)
    assert (held.memory, held.metric) == (LEARNT, METRIC)


@pytest.mark.parametrize(("digest", "track"), [("abc", TRACK), ("def", TrackRecord())])
def test_a_record_is_of_one_model(digest: str, track: TrackRecord) -> None:
    held = restored(scaler(status=STATUS))
    held.take_model(digest)
    assert (held.memory.track, held.memory.direction, held.digest) == (track, 1, digest)


def test_a_forecast_and_the_problem_with_it_replace_each_other() -> None:
    held = Held(memory=Memory())
    told = []
    for answer in (forecast(1.0), PROBLEM, None):
        held.take_forecast(None, answer)
        told.append((held.forecast is not None, held.forecast_problem))
    assert told == [(True, None), (False, PROBLEM), (False, None)]


LIMITS = (Limit(rule="TargetBounds", highest=7, why="the group's own maximum is 7"),)


def _equal_limits() -> tuple[Limit, ...]:
    return (replace(LIMITS[0]),)


def test_rules_to_which_nothing_is_added_are_the_users_own() -> None:
    held, rules = Held(memory=Memory()), policy()
    assert held.policy(rules, rules.lead_time, ()) is rules


def test_what_holds_now_is_the_same_object_as_long_as_it_does() -> None:
    """It is written once then, however often it is recorded."""
    held, rules = Held(memory=Memory()), policy()
    first = held.policy(rules, seconds(99), LIMITS)
    assert first == replace(rules, lead_time=seconds(99), limits=LIMITS)
    assert held.policy(rules, seconds(99), _equal_limits()) is first


@pytest.mark.parametrize("change", ["rules", "lead time", "limits"])
def test_what_changed_takes_effect(change: str) -> None:
    held, rules = Held(memory=Memory()), policy()
    held.policy(rules, seconds(99), LIMITS)
    later = policy(high=9) if change == "rules" else rules
    lead, limits = seconds(98 if change == "lead time" else 99), () if change == "limits" else LIMITS
    assert held.policy(later, lead, limits) == replace(later, lead_time=lead, limits=limits)
