"""Pods and the instances below them from one forecast: instances first on the way up, pods first on the way down."""

from __future__ import annotations

import pytest

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
    assert (4, 4) in seen  # the pods waited
    (asked,) = [call["time"] for call in pair.writes()]
    pods = pair.scene.writes()[-1].time.timestamp()
    assert pods - asked >= LAUNCH_SECONDS - 0.5  # a tick's whole second, on both sides


def test_what_waits_says_so(pair: Cloud) -> None:
    pair.place.server.change(launch=600.0)
    pair.sees(35, 35)
    (words,) = eventually(lambda: why(pair, "web"))
    assert "units" in words
    assert pair.scene.replicas() == 4


def test_pods_wait_no_longer_than_instances_may_take(pair: Cloud) -> None:
    pair.place.server.change(launch_failure="We currently do not have sufficient m5.large capacity.")
    pair.scene.patch("psc/units", {"spec": {"forecast": {"leadTime": "4s"}}})
    pair.sees(35, 35)
    pair.await_desired(5)
    pair.scene.await_replicas(10)
    waited = pair.scene.writes()[-1].time.timestamp() - pair.writes()[0]["time"]
    assert waited + 0.5 >= 4.0
    assert pair.serving() == 2


def test_pods_go_first_on_the_way_down(pair: Cloud) -> None:
    pair.sees(35, 35)
    pair.scene.await_replicas(10, seconds=UP_SECONDS)
    pair.sees(25)
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
