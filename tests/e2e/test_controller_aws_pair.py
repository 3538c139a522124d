"""Pods and the instances below them from one forecast: instances first on the way up, pods first on the way down."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.core.decide import Decision
from sandbox.controller import Controller
from tests.e2e.clouding import Cloud
from tests.e2e.driving import eventually, workload

pytestmark = pytest.mark.e2e
IS_ON_AWS = True

PER_UNIT = 2
LAUNCH_SECONDS = 6.0
UP_SECONDS = 60.0


@pytest.fixture
def pair(cloud: Cloud) -> Cloud:
    """Four pods on two instances, which others take six seconds to follow; both scalers wait for a load."""
    cloud.group(desired=2)
    cloud.place.server.change(launch=LAUNCH_SECONDS)
    pods = {"targetRef": {"kind": "Deployment", "name": "web", "region": None}}
    units = {"metric": {"targetPerReplica": "20"}, "coordination": {"scaler": "web", "replicasPerUnit": PER_UNIT}}
    forecast = {"forecast": {"model": "minutes-of-95"}}
    patient = {"forecast": {"model": "minutes-of-95", "leadTime": "20s"}}
    cloud.scene.apply(
        workload(replicas=4), cloud.scaler("web", **pods, **forecast), cloud.scaler("units", **units, **patient)
    )
    for name in ("web", "units"):
        cloud.scene.await_condition("MetricsAvailable", "False", "MetricEmpty", name)
    return cloud


def without_forecast(cloud: Cloud, *names: str) -> None:
    """From now on these scalers expect nothing."""
    for name in names:
        cloud.scene.patch(f"psc/{name}", {"spec": {"forecast": {"model": "nothing"}}})


def why(cloud: Cloud, name: str) -> list[str]:
    """What the coordination said at a scaler's last decision."""
    steps = cloud.scene.status(name).get("lastDecision", {}).get("steps", [])
    return [step["why"] for step in steps if step["rule"] == "Coordination"]


def held_for(controller: Controller, cloud: Cloud, replicas: int) -> timedelta:
    """From the first decision for the pods that was held back to the one for so many, by the ticks that made them."""

    def made() -> list[Decision]:
        return controller.decisions(cloud.name, "web")

    eventually(made, lambda found: any(one.replicas == replicas for one in found))
    held = next(one for one in made() if any(step.rule == "Coordination" for step in one.steps))
    let_go = next(one for one in made() if one.replicas == replicas)
    return let_go.time - held.time


def pods_and_room(cloud: Cloud) -> tuple[int, int]:
    """Pods that are asked for, and then those that the instances in service have room for."""
    return cloud.scene.replicas(), PER_UNIT * cloud.serving()


def test_a_forecast_asks_for_instances_first_and_for_pods_when_these_serve(pair: Cloud) -> None:
    pair.sees(35, 35)
    pair.await_desired(5)
    seen: list[tuple[int, int]] = []

    def looked() -> tuple[int, int]:
        seen.append(pods_and_room(pair))
        return seen[-1]

    eventually(looked, lambda found: found[0] == 10, UP_SECONDS)
    assert all(pods <= room for pods, room in seen), seen
    (asked,) = [call["time"] for call in pair.writes()]
    first, *_ = eventually(pair.scene.writes)
    assert first.time.timestamp() - asked >= LAUNCH_SECONDS  # the pods waited, all of them


def test_what_waits_says_so(pair: Cloud) -> None:
    pair.place.server.change(launch=600.0)
    pair.sees(35, 35)
    (words,) = eventually(lambda: why(pair, "web"))
    assert "units" in words
    assert pair.scene.replicas() == 4


def test_pods_wait_no_longer_than_instances_may_take(pair: Cloud, controller: Controller) -> None:
    pair.place.server.change(launch_failure="We currently do not have sufficient m5.large capacity.")
    pair.scene.patch("psc/units", {"spec": {"forecast": {"leadTime": "4s"}}})
    pair.sees(35, 35)
    pair.await_desired(5)
    pair.scene.await_replicas(10)
    assert held_for(controller, pair, 10) >= timedelta(seconds=4)
    assert pair.serving() == 2


def test_pods_go_first_on_the_way_down(pair: Cloud) -> None:
    """One load all along: another, of another minute, would tell that the forecast for that minute was wrong."""
    pair.sees(25, 25)
    pair.scene.await_replicas(10, seconds=UP_SECONDS)
    without_forecast(pair, "units")
    eventually(lambda: why(pair, "units"))
    assert (pair.desired(), pair.scene.replicas()) == (5, 10)
    without_forecast(pair, "web")
    samples: list[tuple[int, int]] = []

    def looked() -> tuple[int, int]:
        units = pair.desired()
        samples.append((units, pair.scene.replicas()))
        return samples[-1]

    eventually(looked, (2, 3).__eq__, UP_SECONDS)
    assert all(PER_UNIT * units >= pods for units, pods in samples), samples
    assert pair.scene.writes()[-1].time.timestamp() < pair.writes()[-1]["time"]


def test_no_instance_is_released_while_nobody_knows_the_pods(pair: Cloud) -> None:
    pair.scene.kubectl("delete", "psc", "web", "--wait=true")
    without_forecast(pair, "units")
    pair.sees(5)
    message = pair.scene.await_condition("AbleToScale", "False", "CoordinationUnknown", "units")
    assert '"web"' in message
    assert pair.desired() == 2
