"""Is what pausing and going on mean always the same, and is what cannot be meant refused with its cure?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import ClientError
from client.modes import PAUSED_MODE, RESUMABLE, check_mode, keepers, kept_words, paused, resumed
from controller.spec import Mode
from tests.builders import body
from tests.contracts.specs import merged


def _scaler(mode: str, was: str | None = None, **metadata: Any) -> dict[str, Any]:
    annotations = {} if was is None else {PAUSED_MODE: was}
    about = {"metadata": {"resourceVersion": "7", "annotations": {"team": "shop", **annotations}, **metadata}}
    return dict(merged(body(spec={"mode": mode}), about))


def _after(one: dict[str, Any], patch: dict[str, Any] | None) -> dict[str, Any]:
    return one if patch is None else dict(merged(one, patch))


@given(st.sampled_from(RESUMABLE))
def test_who_pauses_and_goes_on_is_where_they_were(mode: Mode) -> None:
    one = _scaler(mode)
    stopped = _after(one, paused(one).patch)
    assert stopped["spec"]["mode"] == "Paused"
    assert stopped["metadata"]["annotations"] == {"team": "shop", PAUSED_MODE: mode}
    assert _after(stopped, resumed(stopped, None).patch) == one


@given(st.sampled_from(RESUMABLE))
def test_twice_is_once(mode: Mode) -> None:
    one = _scaler(mode)
    stopped = _after(one, paused(one).patch)
    assert paused(stopped).patch is None
    assert paused(stopped).words == f"is paused already (was {mode})"
    assert resumed(one, None).patch is None
    assert resumed(one, mode).words == f"is not paused (mode {mode})"


def test_a_patch_is_of_what_was_read() -> None:
    patch = paused(_scaler("Active")).patch
    assert patch is not None
    assert patch["metadata"]["resourceVersion"] == "7"


def test_an_absent_mode_is_the_default() -> None:
    assert paused(merged(_scaler("Active"), {"spec": {"mode": None}})).words == "paused (was Active)"


def test_another_mode_may_be_named() -> None:
    stopped = _scaler("Paused", was="Active")
    assert resumed(stopped, Mode.OBSERVE).words == "goes on in mode Observe"
    assert _after(stopped, resumed(stopped, Mode.OBSERVE).patch)["metadata"]["annotations"] == {"team": "shop"}


@pytest.mark.parametrize("was", [None, "Paused", "Turbo"])
def test_what_it_was_is_not_guessed(was: str | None) -> None:
    """Going on in mode Active writes sizes: nobody asked for that."""
    with pytest.raises(ClientError, match="its mode before is not known; give it with --mode, such as --mode Active"):
        resumed(_scaler("Paused", was=was), None)
    assert resumed(_scaler("Paused", was=was), Mode.ACTIVE).patch is not None


def test_what_is_not_paused_does_not_change_its_mode() -> None:
    with pytest.raises(
        ClientError, match="web is not paused but in mode Active; to change that: kubectl patch psc web"
    ):
        resumed(_scaler("Active"), Mode.OBSERVE)


def test_nothing_goes_on_in_mode_paused() -> None:
    with pytest.raises(ClientError, match="--mode: nothing goes on in mode Paused; give one of Active, Observe, Exp"):
        check_mode(Mode.PAUSED)


def _managed(manager: str, operation: str = "Update", fields: tuple[str, ...] = ("f:mode",)) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {name: {} for name in fields}}}


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        (_managed("argocd-controller", "Apply"), ("Argo CD",)),
        (_managed("kustomize-controller", "Apply"), ("Flux's kustomize-controller",)),
        (_managed("helm"), ("Helm (at the next upgrade)",)),
        (_managed("kubectl", "Apply"), ("kubectl apply (when somebody applies the file again)",)),
        (_managed("kubectl", "Update"), ()),
        (_managed("kubectl-edit"), ()),
        (_managed("argocd-controller", fields=("f:maxReplicas",)), ()),
        ({"manager": "argocd-controller", "operation": "Apply"}, ()),
    ],
    ids=str,
)
def test_who_would_set_the_mode_back_is_named(entry: dict[str, Any], names: tuple[str, ...]) -> None:
    one = _scaler("Active", managedFields=[entry])
    assert keepers(one) == names
    assert bool(kept_words(one)) is bool(names)


def test_the_note_has_the_cure() -> None:
    words = kept_words(_scaler("Active", managedFields=[_managed("argocd-controller")] * 2))
    assert words.startswith("web: spec.mode was set by Argo CD, which may set it back; change it there as well")
    assert "/spec/mode" in words
