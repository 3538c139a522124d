"""Is a size that Git takes back left alone, for how long, and is its user told exactly what to write?"""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.spec import FloorRef, TargetRef
from controller.targets.claims import CONTINUOUS, HELD_SECONDS, PAUSES, Claims, Field, note

FIELD = Field.of("shop", TargetRef(api_version="apps/v1", kind="Deployment", name="web"))
FLOOR = Field.of("shop", FloorRef(name="web"))
ARGO, PEOPLE = ("argocd-controller",), ("kubectl-edit",)
GENERATION = 1


class Clock:
    """Seconds, set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken_back(clock: Clock, *, by: tuple[str, ...] = ARGO, after: float = 5.0, field: Field = FIELD) -> Claims:
    """From 7 to 3, so long after the write."""
    claims = Claims(clock)
    claims.wrote(field, 7)
    assert claims.owner(field, GENERATION) is None
    clock.now += after
    claims.saw(field, 3, by)
    return claims


def test_nothing_is_owned_before_anything_was_written() -> None:
    claims = Claims(Clock())
    claims.saw(FIELD, 3, ARGO)
    assert claims.owner(FIELD, GENERATION) is None


def test_what_stands_is_nobody_else_s() -> None:
    claims = Claims(Clock())
    claims.wrote(FIELD, 7)
    claims.saw(FIELD, 7, ARGO)
    assert claims.owner(FIELD, GENERATION) is None


def test_what_git_takes_back_is_left_alone() -> None:
    owner = taken_back(Clock()).owner(FIELD, GENERATION)
    assert owner is not None
    assert owner.words == 'Argo CD (field manager "argocd-controller")'


def test_what_people_change_is_where_the_next_decision_starts() -> None:
    claims = taken_back(Clock(), by=PEOPLE)
    assert claims.owner(FIELD, GENERATION) is None
    claims.saw(FIELD, 3, ARGO)
    assert claims.owner(FIELD, GENERATION) is None


def test_another_field_of_the_same_name_is_free() -> None:
    assert taken_back(Clock()).owner(FLOOR, GENERATION) is None


def test_each_further_time_it_is_left_alone_for_longer() -> None:
    clock = Clock()
    claims = taken_back(clock)
    for pause in (*PAUSES, PAUSES[-1]):
        clock.now += pause - 1
        assert claims.owner(FIELD, GENERATION) is not None
        clock.now += 1
        assert claims.owner(FIELD, GENERATION) is None
        claims.wrote(FIELD, 8)
        claims.saw(FIELD, 3, ARGO)


def test_a_changed_scaler_may_write_at_once_and_is_no_more_than_at_the_first_time_after_that() -> None:
    clock = Clock()
    claims = taken_back(clock)
    assert claims.owner(FIELD, GENERATION + 1) is None
    claims.wrote(FIELD, 8)
    claims.saw(FIELD, 3, ARGO)
    clock.now += PAUSES[0]
    assert claims.owner(FIELD, GENERATION + 1) is None


def test_whoever_only_asks_changes_nothing() -> None:
    claims = taken_back(Clock())
    assert claims.owner(FIELD, 0) is not None
    assert claims.owner(FIELD, GENERATION) is not None


def test_a_deployment_after_long_is_no_fight() -> None:
    clock = Clock()
    claims = taken_back(clock, after=HELD_SECONDS)
    assert claims.owner(FIELD, GENERATION) is None
    claims.wrote(FIELD, 7)
    claims.saw(FIELD, 3, ARGO)
    assert claims.owner(FIELD, GENERATION) is not None


def test_how_long_a_field_was_held_counts_from_its_first_write() -> None:
    clock = Clock()
    claims = Claims(clock)
    for size in (7, 8, 9):
        claims.wrote(FIELD, size)
        clock.now += HELD_SECONDS / 3 + 1
    claims.saw(FIELD, 3, ARGO)
    assert claims.owner(FIELD, GENERATION) is None


@given(st.lists(st.tuples(st.sampled_from(["write", "revert", "wait"]), st.integers(1, 900)), max_size=60))
def test_git_is_never_written_against_more_often_than_the_pauses_allow(steps: list[tuple[str, int]]) -> None:
    """However the times fall: after a size was taken back within the hour, none is written for at least ten minutes."""
    clock = Clock()
    claims = Claims(clock)
    written: float | None = None
    for what, seconds in steps:
        clock.now += seconds
        if what == "write" and claims.owner(FIELD, GENERATION) is None:
            claims.wrote(FIELD, 7)
            written = clock.now if written is None else written
        elif what == "revert" and written is not None:
            held, written = clock.now - written, None
            claims.saw(FIELD, 3, ARGO)
            assert (claims.owner(FIELD, GENERATION) is not None) is (held < HELD_SECONDS)


def test_argo_cd_s_cure_is_yaml_that_can_be_pasted() -> None:
    owner = taken_back(Clock()).owner(FIELD, GENERATION)
    assert owner is not None
    sentence, _, text = owner.cure.partition("\n")
    assert sentence == (
        "it set spec.replicas from 7 to 3, so nothing is written for 10 minutes, or until this PredictiveScaler "
        "changes; have it ignore the field, by this in its Application:"
    )
    assert yaml.safe_load(text) == {
        "spec": {
            "ignoreDifferences": [
                {
                    "group": "apps",
                    "kind": "Deployment",
                    "name": "web",
                    "namespace": "shop",
                    "jsonPointers": ["/spec/replicas"],
                }
            ],
            "syncPolicy": {"syncOptions": ["RespectIgnoreDifferences=true"]},
        }
    }


def test_the_cure_of_a_floor_names_its_own_field() -> None:
    owner = taken_back(Clock(), field=FLOOR).owner(FLOOR, GENERATION)
    assert owner is not None
    (rule,) = yaml.safe_load(owner.cure.partition("\n")[2])["spec"]["ignoreDifferences"]
    assert (rule["group"], rule["kind"], rule["jsonPointers"]) == (
        "autoscaling",
        "HorizontalPodAutoscaler",
        ["/spec/minReplicas"],
    )


def test_flux_s_cures() -> None:
    helm = taken_back(Clock(), by=("helm-controller",)).owner(FIELD, GENERATION)
    assert helm is not None
    assert yaml.safe_load(helm.cure.partition("\n")[2]) == {
        "spec": {
            "driftDetection": {
                "ignore": [{"paths": ["/spec/replicas"], "target": {"kind": "Deployment", "name": "web"}}]
            }
        }
    }
    kustomize = taken_back(Clock(), by=("kustomize-controller",)).owner(FIELD, GENERATION)
    assert kustomize is not None
    assert kustomize.cure.endswith("leave spec.replicas of Deployment web out of the manifests in Git")


def test_every_manager_has_a_note_and_people_have_none() -> None:
    assert all("owns spec.replicas as well" in note(FIELD, [one]) for one in CONTINUOUS)
    assert note(FIELD, PEOPLE) == note(FIELD, ["predictive-scaler"]) == ""
