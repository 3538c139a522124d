"""A study is the same however many processes work on it, and says when and why a policy was short."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from controller.core.series import Series
from tests.training.simulate.builders import START, STEP, scene, waves
from training.simulate.capacity import Capacity
from training.simulate.log import Log, Run
from training.simulate.shortages import worst
from training.simulate.study import (
    AWS_PREDICTIVE,
    AWS_TRACKING,
    HPA,
    NAMES,
    ORACLE,
    STATIC,
    Question,
    Scene,
    Study,
    study,
    usual_size,
)
from training.simulate.wanted import by_default


@pytest.fixture(scope="module")
def stage() -> Scene:
    return scene(*waves(300), initial=20)


def _figures(found: Study) -> dict[str, list[tuple[float, float, float]]]:
    return {
        name: [(one.setting, one.score.replica_hours, one.cost) for one in frontier.points]
        for name, frontier in found.frontiers.items()
    }


@pytest.mark.slow
def test_two_processes_find_what_one_finds(stage: Scene) -> None:
    question = Question(names=NAMES, policy=by_default(None, None, stage.startup))
    one, two = (study(stage, question, None, cores=cores) for cores in (1, 2))
    assert _figures(one) == _figures(two)
    for name in NAMES:
        assert one.runs[name].capacity.desired.tolist() == two.runs[name].capacity.desired.tolist()
        assert one.runs[name].log == two.runs[name].log


def test_each_log_is_handed_over_once_and_only_of_what_is_asked_for(stage: Scene) -> None:
    kept: list[str] = []
    study(stage, Question(names=(HPA, STATIC), policy=None), None, cores=1, keep=lambda run: kept.append(run.name))
    assert sorted(kept) == [HPA, STATIC]


def test_awss_policies_are_swept_where_they_are_asked_for(stage: Scene) -> None:
    usual = study(stage, Question(names=(HPA,), policy=None), None, cores=1)
    assert AWS_PREDICTIVE not in usual.frontiers
    question = Question(names=(HPA, AWS_PREDICTIVE, AWS_TRACKING), policy=None, utilisation=0.42, past=stage.load)
    found = study(stage, question, None, cores=1)
    for name in (AWS_PREDICTIVE, AWS_TRACKING):
        run, frontier = found.runs[name], found.frontiers[name]
        assert stage.point(run) in frontier.points
        assert [point.setting for point in frontier.points].count(0.42) == 1
        hours = [point.score.replica_hours for point in frontier.points]
        assert hours == sorted(hours, reverse=True)
        assert run.log is not None
        assert len(run.log.steps) == len(stage.load)


def test_predictive_scaling_goes_by_the_hours_before_the_span() -> None:
    """Two days of 20, and 100 from 1 to 2 o'clock; then, from midnight on, 5, which is tracked to one replica."""
    days = np.tile(np.repeat([100.0 if hour == 1 else 20.0 for hour in range(24)], 240), 2)
    past = Series(end=START, step=STEP, values=days)
    stage, sizes = scene(*[5.0] * 480), []
    for name in (AWS_TRACKING, AWS_PREDICTIVE):
        question = Question(names=(name,), policy=None, past=past, buffer=timedelta(0))
        sizes.append(study(stage, question, None, cores=1).runs[name].capacity.desired)
    assert [one[[239, 240]].tolist() for one in sizes] == [[1, 1], [2, 10]]  # at 0:59:45 and at 1:00, 10 a replica


def test_the_hpa_that_is_shown_is_one_of_its_sweep(stage: Scene) -> None:
    found = study(stage, Question(names=(HPA,), policy=None, utilisation=0.65), None, cores=1)
    assert found.reference in found.frontiers[HPA].points
    assert found.frontiers[ORACLE].points[-1].setting == 1.0
    assert found.frontiers[ORACLE].points[-1].score.under_provisioned == 0.0


def test_the_worst_shortage_names_the_decision_that_could_have_helped() -> None:
    loads = [10.0] * 30
    loads[10:12] = [50.0, 90.0]  # one replica serves 20
    loads[25] = 25.0
    ones = np.ones(30, np.int64)
    log = Log.of(30)
    log.steps[9] = "Load: seen load 10 / 20 per replica needs 1"
    run = Run(name="hpa", setting=0.5, capacity=Capacity(ready=ones, desired=ones), log=log)
    first, second = worst(scene(*loads, startup=2 * STEP), run, 5)
    assert (first.since, first.until) == (START + 10 * STEP, START + 12 * STEP)
    assert (first.worst, first.load, first.ready, first.needed) == (START + 11 * STEP, 90.0, 1, 5)
    assert first.missed == (30 + 70) * 15
    assert (first.decided, first.steps) == (START + 9 * STEP, "Load: seen load 10 / 20 per replica needs 1")
    assert second.missed == 5 * 15
    assert first.share + second.share == pytest.approx(1.0)


def test_short_spans_that_are_near_are_one() -> None:
    loads = [10.0, 50.0, 10.0, 50.0, *[10.0] * 20, 50.0]
    ones = np.ones(len(loads), np.int64)
    run = Run(name="hpa", setting=0.5, capacity=Capacity(ready=ones, desired=ones))
    assert len(worst(scene(*loads), run, 5)) == 2


def test_it_begins_with_what_the_minutes_before_would_need(stage: Scene) -> None:
    before, nothing = scene(*[70.0] * 30).load, scene(*[np.nan] * 30).load
    assert usual_size(before, stage.load, 20.0) == 5  # 70 / (0.7 x 20)
    assert usual_size(nothing, before, 20.0) == 5
    assert stage.load.step == timedelta(seconds=15)
