"""What cannot be measured never shrinks anything, is called by its name, and is asked for only once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sandbox.controller import Controller
from sandbox.exporter import Exporter
from sandbox.prometheus import Prometheus
from tests.e2e.driving import SCRAPES, Scene, await_decisions, decisions, eventually, when, workload
from tests.e2e.listener import Listener

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("controller")]


@pytest.fixture
def fragile(scene: Scene, exporter: Exporter) -> Iterator[Scene]:
    """A scene with a Prometheus of its own, which the test may stop."""
    own: Prometheus = scene.sandbox.prometheus(f"prometheus-{scene.namespace}", scrapes=[exporter.scrape(SCRAPES)])
    yield replace(scene, prometheus=own)
    own.stop(grace=0)


@pytest.mark.parametrize(
    ("bad", "pod", "reason"),
    [
        pytest.param(None, "a", "MetricEmpty", id="absent"),
        pytest.param(math.nan, "a", "MetricNotFinite", id="nan"),
        pytest.param(-1, "a", "MetricNegative", id="negative"),
        pytest.param(45, "b", "MetricAmbiguous", id="two-series"),
    ],
)
def test_a_load_that_cannot_be_used_holds_the_size(
    scene: Scene, controller: Controller, bad: float | None, pod: str, reason: str
) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler())
    scene.await_replicas(5)
    scene.sees(bad, pod)
    message = scene.await_condition("MetricsAvailable", "False", reason)
    assert scene.condition("Ready") == ("False", reason, message)
    (*_, decision) = await_decisions(controller, scene, 1)
    assert [step["rule"] for step in decision["steps"]] == ["Hold"]
    eventually(lambda: scene.notes(reason), lambda notes: f"MetricsAvailable is False: {message}" in notes)
    scene.sees(None, "b")
    scene.sees(15)
    scene.await_replicas(2)
    scene.await_condition("MetricsAvailable", "True", "MetricsFound")


@pytest.mark.parametrize(
    ("query", "reason"),
    [("sum(", "MetricQueryInvalid"), ("requests_total", "MetricCounter"), ("up[1m]", "MetricQueryInvalid")],
)
def test_a_query_that_cannot_be_meant_is_refused_by_name(scene: Scene, query: str, reason: str) -> None:
    scene.apply(workload(replicas=3), scene.scaler(metric={"prometheus": {"query": query}}))
    scene.await_condition("MetricsAvailable", "False", reason)
    assert scene.replicas() == 3


def test_a_true_zero_is_a_load(scene: Scene) -> None:
    scene.sees(0)
    scene.apply(workload(replicas=4), scene.scaler(minReplicas=2))
    scene.await_replicas(2)


def test_an_outage_of_prometheus_holds_then_falls_back_and_ends(fragile: Scene, controller: Controller) -> None:
    fragile.sees(45)
    fragile.apply(workload(), fragile.scaler(fallback={"after": "8s", "replicas": 8}))
    fragile.await_replicas(5)
    fragile.prometheus.stop(grace=0)
    fragile.await_condition("MetricsAvailable", "False", "MetricUnreachable")
    fragile.await_replicas(8)
    rules = [decision["steps"][0]["rule"] for decision in decisions(controller, fragile)]
    assert rules.index("Hold") < rules.index("Fallback")
    fragile.prometheus.start()
    fragile.await_condition("MetricsAvailable", "True", "MetricsFound")
    fragile.sees(15)
    fragile.await_replicas(2)


def _ticks(made: list[dict[str, Any]], load: float) -> set[float]:
    """When it was decided on that load, in Unix seconds."""
    return {when(one["time"]).timestamp() for one in made if one.get("seen") == load}


def test_two_scalers_of_one_load_ask_for_it_once(scene: Scene, controller: Controller) -> None:
    scene.sees(45)
    query = f"sum({scene.query})"
    with Listener(scene.prometheus) as listener:
        metric = {"prometheus": {"address": listener.url, "query": query}}
        ref = {"name": "api"}
        scene.apply(workload(), workload(name="api"))
        scene.apply(scene.scaler(metric=metric), scene.scaler("api", targetRef=ref, metric=metric))
        for name in ("web", "api"):
            scene.await_replicas(5, f"Deployment/{name}")

        def shared() -> list[float]:
            """When both decided and one question was asked; each asks for itself where one's last tick took long."""
            ticks = [_ticks(decisions(controller, scene, name), load=45) for name in ("web", "api")]
            asked = Counter(one.time for one in listener.instants(query))
            return [time for time in ticks[0] & ticks[1] if asked[time] == 1]

        eventually(shared, lambda times: len(times) >= 4)
