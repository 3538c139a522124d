"""The score from tick to tick: what begins anew, what goes on, and that it survives a restart."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.core.memory import Memory
from controller.core.scorecard import DAY, Scorecard, Tally
from controller.core.shadow import Fleet, Shadow
from controller.grading import Grade, GradeFormatError, settled, unwatched, watched
from controller.spec import ScalerSpec
from tests.builders import INTERVAL, NOW, scaler, seconds
from tests.contracts.specs import merged

HPA = 'HorizontalPodAutoscaler "web"'


def _spec(**changes: Any) -> ScalerSpec:
    spec = scaler(spec={"mode": "Observe", **changes}).spec
    assert isinstance(spec, ScalerSpec)
    return spec


def _tick(
    grade: Grade | None = None,
    now: datetime = NOW,
    *,
    found: int = 2,
    own: int = 5,
    load: float | None = 100.0,
    **changes: Any,
) -> Grade:
    """A tick at which `own` was decided."""
    spec = _spec(**changes)
    grade, _ = watched(grade, now, found, spec, spec.policy)
    return settled(grade, now, load, own, spec.policy, HPA)


def _scored(**changes: Any) -> Grade:
    return _tick(_tick(), NOW + INTERVAL, **changes)


def test_the_decision_starts_from_what_the_scaler_would_have() -> None:
    spec = _spec()
    _, shadow = watched(_tick(), NOW + INTERVAL, 2, spec, spec.policy)
    assert shadow.own.size == 5


def test_both_are_counted_from_the_first_decision_on() -> None:
    assert list(_scored().windows().values()) == [Tally(known=15, own_replicas=75, actual_replicas=30)] * 3


def test_a_missing_load_counts_for_nobody() -> None:
    assert _scored(load=None).windows()[DAY] == Tally()


@pytest.mark.parametrize(
    ("changes", "known", "own"),
    [
        pytest.param({}, 30, 5, id="the-same"),
        pytest.param({"maxReplicas": 3}, 15, 5, id="other-bounds"),  # the next decision will bring it within them
        pytest.param({"metric": {"targetPerReplica": 50}}, 15, 5, id="another-target-per-replica"),
        pytest.param({"metric": {"prometheus": {"query": "other"}}}, 15, 5, id="another-load"),
        pytest.param({"forecast": {"leadTime": "5m"}}, 15, 5, id="another-lead-time"),
        pytest.param({"forecast": {"model": "other"}}, 30, 5, id="another-model"),
        pytest.param({"targetRef": {"name": "api"}}, 15, 2, id="another-target"),
    ],
)
def test_what_begins_anew_with_the_spec(changes: dict[str, Any], known: float, own: int) -> None:
    earlier = _scored()
    spec = _spec(**changes)
    grade, shadow = watched(earlier, NOW + 2 * INTERVAL, 2, spec, spec.policy)
    grade = settled(grade, NOW + 2 * INTERVAL, 100.0, own, spec.policy, None)
    expected = 0 if own == 2 else known  # a shadow that begins now has no past to count
    assert (shadow.own.size, grade.windows()[DAY].known) == (own, expected)


def test_a_lead_time_that_is_learnt_anew_begins_nothing() -> None:
    spec = _spec(forecast={"leadTime": "auto"})
    grade, _ = watched(None, NOW, 2, spec, spec.policy)
    learnt = replace(spec, policy=replace(spec.policy, lead_time=seconds(37)))
    assert watched(grade, NOW, 2, learnt, learnt.policy)[0].rules == grade.rules


def test_a_score_survives_a_restart() -> None:
    grade = _scored()
    assert replace(Grade.from_json(json.loads(json.dumps(grade.to_json()))), objective=grade.objective) == grade


@pytest.mark.parametrize("raw", [{}, {"version": 2}, {"version": 1, "card": []}, {**_scored().to_json(), "card": {}}])
def test_what_is_no_score_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(GradeFormatError):
        Grade.from_json(raw)


def test_another_mode_keeps_the_score_and_forgets_the_sizes_of_the_shadow() -> None:
    memory = Memory().noticing(NOW, 5, since=NOW, keep=DAY).noticing(NOW + INTERVAL, 9, since=NOW, keep=DAY)
    waiting, kept = unwatched(_scored(), memory)
    assert (waiting.windows(), waiting.shadow, kept) == (_scored().windows(), None, Memory())


def test_what_was_never_watched_keeps_its_sizes() -> None:
    memory = Memory().noticing(NOW, 5, since=NOW, keep=DAY)
    grade = Grade(target="", rules="")
    assert unwatched(grade, memory) == (grade, memory)


def test_observe_after_another_mode_begins_with_the_size_that_is_found() -> None:
    waiting, _ = unwatched(_scored(), Memory())
    again = _tick(waiting, NOW + timedelta(days=1), found=7)
    assert (again.shadow, again.card) == (
        Shadow(time=NOW + timedelta(days=1), own=Fleet(started=5), actual=Fleet(started=7)),
        waiting.card,
    )


def test_a_scaler_that_was_never_scored_is_not_known_yet() -> None:
    grade = Grade(target="", rules="", card=Scorecard())
    assert (grade.windows(), grade.verdict().is_recommended) == ({}, None)


def test_nothing_stored_is_null_as_a_merge_patch_drops_it() -> None:
    empty = Grade(target="", rules="")
    assert merged({}, empty.to_json()) == empty.to_json()
    assert Grade.from_json(empty.to_json()) == empty


def test_the_marks_of_what_is_scored_outlive_a_release() -> None:
    """As releases wrote them that knew neither CloudWatch nor groups: else an upgrade would throw a score away."""
    grade, _ = watched(None, NOW, 3, _spec_of(UPGRADED), _spec_of(UPGRADED).policy)
    assert (grade.rules, grade.target) == ("7ee5a3fdc752", "731ab7f2942c")


UPGRADED = {"forecast": {"leadTime": "auto"}, "objective": {"underProvisionedTime": "1%"}}


def _spec_of(spec: dict[str, Any]) -> ScalerSpec:
    made = scaler(spec=spec).spec
    assert isinstance(made, ScalerSpec)
    return made
