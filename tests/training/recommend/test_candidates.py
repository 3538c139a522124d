"""Every candidate is a spec that the API server and the controller take, and means what its words say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.specs import spec_schema, strict
from training.presets import Preset, presets
from training.recommend.candidates import (
    PARTS,
    UTILISATIONS,
    Candidate,
    Target,
    calming,
    check,
    first,
    most,
    releasing,
)
from training.recommend.wishes import Budget, Risk
from training.simulate.capacity import SimulationError
from training.simulate.matrix import unbounded

TARGET = Target(
    name="web",
    kind="Deployment",
    lowest=2,
    highest=60,
    per_replica=12.5,
    startup=timedelta(seconds=90),
    interval=timedelta(seconds=15),
    query=None,
    address=None,
    model="default",
    zone="Europe/Berlin",
)
RISK = Risk(share=0.01)
VALIDATOR = jsonschema.Draft202012Validator(strict(spec_schema()))


def _all(target: Target) -> list[Candidate]:
    begun = first(target, RISK)
    return [*begun, *releasing(begun[0]), *calming(releasing(begun[0])[0]), *calming(begun[0])]


def _named(candidates: list[Candidate], about: str) -> Candidate:
    return next(one for one in candidates if one.about == about)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"model": None},
        {"zone": "UTC", "query": "sum(x)", "address": "http://prometheus:9090"},
        {"interval": timedelta(minutes=10), "per_replica": 1e-7},
        {"kind": "StatefulSet", "per_replica": 123456789.0, "highest": 5000},
    ],
)
def test_every_candidate_is_accepted_by_the_crd_and_the_controller(change: dict[str, Any]) -> None:
    for one in _all(replace(TARGET, **change)):
        VALIDATOR.validate(one.raw)
        assert one.spec.target.name == "web"


def test_candidates_differ_and_are_so_many() -> None:
    both, none = first(TARGET, RISK), first(replace(TARGET, model=None), RISK)
    assert len(both) == 2 * len(PARTS) + len(UTILISATIONS) + 9
    assert len(none) == len(PARTS) + len(UTILISATIONS) + 6
    assert not any(one.forecasts for one in none)
    every = _all(TARGET)
    assert all(one.raw != other.raw for place, one in enumerate(every) for other in every[:place] if one is not other)


def test_what_is_steered_to_is_a_part_of_what_is_allowed() -> None:
    steered = [one.policy.objective for one in first(TARGET, RISK)[: len(PARTS)]]
    assert steered == pytest.approx([0.01 * part for part in PARTS])


def test_an_objective_counts_on_all_that_a_replica_serves_and_a_utilisation_on_a_part() -> None:
    found = first(TARGET, Budget(amount=1, unit="h"))
    meeting = _named(found, "objective 1%, the forecast of default")
    assert (meeting.policy.target_per_replica, meeting.policy.lead_time) == (12.5, timedelta(seconds=90))
    assert (meeting.policy.min_replicas, meeting.policy.max_replicas) == (2, 60)
    assert str(meeting.spec.zone) == "Europe/Berlin"
    fixed = _named(found, "HPA at 60%")
    assert (fixed.policy.target_per_replica, fixed.policy.objective, fixed.forecasts) == (7.5, None, False)


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_a_preset_is_the_one_of_the_matrix(preset: Preset) -> None:
    candidate = _named(first(TARGET, RISK), f"preset {preset.name}")
    expected = unbounded(preset, 12.5, lowest=2, highest=60)
    assert candidate.policy.target_per_replica == pytest.approx(expected.target_per_replica)
    assert candidate.policy == replace(expected, target_per_replica=candidate.policy.target_per_replica)
    assert candidate.forecasts is preset.forecasts
    assert candidate.over == preset.spec.interval


def test_later_rounds_change_one_thing_and_keep_the_rest() -> None:
    best = first(TARGET, RISK)[0]
    later = releasing(best)[1]
    rules = later.policy.scale_down
    assert rules.stabilization == timedelta(seconds=900)
    assert replace(later.policy, scale_down=best.policy.scale_down) == best.policy
    calm = calming(later)
    assert [one.policy.flap_budget for one in calm[:3]] == [12, 6, 2]
    assert [one.policy.scale_down.tolerance for one in calm[3:]] == [0.0, 0.2]
    assert all(one.policy.scale_down.stabilization == timedelta(seconds=900) for one in calm)


def test_a_preset_is_not_changed() -> None:
    preset = first(TARGET, RISK)[-1]
    assert preset.is_preset
    assert [*releasing(preset), *calming(preset)] == []


@settings(deadline=None)
@given(share=st.floats(1e-6, 0.2), load=st.floats(1e-8, 1e9))
def test_numbers_are_written_as_the_controller_reads_them(share: float, load: float) -> None:
    one = first(replace(TARGET, per_replica=load), Risk(share=share))[0]
    assert one.policy.target_per_replica == pytest.approx(load, rel=1e-5)
    assert one.policy.objective == pytest.approx(share, abs=5.1e-7)
    assert one.setting == one.policy.objective


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Web"}, "--name: "),
        ({"kind": "DaemonSet"}, "--kind: "),
        ({"lowest": 70}, "--max-replicas: "),
        ({"model": "My Model"}, "--model: "),
        ({"startup": timedelta(hours=7)}, "--startup: "),
        ({"interval": timedelta(hours=2)}, "--step: "),
    ],
)
def test_what_no_spec_can_say_names_the_option(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=f"^{message}"):
        check(replace(TARGET, **change))


@pytest.mark.parametrize(
    ("load", "per_replica", "lowest", "expected"), [(95, 10, 1, 20), (0, 10, 1, 1), (10, 10, 5, 5), (1e9, 1, 1, 100000)]
)
def test_twice_what_the_highest_load_needs_is_allowed(
    load: float, per_replica: float, lowest: int, expected: int
) -> None:
    assert most(load, per_replica, lowest) == expected
