"""Recorded metrics of real EC2, ELB, RDS and Auto Scaling, put into CloudWatch and scaled on."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.core.series import floor_to_step
from sandbox.controller import Controller
from sandbox.traffic import data_directory
from tests.contracts.specs import merged
from tests.e2e.clouding import DIMENSION, SECOND, Cloud
from tests.e2e.driving import decisions, eventually, wall_clock

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # of so many scalers on a busy machine
IS_ON_AWS = True

FOLDER = data_directory(os.environ) / "cloudwatch"
STEP = timedelta(minutes=5)
CONTEXT = 2016  # steps of the default model: a week
PLAYED = 600
"""Steps of five minutes that pass in a second each: two days."""

WATCHED = 20
TWO_MINUTES = 120.0  # many scalers at the same time, on a busy machine
UNITS = 20.0
"""Of capacity that the highest value needs."""


@pytest.fixture(scope="module")
def traces() -> dict[str, list[float]]:
    """By file; a missing value is left out as it was."""
    if not FOLDER.is_dir():
        pytest.skip(f"there is no {FOLDER}; PREDICTIVE_SCALER_DATA may name the directory that holds cloudwatch/")
    return {path.stem.replace("_", "-").lower(): list(_values(path)) for path in sorted(FOLDER.glob("*.csv"))}


def _values(path: Path) -> Iterator[float]:
    with path.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            yield float(row["value"])


def scaler(cloud: Cloud, name: str, period: str, highest: float, **spec: Any) -> dict[str, Any]:
    """Of the group and the metric that are named after a trace."""
    metric = {
        "cloudwatch": {"metricName": name, "period": period, "stat": "Average"},
        "targetPerReplica": f"{max(highest, 1e-6) / UNITS:.12f}",
    }
    named = {"metric": metric, "targetRef": {"name": f"{cloud.name}-{name}"}}
    return cloud.scaler(name, **merged(named, spec))


def test_each_second_is_scaled_on_the_value_of_that_second(
    cloud: Cloud, controller: Controller, traces: dict[str, list[float]]
) -> None:
    """All values are there from the start; those of the future, which AWS takes two hours ahead, nobody sees yet."""
    start = floor_to_step(wall_clock(), SECOND) - 5 * SECOND
    played = {name: values[:PLAYED] for name, values in traces.items()}
    for name, values in played.items():
        at = {start + second * SECOND: value for second, value in enumerate(values)}
        cloud.place.put(at, name=name, dimensions={DIMENSION: cloud.name}, resolution=1)
        cloud.place.group(f"{cloud.name}-{name}", minimum=1, maximum=40)
    cloud.scene.apply(*(scaler(cloud, name, "1s", max(values)) for name, values in played.items()))
    eventually(lambda: _decided(controller, cloud, played), lambda counts: min(counts) >= WATCHED, TWO_MINUTES)
    for name, values in played.items():
        made = controller.decisions(cloud.name, name)[-WATCHED:]
        seconds = [int((decision.time - start) / SECOND) - 1 for decision in made]
        seen = [decision.demand.seen for decision in made]
        assert seen == pytest.approx([values[second] for second in seconds]), name
        assert len(set(seconds)) == WATCHED
        eventually(lambda name=name: _agrees(cloud, controller, name))  # type: ignore[misc]


def _decided(controller: Controller, cloud: Cloud, names: dict[str, list[float]]) -> list[int]:
    return [len(decisions(controller, cloud.scene, name)) for name in names]


def _agrees(cloud: Cloud, controller: Controller, name: str) -> bool:
    found = cloud.place.described(f"{cloud.name}-{name}")
    decision = controller.decisions(cloud.name, name)[-1]
    return found is not None and decision.replicas == found["DesiredCapacity"]


def test_a_week_of_each_is_forecast_with_few_calls(
    cloud: Cloud, controller: Controller, traces: dict[str, list[float]]
) -> None:
    end = floor_to_step(wall_clock(), STEP)
    held = {name: values[-CONTEXT:] for name, values in traces.items()}
    for name, values in held.items():
        at = {end - (len(values) - step) * STEP: value for step, value in enumerate(values)}
        cloud.place.put(at, name=name, dimensions={DIMENSION: cloud.name})
        cloud.place.group(f"{cloud.name}-{name}", minimum=1, maximum=100)
    before = len(cloud.place.server.calls("GetMetricData"))
    wanted = {"forecast": {"model": "default"}, "maxReplicas": 100}
    controller.stop()  # a new one finds all of them at once, and not as a busy machine makes them one by one
    cloud.scene.apply(*(scaler(cloud, name, "5m", max(values), **wanted) for name, values in held.items()))
    controller.start()
    for name in held:
        eventually(lambda name=name: cloud.scene.condition("Forecasting", name)[0] == "True", seconds=TWO_MINUTES)  # type: ignore[misc]
        seen = controller.decisions(cloud.name, name)[-1].demand.seen
        assert seen == pytest.approx(held[name][-1])
        eventually(lambda name=name: _agrees(cloud, controller, name))  # type: ignore[misc]
    asked = cloud.place.server.calls("GetMetricData")[before:]
    # They share their calls; without sharing, each asks one.
    assert sum(call["queries"] for call in asked) / len(asked) > 1.5
