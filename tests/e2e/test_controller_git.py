"""Who keeps a size as Git has it is not fought, and its user is told what to write; afterwards the scaler goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import pytest

from sandbox.cluster import CommandError
from sandbox.controller import Controller
from tests.contracts.specs import merged
from tests.e2e.driving import Scene, await_decisions, eventually, workload

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("controller")]

SYNC_SECONDS = 0.3
WRITES = 2
"""One is taken back; a second may be under way before that is seen."""


@contextmanager
def git(scene: Scene, manager: str, kind: str, replicas: int = 1) -> Iterator[None]:
    """Keeps a workload as Git has it, as Argo CD with self-heal and server-side apply does."""
    manifest = json.dumps(merged(workload(kind, replicas=replicas), {"metadata": {"namespace": scene.namespace}}))
    stop = threading.Event()

    def sync() -> None:
        flags = ("--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-")
        scene.sandbox.kubectl("apply", *flags, stdin=manifest)

    def run() -> None:
        while not stop.wait(SYNC_SECONDS):
            with suppress(CommandError):  # the next one comes at once, as Argo CD's does
                sync()

    sync()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()  # kubectl is bounded itself; a sync that ended later would set the size back once more


@pytest.mark.parametrize(
    ("manager", "kind", "words"),
    [
        (
            "argocd-controller",
            "Deployment",
            'Argo CD (field manager "argocd-controller") sets the replicas of Deployment',
        ),
        ("kustomize-controller", "StatefulSet", "leave spec.replicas of StatefulSet web out of the manifests in Git"),
    ],
)
def test_who_sets_it_back_is_not_fought(
    scene: Scene, controller: Controller, manager: str, kind: str, words: str
) -> None:
    scene.sees(45)
    with git(scene, manager, kind):
        scene.apply(scene.scaler(targetRef={"kind": kind}))
        message = scene.await_condition("AbleToScale", "False", "TargetOwned")
        assert words in message
        await_decisions(controller, scene, 4)
        assert [write.code for write in scene.writes()].count(HTTPStatus.OK) <= WRITES  # what was refused set none
        assert scene.condition("AbleToScale")[1] == "TargetOwned"
    scene.patch("psc/web", {"spec": {"maxReplicas": 40}})
    scene.await_replicas(5, f"{kind}/web")
    scene.await_condition("AbleToScale", "True", "ReadyForNewScale")


def test_the_message_holds_what_is_to_be_pasted(scene: Scene) -> None:
    scene.sees(45)
    with git(scene, "argocd-controller", "Deployment"):
        scene.apply(scene.scaler())
        message = scene.await_condition("AbleToScale", "False", "TargetOwned")
    assert f"      namespace: {scene.namespace}\n      jsonPointers: [/spec/replicas]\n" in message
    assert "syncOptions: [RespectIgnoreDifferences=true]" in message


def test_what_git_owns_may_be_written_once_and_people_s_sizes_are_adopted(scene: Scene, controller: Controller) -> None:
    scene.sees(45)
    with git(scene, "argocd-controller", "Deployment"):
        pass  # applied, and then left alone, as without self-heal
    scene.apply(scene.scaler())
    scene.await_replicas(5)
    scene.kubectl("scale", "deployment", "web", "--replicas=3")
    scene.await_replicas(5)
    await_decisions(controller, scene, 2)
    assert scene.condition("AbleToScale")[1] == "ReadyForNewScale"


def test_ready_replicas_are_told(scene: Scene, controller: Controller) -> None:
    scene.sees(25)
    scene.apply(workload(replicas=3))
    eventually(lambda: scene.get("Deployment/web")["status"].get("readyReplicas") == 3)
    scene.apply(scene.scaler())
    eventually(lambda: scene.status().get("target", {}).get("ready") == 3)
    line = f'predictive_scaler_ready_replicas{{namespace="{scene.namespace}",scaler="web"}} 3.0'
    eventually(lambda: controller.get("/metrics")[1], lambda page: line in page)
