"""What does `doctor` make of what a controller said last, and of how long ago that was?"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from client.checks.finding import Result
from client.checks.stored import conditions, coordination
from controller.conditions import Reason, shared_with
from controller.spec import ScalerSpec
from tests.builders import NOW, body, scaler

REPOSITORY = Path(__file__).parents[2]


def _told(
    *,
    reason: str = "Scaling",
    message: str = "of this",
    known: int | None = 4,
    decided: timedelta = timedelta(0),
    **spec: Any,
) -> tuple[Result, str]:
    """Of a scaler that is Ready at generation 4, and was decided about so long ago."""
    ready: dict[str, Any] = {
        "type": "Ready",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": "T",
    }
    ready |= {} if known is None else {"observedGeneration": known}
    status = {"conditions": [ready], "lastDecision": {"time": (NOW - decided).isoformat()}}
    found = scaler(generation=4, status=status, spec=spec)
    assert isinstance(found.spec, ScalerSpec)
    (finding,) = conditions(found, found.spec, NOW)
    assert finding.message.startswith(f"Ready is True since T ({reason}: {message})")
    return finding.result, finding.message


@pytest.mark.parametrize("known", [None, 4])
def test_who_is_ready_and_knows_the_spec_is_well(known: int | None) -> None:
    assert _told(known=known) == (Result.OK, "Ready is True since T (Scaling: of this)")


@pytest.mark.parametrize("reason", [Reason.ANOTHER_CONTROLLER, Reason.OBJECTIVE_MISSED])
def test_what_is_wrong_although_it_is_ready_is_warned_of_with_its_runbook(reason: Reason) -> None:
    result, message = _told(reason=reason)
    assert (result, message.endswith(f"; see docs/runbooks/PredictiveScaler{reason}.md")) == (Result.WARNING, True)


def test_another_controller_is_named_with_the_cure() -> None:
    _, message = _told(reason=Reason.ANOTHER_CONTROLLER, message=shared_with("blue/predictive-scaler"))
    assert 'the controller "blue/predictive-scaler"' in message
    assert "uninstall one of them" in message


def test_a_controller_that_does_not_know_the_spec_yet_may_have_a_silent_watch() -> None:
    assert _told(known=3) == (
        Result.WARNING,
        "Ready is True since T (Scaling: of this); that is of generation 3 of the spec, which is at 4; it hears of a "
        "change within seconds, or within a minute where its watch tells nothing "
        "(docs/runbooks/PredictiveScalerWatchesSilent.md); run this again",
    )


@pytest.mark.parametrize(
    ("decided", "interval", "result"),
    [(179, 15, Result.OK), (181, 15, Result.FAILED), (599, 60, Result.OK), (601, 60, Result.FAILED)],
)
def test_a_controller_that_decides_no_more_is_found_by_the_age_of_its_last_word(
    decided: float, interval: int, result: Result
) -> None:
    found, message = _told(decided=timedelta(seconds=decided), intervalSeconds=interval)
    assert (found, "is the controller running" in message) == (result, result is Result.FAILED)


def test_nothing_is_decided_for_who_is_paused() -> None:
    assert _told(reason="Paused", decided=timedelta(days=4), mode="Paused")[0] is Result.OK


@pytest.mark.parametrize(
    "changes",
    [{"reason": "AnotherController"}, {"reason": "ObjectiveMissed"}, {"known": 1}, {"decided": timedelta(hours=1)}],
    ids=str,
)
def test_each_runbook_that_is_named_is_there(changes: dict[str, Any]) -> None:
    (page,) = re.findall(r"docs/runbooks/\w+\.md", _told(**changes)[1])
    assert (REPOSITORY / page).is_file()


GROUP: dict[str, Any] = {
    "targetRef": {"kind": "AutoScalingGroup", "name": "workers", "region": "eu-central-1"},
    "coordination": {"scaler": "web", "replicasPerUnit": 4},
}


def _coordinated(*stored: dict[str, Any]) -> tuple[Result, str]:
    """Of "nodes" in a file, which the cluster may have as well."""
    found = replace(scaler("nodes", created="", spec=GROUP), uid="nodes")
    assert isinstance(found.spec, ScalerSpec)
    (finding,) = coordination(found, found.spec, [body("web"), *stored])
    return finding.result, finding.message


@pytest.mark.parametrize("stored", [[], [body("nodes", spec=GROUP)]], ids=["new", "stored"])
def test_a_group_in_a_file_is_no_second_one_beside_itself(stored: list[dict[str, Any]]) -> None:
    assert _coordinated(*stored) == (Result.OK, 'its pods are those of PredictiveScaler "web"')


def test_a_second_group_of_the_same_pods_is_told_with_both() -> None:
    result, message = _coordinated(body("nodes", spec=GROUP), body("a", spec=GROUP))
    assert result is Result.FAILED
    assert 'PredictiveScaler "a", the first by name of two as old, names "web" too' in message
    assert "remove coordination from shop/nodes (this one) or from shop/a" in message
