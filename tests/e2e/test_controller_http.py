"""The running controller answers for itself: to probes, to Prometheus, and to whoever asks why."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from sandbox.controller import Controller
from sandbox.exporter import Exporter
from sandbox.prometheus import Prometheus, Scrape
from tests.e2e.driving import SCRAPES, Scene, decisions, eventually, workload

pytestmark = pytest.mark.e2e


@pytest.fixture
def watched(controller: Controller, prometheus: Prometheus, exporter: Exporter) -> Iterator[Controller]:
    """The controller, scraped by the Prometheus that it asks."""
    own = Scrape(job="predictive-scaler", address=controller.address, interval=SCRAPES)
    prometheus.scrape(exporter.scrape(SCRAPES), own)
    yield controller
    prometheus.scrape(exporter.scrape(SCRAPES))


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_answered(controller: Controller, path: str) -> None:
    eventually(lambda: controller.get(path), (200, "ok\n").__eq__)


def test_its_decisions_can_be_read_in_prometheus(scene: Scene, watched: Controller) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler())
    scene.await_replicas(5)
    query = f'predictive_scaler_desired_replicas{{namespace="{scene.namespace}",scaler="web"}}'
    eventually(lambda: [one["value"][1] for one in scene.prometheus.query(query)], ["5"].__eq__)


def test_the_series_of_a_scaler_go_with_it(scene: Scene, controller: Controller) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler())
    eventually(lambda: scene.namespace in controller.get("/metrics")[1])
    scene.kubectl("delete", "psc", "web")
    eventually(lambda: scene.namespace not in controller.get("/metrics")[1])


def test_the_api_tells_each_decision_and_why(scene: Scene, controller: Controller) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler())
    scene.await_replicas(5)
    made = eventually(lambda: decisions(controller, scene), lambda found: rules(found[-1:]) == ["Load"])
    assert made[-1]["message"]
    found = answered(controller, f"/api/v1/scalers/{scene.namespace}/web")
    assert (found["name"], found["error"]) == ("web", None)
    items = answered(controller, "/api/v1/scalers")["items"]
    assert [scene.namespace, "web"] in [[item["namespace"], item["name"]] for item in items]


def rules(made: list[dict[str, Any]]) -> list[str]:
    return [step["rule"] for decision in made for step in decision["steps"]]


def answered(controller: Controller, path: str, status: int = HTTPStatus.OK) -> dict[str, Any]:
    """What it answers with that status."""
    _, text = eventually(lambda: controller.get(path), lambda answer: answer[0] == status)
    return dict(json.loads(text))


def test_the_api_says_which_scaler_there_is_not(controller: Controller) -> None:
    told = answered(controller, "/api/v1/scalers/nowhere/nothing", HTTPStatus.NOT_FOUND)
    assert told["error"] == "there is no PredictiveScaler nowhere/nothing"


def test_the_api_takes_nothing(controller: Controller) -> None:
    request = urllib.request.Request(f"http://{controller.address}/api/v1/scalers", data=b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405") as refused:
        urllib.request.urlopen(request, timeout=60)
    refused.value.close()
