"""The matrix replays each preset as its dashboard would have it, and tells what came of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.policy import PolicyType
from tests.training.simulate.builders import STEP, load_of, policy, scene, waves
from training.presets import CAPACITY, CONFIGURATIONS, POLICIES, presets
from training.simulate import replay, score
from training.simulate.foresight import Forecasts
from training.simulate.matrix import Matrix, of_presets, reach, unbounded
from training.simulate.study import Question, study
from training.simulate.trials import Trial, averaged, points

LOADS = st.lists(st.floats(0, 300) | st.just(float("nan")), min_size=1, max_size=40)
PREDICTIVE = next(one for one in presets() if one.name == "balanced-predictive")


def _silent() -> Forecasts:
    """Forecasts of nothing at all."""
    none = load_of(step=timedelta(minutes=5))
    return Forecasts(
        series=none, context=1, first=0, levels=(0.5, 0.9), season=STEP, quantiles=np.zeros((0, 1, 2), np.float32)
    )


@pytest.fixture(scope="module")
def found() -> Matrix:
    place = scene(*waves(480))
    asked = study(place, Question(names=("hpa", "static"), policy=None), None, cores=1)
    return of_presets(asked, replace(policy(), objective=0.01, target_per_replica=20.0), _silent(), cores=1)


def test_there_is_a_cell_for_each_configuration_and_policy(found: Matrix) -> None:
    rows = found.rows()
    assert [name for name, _ in rows] == [*CONFIGURATIONS, "beside them"]
    assert {len(cells) for _, cells in rows} == {len(POLICIES)}
    assert [lines[0] for lines in rows[-1][1]] == ["static", "HPA at 50 %", "objective 1 %"]


def test_each_figure_of_a_cell_is_that_of_its_preset(found: Matrix) -> None:
    preset, place = presets()[0], scene(*waves(480))
    rules = unbounded(preset, place.per_replica, lowest=place.lowest, highest=place.highest)
    seen = averaged(place.load, preset.spec.interval)
    capacity = replay(seen, rules, startup=place.startup, initial=place.initial, before=place.before)
    expected = score(place.load, capacity, place.per_replica)
    cell = found.cells["conservative", "balanced"]
    assert cell.score == expected
    assert found.rows()[0][1][0][0] == f"{expected.under_provisioned:.2%} short"
    told = found.summary()["cells"][0]
    assert (told["configuration"], told["policy"], told["changes"]) == ("conservative", "balanced", expected.changes)
    assert told["cost"] == cell.cost


def test_the_presets_differ_in_what_comes_of_them(found: Matrix) -> None:
    assert len({cell.score for cell in found.cells.values()}) >= 7


@given(loads=LOADS, count=st.integers(1, 8))
def test_what_is_seen_is_the_mean_of_what_is_known(loads: list[float], count: int) -> None:
    means = averaged(load_of(*loads), count * STEP).values
    for place, mean in enumerate(means):
        known = [load for load in loads[max(0, place + 1 - count) : place + 1] if np.isfinite(load)]
        assert mean == pytest.approx(np.mean(known)) if known else np.isnan(mean)


def test_a_preset_keeps_its_numbers_between_other_bounds() -> None:
    rules = unbounded(PREDICTIVE, 2 * CAPACITY, lowest=2, highest=300)
    own = PREDICTIVE.spec.policy
    assert (rules.min_replicas, rules.max_replicas) == (2, 300)
    assert rules.target_per_replica == pytest.approx(2 * own.target_per_replica)
    assert rules.scale_down == own.scale_down
    (step,) = rules.scale_up.policies
    assert (step.type, step.value) == (PolicyType.PODS, 300)  # as 20 was: to the size that is needed, at once


def test_a_preset_that_adds_one_at_a_time_still_does() -> None:
    rules = unbounded(presets()[0], CAPACITY, lowest=1, highest=300)
    assert rules.scale_up == presets()[0].spec.policy.scale_up


def test_forecasts_reach_as_far_as_the_presets_look() -> None:
    assert reach(STEP) == timedelta(minutes=35)
    assert reach(timedelta(minutes=10)) == timedelta(minutes=40)


def test_trials_answer_in_their_order_whoever_is_done_first() -> None:
    long, short = scene(*waves(2000)), scene(*waves(40))
    trials = [Trial(scene=one, policy=policy(), setting=at) for at, one in enumerate((long, short, short))]
    told: list[tuple[int, int]] = []
    found = points(trials, cores=2, tell=lambda done, every: told.append((done, every)))
    assert [point.setting for point in found] == [0, 1, 2]
    assert found == [trial.run() for trial in trials]
    assert told == [(1, 3), (2, 3), (3, 3)]
