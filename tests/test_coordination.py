"""Who waits for whom, and what is known of it: names and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from controller.coordination import CoordinationError, Known, pods_of, replicas_of, units_for
from controller.core.coordination import Units
from controller.registry import Registry, Scaler
from controller.spec import ScalerSpec
from tests.builders import NOW, body, scaler, seconds

GROUP: dict[str, Any] = {"targetRef": {"kind": "AutoScalingGroup", "name": "workers", "region": "eu-central-1"}}
NODES = GROUP | {"coordination": {"scaler": "web", "replicasPerUnit": 4}}
KNOWN = Known(time=NOW, asked=5, ready=3, lead_time=seconds(200))


def _spec(one: Scaler) -> ScalerSpec:
    assert isinstance(one.spec, ScalerSpec)
    return one.spec


def _found(*others: dict[str, Any], name: str = "nodes", **changes: Any) -> str | None:
    """Whose pods run on the group of "nodes", by name."""
    registry = Registry()
    for one in (body(name, **({"spec": NODES, "created": "2026-03-02T00:00:00Z"} | changes)), *others):
        registry.put(one)
    group = registry.all()[0]
    found = pods_of(registry, group, _spec(group))
    return None if found is None else found[0].name


@pytest.mark.parametrize("mode", ["Active", "Observe", "Paused"])
def test_the_scaler_of_the_pods_is_found_whatever_it_does(mode: str) -> None:
    assert _found(body("web", spec={"mode": mode})) == "web"


def test_a_group_without_coordination_has_no_pods() -> None:
    assert _found(body("web"), spec=GROUP) is None


def test_a_group_that_only_watches_stands_in_nobodys_way() -> None:
    younger = body("spare", spec=NODES | {"mode": "Observe"}, created="2026-03-01T00:00:00Z")
    assert _found(body("web"), younger) == "web"
    assert _found(
        body("web"), body("spare", spec=NODES, created="2026-03-01T00:00:00Z"), spec=NODES | {"mode": "Observe"}
    )


@pytest.mark.parametrize(
    ("others", "changes", "reason", "message"),
    [
        (
            [],
            {},
            "CoordinationUnknown",
            'there is no PredictiveScaler "web" in shop; create it or change coordination.scaler',
        ),
        (
            [body("web", spec={"maxReplicas": 0})],
            {},
            "CoordinationUnknown",
            'PredictiveScaler "web" is refused, so that nobody knows its pods; mend it: '
            "spec.maxReplicas: must be a whole number from 1 to 100000, not 0",
        ),
        (
            [body("web", spec=GROUP)],
            {},
            "CoordinationInvalid",
            'PredictiveScaler "web" scales an AutoScalingGroup itself; name the one that scales the pods',
        ),
        (
            [],
            {"name": "web"},
            "CoordinationInvalid",
            'PredictiveScaler "web" scales an AutoScalingGroup itself; name the one that scales the pods',
        ),
        (
            [body("web"), body("others", spec=NODES, created="2026-03-01T00:00:00Z")],
            {},
            "CoordinationInvalid",
            'PredictiveScaler "others", the older one, names "web" too; pods can wait for one group only: '
            "remove coordination from shop/nodes (this one) or from shop/others",
        ),
    ],
    ids=["missing", "refused", "a-group", "itself", "twice"],
)
def test_what_cannot_be_coordinated_is_told_with_its_cure(
    others: list[dict[str, Any]], changes: dict[str, Any], reason: str, message: str
) -> None:
    with pytest.raises(CoordinationError) as refused:
        _found(*others, **changes)
    assert (refused.value.reason, str(refused.value)) == (reason, f"{message}; until then no unit is released")


def test_a_circle_of_groups_is_refused_on_both_sides() -> None:
    first, second = (
        body(one, spec=GROUP | {"coordination": {"scaler": other, "replicasPerUnit": 4}})
        for one, other in (("a", "b"), ("b", "a"))
    )
    registry = Registry()
    registry.put(first)
    registry.put(second)
    for one in registry.all():
        with pytest.raises(CoordinationError, match="scales an AutoScalingGroup itself"):
            pods_of(registry, one, _spec(one))


def test_what_a_group_has_for_its_pods() -> None:
    group = _spec(scaler("nodes", spec=NODES))
    assert units_for(group, KNOWN, NOW + seconds(60)) == Units(
        name='AutoScalingGroup "workers"', asked=5, ready=3, per_unit=4, decided=KNOWN.time, patience=seconds(215)
    )


@pytest.mark.parametrize(("known", "age"), [(None, 0), (KNOWN, 151)], ids=["never", "long-ago"])
def test_what_is_not_known_of_late_nobody_waits_for(known: Known | None, age: float) -> None:
    assert units_for(_spec(scaler("nodes", spec=NODES)), known, NOW + seconds(age)) is None


@pytest.mark.parametrize(
    ("found", "age", "mode", "replicas"),
    [(3, 60, "Active", 5), (8, 60, "Active", 8), (3, 151, "Active", 3), (3, 60, "Observe", 3)],
    ids=["asked-for", "found", "asked-for-long-ago", "never-asked-for"],
)
def test_how_many_pods_need_a_place(found: int, age: float, mode: str, replicas: int) -> None:
    pods = _spec(scaler(spec={"mode": mode}))
    assert replicas_of(pods, KNOWN, found, NOW + seconds(age)) == replicas


def test_pods_that_nobody_saw_yet_are_those_that_are_found() -> None:
    assert replicas_of(_spec(scaler()), None, 3, NOW) == 3
