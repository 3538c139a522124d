"""Which scalers exist, whatever order watch and list tell it in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.registry import Registry, Scaler, choice, precedence, seniority
from controller.spec import AnyTarget, FloorRef, ScalerSpec, SpecError, TargetRef
from tests.builders import body, scaler


def _registry(*bodies: dict[str, Any]) -> Registry:
    registry = Registry()
    for one in bodies:
        registry.put(one)
    return registry


def _spec(registry: Registry, uid: str = "uid-web") -> ScalerSpec | SpecError:
    return next(scaler.spec for scaler in registry.all() if scaler.uid == uid)


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED"])
def test_events_that_bring_a_scaler(kind: str | None) -> None:
    registry = Registry()
    registry.apply(kind, body())
    assert registry.uids() == {"uid-web"}


def test_event_that_takes_a_scaler_away() -> None:
    registry = _registry(body())
    registry.apply("DELETED", body())
    assert len(registry) == 0


def test_deleting_what_is_not_known_is_no_error() -> None:
    registry = Registry()
    registry.apply("DELETED", body())
    assert len(registry) == 0


def test_a_bad_spec_is_kept_as_its_error() -> None:
    assert isinstance(_spec(_registry(body(spec={"maxReplicas": 0}))), SpecError)


@pytest.mark.parametrize(("generation", "high"), [(1, 10), (2, 20), (3, 20)])
def test_spec_by_generation(generation: int, high: int) -> None:
    registry = _registry(body(generation=1))
    registry.put(body(generation=generation, spec={"maxReplicas": 20}))
    spec = _spec(registry)
    assert isinstance(spec, ScalerSpec)
    assert spec.policy.max_replicas == high


def test_an_older_generation_does_not_come_back() -> None:
    registry = _registry(body(generation=2, spec={"maxReplicas": 20}), body(generation=1))
    assert registry.all()[0].generation == 2


def test_the_same_generation_is_not_parsed_again() -> None:
    registry = _registry(body())
    before = _spec(registry)
    registry.put(body(status={"desiredReplicas": 3}))
    assert _spec(registry) is before


def _at(version: str, **changes: Any) -> dict[str, Any]:
    """A PredictiveScaler as of a resource version, which its status names."""
    made = body(status={"written": version}, **changes)
    made["metadata"]["resourceVersion"] = version
    return made


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        (["7", "8"], "8"),
        (["8", "7"], "8"),
        (["99", "100"], "100"),
        (["100", "99"], "100"),
        (["8", "8"], "8"),
        (["a", "7"], "7"),
        (["7", "a"], "a"),
    ],
    ids=["later", "overtaken", "as-numbers", "as-numbers-overtaken", "again", "no-number-before", "no-number"],
)
def test_the_newest_status_is_kept(versions: list[str], newest: str) -> None:
    registry = _registry(*(_at(version) for version in versions))
    assert registry.all()[0].status == {"written": newest}


def test_a_list_that_was_overtaken_brings_no_old_status_back() -> None:
    registry = _registry(_at("7"))
    known = registry.uids()
    registry.apply("MODIFIED", _at("9"))
    registry.sync([_at("8")], known)
    assert registry.all()[0].status == {"written": "9"}


def test_an_older_generation_brings_no_status() -> None:
    registry = _registry(_at("9", generation=2), _at("10", generation=1))
    assert registry.all()[0].status == {"written": "9"}


def test_a_status_that_was_removed_is_gone() -> None:
    registry = _registry(_at("7"), {**_at("8"), "status": None})
    assert registry.all()[0].status == {}


def test_found_by_name() -> None:
    registry = _registry(body("web"), body("api"))
    found = registry.named("shop", "api")
    assert (found and found.uid, registry.named("elsewhere", "api")) == ("uid-api", None)


def test_a_name_is_that_of_the_object_made_anew_whatever_the_order() -> None:
    registry = _registry(body(uid="first"), body(uid="second"))
    registry.discard("first")
    found = registry.named("shop", "web")
    registry.discard("second")
    assert (found and found.uid, registry.named("shop", "web")) == ("second", None)


def test_a_list_finds_a_lost_deletion() -> None:
    registry = _registry(body("web"), body("api"))
    assert registry.sync([body("web")], registry.uids()) == ["uid-api"]


def test_what_a_list_misses_is_gone() -> None:
    registry = _registry(body("web"), body("api"))
    registry.sync([body("web")], registry.uids())
    assert registry.uids() == {"uid-web"}


def test_what_the_watch_added_during_a_list_survives_it() -> None:
    registry = _registry(body("web"))
    known = registry.uids()
    registry.put(body("api"))
    registry.sync([body("web")], known)
    assert registry.uids() == {"uid-web", "uid-api"}


def test_what_the_watch_deleted_during_a_list_does_not_come_back() -> None:
    registry = _registry(body("web"), body("api"))
    known = registry.uids()
    registry.discard("uid-api")
    registry.sync([body("web"), body("api")], known)
    assert registry.uids() == {"uid-web"}


def test_a_list_brings_what_the_watch_never_told() -> None:
    registry = Registry()
    registry.sync([body("web")], registry.uids())
    assert registry.uids() == {"uid-web"}


def test_a_re_created_object_replaces_the_old_one() -> None:
    registry = _registry(body(uid="first"))
    registry.sync([body(uid="second")], registry.uids())
    assert registry.uids() == {"second"}


def test_a_re_created_object_brings_its_own_status() -> None:
    registry = _registry(body(uid="first", status={"memory": {"version": 1}}))
    registry.sync([body(uid="second")], registry.uids())
    assert registry.all()[0].status == {}


FIRST, SECOND = "2026-03-01T00:00:00Z", "2026-03-01T00:00:01Z"


def _rival_of_late(**early: Any) -> str | None:
    """Who stands in the way of "late", which scales the Deployment "web" and came second."""
    first: dict[str, Any] = {"spec": {"targetRef": {"name": "web"}}, "created": FIRST}
    late = body("late", created=SECOND, spec={"targetRef": {"name": "web"}})
    registry = _registry(late, body("early", **(first | early)))
    rival = registry.rival(registry.all()[0])
    return None if rival is None else rival.name


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        (TargetRef(api_version="apps/v1beta1", kind="Deployment", name="web"), "early"),
        (TargetRef(api_version="apps/v1", kind="StatefulSet", name="web"), None),
        (FloorRef(name="web"), "floor"),
        (FloorRef(name="other"), None),
    ],
)
def test_who_scales_a_target_is_the_oldest_that_acts(ref: AnyTarget, expected: str | None) -> None:
    """An autoscaler and the Deployment that it scales are two targets."""
    floor = {"kind": "HorizontalPodAutoscaler", "name": "web"}
    registry = _registry(
        body("late", created=SECOND, spec={"targetRef": {"name": "web"}}),
        body("early", created=FIRST, spec={"targetRef": {"name": "web"}}),
        body("floor", created=SECOND, spec={"targetRef": floor}),
        body("observer", created=FIRST, spec={"targetRef": floor, "mode": "Observe"}),
    )
    found = registry.scaling("shop", ref)
    assert (None if found is None else found.name) == expected
    assert registry.scaling("else", ref) is None


def test_the_older_scaler_of_a_target_is_the_rival() -> None:
    assert _rival_of_late() == "early"


@pytest.mark.parametrize(
    "early",
    [
        {"created": "2026-03-01T00:00:02Z"},
        {"spec": {"targetRef": {"name": "api"}}},
        {"spec": {"targetRef": {"name": "web", "kind": "StatefulSet"}}},
        {"spec": {"targetRef": {"name": "web", "apiVersion": "example.com/v1"}}},
        {"spec": {"targetRef": {"name": "web"}, "mode": "Observe"}},
        {"spec": {"targetRef": {"name": "web"}, "mode": "Paused"}},
        {"spec": {"targetRef": {"name": "web"}, "maxReplicas": 0}},
    ],
    ids=["younger", "other-name", "other-kind", "other-group", "observes", "paused", "refused"],
)
def test_no_rival_is_one_that(early: dict[str, Any]) -> None:
    assert _rival_of_late(**early) is None


def test_another_version_of_the_same_group_is_the_same_target() -> None:
    assert _rival_of_late(spec={"targetRef": {"name": "web", "apiVersion": "apps/v1beta1"}}) == "early"


def test_the_same_name_in_another_namespace_is_another_target() -> None:
    other = body("late", created=SECOND, spec={"targetRef": {"name": "web"}})
    other["metadata"]["namespace"] = "elsewhere"
    registry = _registry(body("early", spec={"targetRef": {"name": "web"}}), other)
    assert registry.rival(registry.all()[1]) is None


@given(uids=st.permutations("abc"), order=st.permutations("abc"))
def test_of_some_as_old_as_each_other_the_first_by_name_owns_the_target(uids: list[str], order: list[str]) -> None:
    """Whatever their uids, and in whatever order they came: the API server tells ages to the second."""
    given_uids = dict(zip("abc", uids, strict=True))
    same: dict[str, Any] = {"spec": {"targetRef": {"name": "web"}}, "created": FIRST}
    registry = _registry(*(body(name, uid=given_uids[name], **same) for name in order))
    rivals = {scaler.name: registry.rival(scaler) for scaler in registry.all()}
    assert {name: rival and rival.name for name, rival in rivals.items()} == {"a": None, "b": "a", "c": "a"}


@pytest.mark.parametrize(
    ("first", "other", "words"),
    [
        (scaler("a", created=FIRST), scaler("b", created=SECOND), 'PredictiveScaler "a", the older one,'),
        (scaler("a"), scaler("b"), 'PredictiveScaler "a", the first by name of two as old,'),
        (
            scaler("a", created=FIRST),
            replace(scaler("a", created=SECOND), namespace="elsewhere"),
            'PredictiveScaler "a" in shop, the older one,',
        ),
        (
            replace(scaler("b"), namespace="bank"),
            scaler("a"),
            'PredictiveScaler "b" in bank, the first by namespace of two as old,',
        ),
    ],
    ids=["older", "first-by-name", "elsewhere", "first-by-namespace"],
)
def test_why_one_goes_before_the_other(first: Scaler, other: Scaler, words: str) -> None:
    assert seniority(first) < seniority(other)
    assert precedence(first, other) == words


def test_the_cure_names_both_also_where_they_have_one_name() -> None:
    words = choice(scaler("a"), replace(scaler("a"), namespace="web"))
    assert words == "one of the two is enough: delete web/a (this one) or shop/a, or give one of them mode Observe"


def test_the_next_one_owns_the_target_once_the_first_is_gone() -> None:
    same: dict[str, Any] = {"spec": {"targetRef": {"name": "web"}}}
    registry = _registry(body("a", created=FIRST, **same), body("b", created=SECOND, **same))
    late = registry.all()[1]
    had_rival = registry.rival(late) is not None
    registry.discard("uid-a")
    assert (had_rival, registry.rival(late)) == (True, None)


def test_an_observer_has_no_rival() -> None:
    same = {"targetRef": {"name": "web"}}
    registry = _registry(
        body("a", created=FIRST, spec=same), body("b", created=SECOND, spec=same | {"mode": "Observe"})
    )
    assert registry.rival(registry.all()[1]) is None


GROUP: dict[str, Any] = {"targetRef": {"kind": "AutoScalingGroup", "name": "nodes", "region": "eu-central-1"}}


def _role(account: str) -> dict[str, Any]:
    return {"roleArn": f"arn:aws:iam::{account}:role/scaler"}


@pytest.mark.parametrize(
    ("first", "second", "is_rival"),
    [
        ({}, {}, True),
        ({}, {"region": "eu-west-1"}, False),
        ({}, {"name": "others"}, False),
        (_role("111111111111"), _role("222222222222"), False),
        (_role("111111111111"), _role("111111111111") | {"externalId": "abc"}, True),
    ],
    ids=["the-same", "region", "name", "account", "external-id"],
)
def test_a_group_is_known_by_account_region_and_name_in_whatever_namespace(
    first: dict[str, Any], second: dict[str, Any], is_rival: bool
) -> None:
    early = body("early", created=FIRST, spec={"targetRef": GROUP["targetRef"] | first})
    late = body("late", created=SECOND, spec={"targetRef": GROUP["targetRef"] | second})
    late["metadata"]["namespace"] = "elsewhere"
    registry = _registry(early, late)
    assert (registry.rival(registry.all()[1]) is not None) is is_rival


def _group_of_web(*bodies: dict[str, Any]) -> str | None:
    group = _registry(*bodies).group("shop", "web")
    return None if group is None else group.name


def _naming(scaler: str, **changes: Any) -> dict[str, Any]:
    return GROUP | {"coordination": {"scaler": scaler, "replicasPerUnit": 4}} | changes


def test_the_group_that_pods_run_on_is_the_first_to_name_them() -> None:
    late, early = body("late", created=SECOND, spec=_naming("web")), body("early", created=FIRST, spec=_naming("web"))
    assert _group_of_web(late, early) == "early"


@pytest.mark.parametrize(
    "spec",
    [
        GROUP,
        _naming("api"),
        _naming("web", mode="Observe"),
        _naming("web", mode="Paused"),
        _naming("web", maxReplicas=0),
    ],
    ids=["names-none", "names-another", "observes", "paused", "refused"],
)
def test_no_group_to_wait_for_is_one_that(spec: dict[str, Any]) -> None:
    assert _group_of_web(body("nodes", spec=spec)) is None


def test_a_group_names_pods_of_its_own_namespace() -> None:
    elsewhere = body("nodes", spec=_naming("web"))
    elsewhere["metadata"]["namespace"] = "elsewhere"
    assert _group_of_web(elsewhere) is None


def test_a_group_that_is_gone_or_changed_is_waited_for_no_more() -> None:
    registry = _registry(body("nodes", spec=_naming("web")))
    before = registry.group("shop", "web")
    registry.put(body("nodes", generation=2, spec=GROUP))
    assert (before is not None, registry.group("shop", "web")) == (True, None)
    registry.put(body("nodes", generation=3, spec=_naming("web")))
    found = registry.group("shop", "web")
    registry.discard("uid-nodes")
    assert (found is not None, registry.group("shop", "web")) == (True, None)


def _written(*entries: dict[str, Any], version: str = "1") -> dict[str, Any]:
    made = body()
    made["metadata"] |= {"managedFields": list(entries), "resourceVersion": version}
    return made


def _by(manager: str, **changes: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "subresource": "status", "time": "10:00"} | changes


@pytest.mark.parametrize(
    ("entries", "writers"),
    [
        ([], set()),
        ([_by("predictive-scaler/scaling/mine")], {("scaling/mine", "10:00")}),
        (
            [_by("predictive-scaler/a/x"), _by("predictive-scaler/b/x", time="10:01")],
            {("a/x", "10:00"), ("b/x", "10:01")},
        ),
        ([_by("kubectl-edit"), _by("predictive-scaler"), {"manager": "argocd-controller"}], set()),
        ([_by("predictive-scaler/a/x", subresource="")], set()),
    ],
    ids=["nobody", "one", "two", "others", "no-status"],
)
def test_who_wrote_in_the_status(entries: list[dict[str, Any]], writers: set[tuple[str, str]]) -> None:
    assert _registry(_written(*entries)).all()[0].writers == writers


def test_who_wrote_is_as_new_as_the_status() -> None:
    registry = _registry(_written(_by("predictive-scaler/a/x"), version="1"))
    registry.put(_written(_by("predictive-scaler/b/x"), version="2"))
    assert registry.all()[0].writers == {("b/x", "10:00")}
