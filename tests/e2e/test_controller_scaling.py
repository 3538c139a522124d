"""A PredictiveScaler makes a real workload follow its load, within its rules, and says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sandbox.controller import Controller
from sandbox.replay import Counter, Dial, Replay, write_history
from sandbox.traffic import Trace
from tests.contracts.specs import merged
from tests.e2e.driving import (
    LATE_SCRAPES,
    TRUSTED,
    UNHURRIED,
    Scene,
    await_decisions,
    eventually,
    wall_clock,
    when,
    workload,
)

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("controller")]

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def held_down(seconds: int) -> dict[str, Any]:
    """Rules that shrink only to what was wanted within the last `seconds`."""
    return {"behavior": merged(UNHURRIED, {"scaleDown": {"stabilizationWindowSeconds": seconds}})}


def test_more_load_means_more_replicas_and_the_status_says_why(scene: Scene) -> None:
    scene.sees(15)
    scene.apply(workload(), scene.scaler())
    scene.await_replicas(2)
    scene.sees(45)
    scene.await_replicas(5)
    status = eventually(scene.status, lambda status: status.get("currentReplicas") == 5)
    assert status["desiredReplicas"] == 5
    assert status["lastDecision"]["source"] == "Seen"
    assert status["lastDecision"]["seen"] == 45
    assert "lastScaleTime" in status
    assert status["model"]["name"] == "nothing"
    assert scene.condition("Ready")[:2] == ("True", "Scaling")


def test_a_scaling_is_an_event_and_a_row_of_columns(scene: Scene) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler())
    (note,) = eventually(lambda: scene.notes("Scaled"))
    assert note.startswith("from 1 to 5 replicas: ")
    eventually(scene.status, lambda status: status.get("currentReplicas") == 5)
    header, row = scene.kubectl("get", "psc", "web").splitlines()
    columns = dict(zip(header.split(), row.split(), strict=False))
    assert columns["CURRENT"] == columns["DESIRED"] == "5"


def test_the_rate_of_a_counter_is_a_load(scene: Scene) -> None:
    dial = Dial(25, wall_clock())
    scene.serve(dial, "requests_total")
    query = f'sum(rate(requests_total{{test="{scene.namespace}"}}[{LATE_SCRAPES}]))'
    scene.apply(workload(), scene.scaler(metric={"prometheus": {"query": query}}))
    scene.await_replicas(3)
    dial.turn(65, wall_clock())
    scene.await_replicas(7)


def test_replicas_go_when_the_stabilisation_window_is_over_and_not_before(scene: Scene, controller: Controller) -> None:
    scene.sees(65)
    scene.apply(workload(), scene.scaler(**held_down(8)))
    scene.await_replicas(7)
    scene.sees(15)
    scene.await_replicas(2)
    scaled = when(eventually(scene.status, lambda status: status.get("currentReplicas") == 2)["lastScaleTime"])
    before = [one for one in controller.decisions(scene.namespace, "web") if one.time < scaled]
    last_wish = max(one.time for one in before if one.demand.seen == 65)
    held = [one for one in before if one.demand.seen == 15]
    assert {one.steps[-1].rule for one in held} == {"Stabilization"}
    assert scaled - last_wish >= timedelta(seconds=7)  # the status tells whole seconds


def test_a_forecast_adds_replicas_before_the_load_is_there(scene: Scene) -> None:
    scene.sees(TRUSTED)
    scene.apply(workload(), scene.scaler(forecast={"model": "always-95"}))
    scene.await_replicas(10)
    decision = eventually(scene.status, lambda status: status.get("desiredReplicas") == 10)["lastDecision"]
    assert (decision["source"], decision["seen"], decision["forecast"]) == ("Forecast", TRUSTED, 95)


def test_the_shipped_model_expects_what_was_a_day_ago(scene: Scene, tmp_path: Path) -> None:
    now = wall_clock()
    counter = Counter(labels=(("test", scene.namespace),))
    steps = np.arange(-26 * 60, 60)  # minutes from now
    loads = np.where((steps > -25 * 60) & (steps < -22 * 60), 95.0, 15.0)
    trace = Trace(name="a-rush-a-day-ago", start=now + steps[0] * MINUTE, step=MINUTE, counts=60 * loads)
    replay = Replay(trace=trace, moment=now, wall=now)
    file = write_history(tmp_path / "history", {counter: replay}, until=now + 5 * MINUTE, every=15 * SECOND)
    remembering = replace(scene, prometheus=scene.sandbox.prometheus(f"prometheus-{scene.namespace}", history=[file]))
    query = f'sum(rate({counter.name}{{test="{scene.namespace}"}}[1m]))'
    forecast = {"model": "seasonal-naive", "quantile": 0.5, "leadTime": "10m"}
    scene.apply(workload(), remembering.scaler(metric={"prometheus": {"query": query}}, forecast=forecast))
    scene.await_replicas(10)
    decision = eventually(scene.status, lambda status: status.get("desiredReplicas") == 10)["lastDecision"]
    remembering.prometheus.stop(grace=0)
    assert (decision["source"], round(decision["seen"]), round(decision["forecast"])) == ("Forecast", 15, 95)


def test_a_forecast_that_is_wrong_again_and_again_counts_no_more(scene: Scene, controller: Controller) -> None:
    scene.sees(15)
    scene.apply(workload(), scene.scaler(forecast={"model": "always-95"}))
    scene.await_condition("Forecasting", "False", "LosingToNaive")
    scene.await_replicas(2)
    assert 10 in [one.replicas for one in controller.decisions(scene.namespace, "web")]  # as long as it counted


def test_a_model_that_is_not_there_leaves_a_reactive_scaler(scene: Scene) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler(forecast={"model": "unheard-of"}))
    scene.await_replicas(5)
    eventually(lambda: scene.condition("Forecasting")[2], lambda message: "unheard-of.onnx" in message)
    eventually(lambda: scene.condition("Ready")[0], "True".__eq__)


def test_the_rate_of_scale_up_is_kept(scene: Scene, controller: Controller) -> None:
    policy = {"type": "Pods", "value": 2, "periodSeconds": 1800}
    scene.sees(95)
    scene.apply(workload(), scene.scaler(behavior={"scaleUp": {"policies": [policy]}}))
    scene.await_replicas(3)
    (*_, decision) = await_decisions(controller, scene, 2)
    assert [step["rule"] for step in decision["steps"]] == ["Load", "Rate"]
    assert scene.replicas() == 3


def test_the_bounds_are_kept(scene: Scene, controller: Controller) -> None:
    scene.sees(0)
    scene.apply(workload(replicas=5), scene.scaler(minReplicas=3, maxReplicas=6))
    scene.await_replicas(3)
    scene.sees(1000)
    scene.await_replicas(6)
