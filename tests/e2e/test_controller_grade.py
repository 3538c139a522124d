"""Observe keeps score against what a real HorizontalPodAutoscaler does, tells it everywhere, and never loses it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest

from controller.core.scorecard import Scorecard, Tally, added
from controller.core.series import floor_to_step
from controller.grading import watched
from controller.spec import parse
from sandbox.controller import Controller
from tests.e2e.driving import Scene, eventually, wall_clock, workload

pytestmark = pytest.mark.e2e

HPA = "web-hpa"
MOST = 9
DAYS = 3
HOUR = timedelta(hours=1)


def autoscaler() -> dict[str, Any]:
    """Has no metric to go by in the sandbox, but keeps its bounds: what is larger than 9 becomes 9."""
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": ref, "minReplicas": 1, "maxReplicas": MOST}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": HPA},
        "spec": spec,
    }


def windows(scene: Scene) -> list[dict[str, Any]]:
    """What the status says of each window."""
    return list(scene.status().get("grade", {}).get("windows", []))


def observed(scene: Scene, controller: Controller) -> None:
    """A load of 45 that needs 5, a workload that its HPA brings from 12 to 9, and a scaler that only watches."""
    scene.sees(45)
    scene.apply(workload(replicas=12), autoscaler())
    scene.await_replicas(MOST)
    if controller.is_running:
        controller.stop()  # a new one knows the HPA at once, not only after 30 s
    controller.start()
    scene.apply(scene.scaler(mode="Observe"))


def test_both_sides_are_counted_and_told(scene: Scene, controller: Controller) -> None:
    observed(scene, controller)
    day, *longer = eventually(lambda: windows(scene), lambda told: told and told[0]["actual"]["replicaHours"] >= 0.03)
    known = day["knownHours"]
    assert [one["window"] for one in (day, *longer)] == ["1d", "7d", "14d"]
    assert day["actual"]["replicaHours"] == pytest.approx(MOST * known, abs=0.06)
    # it begins with the nine that it finds, and has five from its first decision on
    assert day["own"]["replicaHours"] == pytest.approx(5 * known, abs=0.06)
    assert scene.status()["grade"]["against"] == f'HorizontalPodAutoscaler "{HPA}"'
    message = scene.await_condition("Recommended", "Unknown", "NotYetKnown")
    assert "hours are known, 24 are needed" in message
    assert (scene.replicas(), scene.status()["currentReplicas"], scene.status()["desiredReplicas"]) == (MOST, MOST, 5)
    assert scene.writes() == []
    labels = f'namespace="{scene.namespace}",scaler="web",who="actual",window="7d"'
    _, page = eventually(lambda: controller.get("/metrics"), lambda answer: answer[0] == HTTPStatus.OK)
    told = {line.partition("{")[0] for line in page.splitlines() if scene.namespace in line and 'window="7d"' in line}
    assert told == {
        "predictive_scaler_grade_replica_hours",
        "predictive_scaler_grade_under_provisioned_minutes",
        "predictive_scaler_grade_known_hours",
    }
    assert all(word in page for word in labels.split(","))


def test_a_score_of_days_survives_and_recommends(scene: Scene, controller: Controller) -> None:
    """Three days of it were kept by the controller before; the one that comes now goes on from there."""
    observed(scene, controller)
    eventually(lambda: windows(scene))
    controller.stop()
    scene.kubectl("patch", "psc/web", "--subresource=status", "--type=merge", "-p", json.dumps(_three_days(scene)))
    controller.start()
    message = scene.await_condition("Recommended", "True", "SavesReplicas")
    assert message.startswith("it would need fewer replica-hours and be under-provisioned for no longer: 360.")
    assert "against 648." in message
    assert f'of HorizontalPodAutoscaler "{HPA}", in 3.0 known days' in message
    (day, week, fortnight) = windows(scene)
    assert 24 <= day["knownHours"] <= 25.1  # the hour that has just begun was told as a whole one
    assert week["knownHours"] == pytest.approx(72, abs=0.2)
    assert week == fortnight | {"window": "7d"}
    assert any("Recommended is True" in note for note in eventually(lambda: scene.notes("SavesReplicas")))


def test_a_scaler_that_acts_is_recommended_nothing(scene: Scene, controller: Controller) -> None:
    observed(scene, controller)
    scene.await_condition("Recommended", "Unknown", "NotYetKnown")
    scene.kubectl("delete", "hpa", HPA)
    scene.patch("psc/web", {"spec": {"mode": "Active"}})
    scene.await_replicas(5)
    eventually(lambda: scene.condition("Recommended"), ("", "", "").__eq__)
    assert windows(scene)  # kept, for when it is watched again


def _three_days(scene: Scene) -> dict[str, Any]:
    """A patch: the status of a scaler that had 5 where the HPA had 9, until a moment ago."""
    spec = parse(scene.get("psc/web")["spec"])
    now = floor_to_step(wall_clock(), timedelta(seconds=1))
    grade, _ = watched(None, now, MOST, spec, spec.policy)
    return {"status": {"grade": {"state": grade.counted(_card(now), now).to_json()}}}


def _card(now: datetime) -> Scorecard:
    card = Scorecard()
    for back in range(DAYS * 24 - 1, -1, -1):
        tally = Tally(known=3600, own_replicas=5 * 3600, actual_replicas=MOST * 3600)
        card = added(card, now - back * HOUR, tally)
    return card
