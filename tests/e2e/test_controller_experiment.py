"""An experiment on a real target: the arm whose window it is decides, and a new controller takes up where it was."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.core.experiment import Arm, Experiment, arm_at
from sandbox.controller import Controller
from tests.e2e.driving import Scene, eventually, wall_clock, workload

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("controller")]

WINDOW = timedelta(minutes=10)  # no window may be shorter
SEEN = 90.0  # so near to the 95 of the forecast that this is not said to lose, and a replica less
SIZES = {Arm.REACTIVE: 9, Arm.PREDICTIVE: 10}
PLAN: dict[str, Any] = {
    "mode": "Experiment",
    "forecast": {"model": "always-95"},
    "experiment": {"windows": 8, "windowLength": "10m"},
}


def begun(scene: Scene) -> dict[str, Any]:
    """The experiment's status once there is one."""
    scene.sees(SEEN)
    scene.apply(workload(), scene.scaler(**PLAN))
    return eventually(lambda: scene.status().get("experiment", {}))


def restart_in(arm: Arm, scene: Scene, controller: Controller) -> None:
    """Start a new controller as if the experiment had begun a window earlier, at a second that gives `arm` its turn."""
    controller.stop()  # what a killed one has sent last may be stored after what is stored here
    state = scene.status()["experiment"]["state"]
    earlier = (_earlier(state, WINDOW + timedelta(seconds=seconds)) for seconds in range(60, 180))
    _store(scene, next(one for one in earlier if _second_arm(one) is arm))
    controller.start()


def _store(scene: Scene, state: dict[str, Any]) -> None:
    patch = [{"op": "replace", "path": "/status/experiment/state", "value": state}]
    scene.kubectl("patch", "psc/web", "--subresource=status", "--type=json", "-p", json.dumps(patch))


def _earlier(state: dict[str, Any], by: timedelta) -> dict[str, Any]:
    start = (wall_clock() - by).replace(microsecond=0)
    return state | {"start": start.isoformat(), "time": None}


def _second_arm(state: dict[str, Any]) -> Arm:
    experiment = Experiment.from_json(state)
    return arm_at(experiment, experiment.start + WINDOW)


def test_the_target_follows_the_arm_that_the_status_names(scene: Scene) -> None:
    told = begun(scene)
    assert (told["phase"], told["window"], told["of"]) == ("Running", 1, 8)
    assert datetime.fromisoformat(told["endsAt"]) - datetime.fromisoformat(told["startedAt"]) == 8 * WINDOW
    scene.await_replicas(SIZES[Arm(told["arm"])])
    words = f"window 1 of 8 is the {told['arm']} arm's, until {told['windowEndsAt']}"
    eventually(lambda: scene.status().get("lastDecision", {}).get("message", ""), lambda message: words in message)


@pytest.mark.parametrize("arm", Arm)
def test_a_new_controller_goes_on_in_the_window_that_holds_by_then(
    scene: Scene, controller: Controller, arm: Arm
) -> None:
    begun(scene)
    restart_in(arm, scene, controller)
    told = eventually(lambda: scene.status()["experiment"], lambda found: found.get("window") == 2)
    assert told["arm"] == arm.value
    scene.await_replicas(SIZES[arm])


def test_in_another_mode_it_waits(scene: Scene) -> None:
    begun(scene)
    scene.patch("psc/web", {"spec": {"mode": "Active"}})
    scene.await_replicas(SIZES[Arm.PREDICTIVE])
    told = eventually(lambda: scene.status()["experiment"], lambda found: found["phase"] == "Waiting")
    assert "arm" not in told


def test_without_it_in_the_spec_the_status_forgets_it(scene: Scene) -> None:
    begun(scene)
    scene.patch("psc/web", {"spec": {"mode": "Active", "experiment": None}})
    eventually(lambda: "experiment" not in scene.status())


def test_its_end_is_an_event(scene: Scene, controller: Controller) -> None:
    begun(scene)
    controller.stop()
    _store(scene, _earlier(scene.status()["experiment"]["state"], 9 * WINDOW))
    controller.start()
    told = eventually(lambda: scene.status()["experiment"], lambda found: found["phase"] == "Ended")
    assert told["arm"] == "predictive"
    scene.await_replicas(SIZES[Arm.PREDICTIVE])
    eventually(lambda: scene.notes("ExperimentEnded"))
