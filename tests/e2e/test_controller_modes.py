"""Observe decides and never writes; Paused does not even ask; Active takes up where either left."""

from __future__ import annotations

import pytest

from sandbox.controller import Controller
from tests.e2e.driving import Scene, await_decisions, workload
from tests.e2e.listener import Listener

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("controller")]


def test_observe_decides_and_never_writes(scene: Scene, controller: Controller) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler(mode="Observe"))
    scene.await_condition("Ready", "True", "Observing")
    await_decisions(controller, scene, 2)
    assert scene.status()["desiredReplicas"] == 5
    assert scene.writes() == []


def test_active_after_observe_scales(scene: Scene) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler(mode="Observe"))
    scene.await_condition("Ready", "True", "Observing")
    scene.patch("psc/web", {"spec": {"mode": "Active"}})
    scene.await_replicas(5)
    scene.await_condition("Ready", "True", "Scaling")


def test_paused_asks_nothing_and_writes_nothing_until_it_is_active_again(scene: Scene, controller: Controller) -> None:
    scene.sees(45)
    with Listener(scene.prometheus) as listener:
        witness = scene.scaler("witness", mode="Observe")
        scene.apply(workload(), witness, scene.scaler(metric={"prometheus": {"address": listener.url}}))
        scene.await_replicas(5)
        scene.patch("psc/web", {"spec": {"mode": "Paused"}})
        scene.await_condition("Ready", "True", "Paused")
        asked, written = len(listener.asked), len(scene.writes())
        scene.sees(15)
        await_decisions(controller, scene, 2, name="witness")
        assert (len(listener.asked), len(scene.writes())) == (asked, written)
        scene.patch("psc/web", {"spec": {"mode": "Active"}})
        scene.await_replicas(2)
        scene.await_condition("Ready", "True", "Scaling")
