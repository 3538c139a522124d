"""What does every test of the controller do? Set a load, apply objects, and wait for what the cluster says of them.

Waiting is always for a condition and always bounded. Must not start a controller: fixtures do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from controller.spec import GROUP, KIND, VERSION
from sandbox.audit import AuditEvent
from sandbox.cluster import Sandbox
from sandbox.controller import USER, Controller
from sandbox.exporter import Exporter
from sandbox.prometheus import Prometheus
from sandbox.replay import Counter, Source
from tests.contracts.specs import merged
from tests.e2e.reading import Reader

PATIENCE_SECONDS = 60.0  # what takes a second, and on a busy machine some
POLL_SECONDS = 0.2
PER_REPLICA = 10.0
SCRAPES = timedelta(milliseconds=500)
LATE_SCRAPES = "5s"
"""No load is missing so soon: on a busy machine scrapes fail, which may last no longer than their interval."""

TRUSTED = 90
"""A replica less than the 95 of the model "always-95", and so near that its replica stays. Of less it asks for ten only
until the first forecasts turn out wrong, two seconds later."""

_T = TypeVar("_T")

UNHURRIED: dict[str, Any] = {
    "scaleUp": {"tolerance": "0", "policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}]},
    "scaleDown": {
        "tolerance": "0",
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 1}],
    },
}
"""Rules that hold nothing back."""


class Level:
    """A load that a test sets by hand, served as it is; None leaves it out of the page."""

    def __init__(self, load: float | None) -> None:
        self.load = load

    def total(self, now: datetime) -> float | None:
        """What the exporter serves."""
        return self.load


def eventually(
    read: Callable[[], _T], is_wanted: Callable[[_T], object] = bool, seconds: float = PATIENCE_SECONDS
) -> _T:
    """The first value that is wanted; fails with the last one when none came in time.

    `is_wanted` may be a method such as `(5).__eq__`, which says NotImplemented of what is not there yet.
    """
    deadline = time.monotonic() + seconds
    while (verdict := is_wanted(value := read())) is NotImplemented or not verdict:
        assert time.monotonic() < deadline, f"after {seconds:g} s it still was {value!r}"
        time.sleep(POLL_SECONDS)
    return value


def wall_clock() -> datetime:
    """The time by which the cluster and Prometheus go."""
    return datetime.now(UTC)


def when(timestamp: str) -> datetime:
    """An RFC 3339 time of the API server."""
    return datetime.fromisoformat(timestamp)


def workload(kind: str = "Deployment", *, name: str = "web", replicas: int = 1) -> dict[str, Any]:
    """A Deployment, StatefulSet or ReplicaSet."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "web", "image": "example.invalid/web"}]},
    }
    spec: dict[str, Any] = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    service = {"serviceName": name} if kind == "StatefulSet" else {}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec | service}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One test's corner of the cluster: a namespace, and a load that Prometheus knows under the namespace's name."""

    sandbox: Sandbox
    reader: Reader
    exporter: Exporter
    prometheus: Prometheus
    namespace: str

    @property
    def query(self) -> str:
        """The load of this scene: the last value, whichever scrapes failed since."""
        return f'last_over_time(load{{test="{self.namespace}"}}[{LATE_SCRAPES}])'

    def sees(self, load: float | None, pod: str = "a") -> None:
        """From now on `pod` has this load, and Prometheus knows."""
        self.serve(Level(load), "load", pod)
        wanted = [] if load is None else [f"{load:g}".lower()]
        selector = f'load{{test="{self.namespace}",pod="{pod}"}}'
        eventually(lambda: [one["value"][1].lower() for one in self.prometheus.query(selector)], wanted.__eq__)

    def serve(self, source: Source, name: str, pod: str = "a") -> None:
        """Have `source` scraped as the metric `name` of this scene."""
        counter = Counter(name=name, labels=(("test", self.namespace), ("pod", pod)))
        self.exporter.sources = {**self.exporter.sources, counter: source}

    def apply(self, *objects: dict[str, Any]) -> None:
        """`kubectl apply` in this namespace."""
        self.sandbox.apply(*(merged(one, {"metadata": {"namespace": self.namespace}}) for one in objects))

    def scaler(self, name: str = "web", **spec: Any) -> dict[str, Any]:
        """A PredictiveScaler of the Deployment "web" that ticks every second and is held back by nothing but `spec`."""
        prometheus = {"address": self.prometheus.url, "query": self.query}
        plain = {
            "targetRef": {"name": "web"},
            "maxReplicas": 50,
            "metric": {"prometheus": prometheus, "targetPerReplica": f"{PER_REPLICA:g}"},
            "forecast": {"model": "nothing", "leadTime": "1s"},
            "intervalSeconds": 1,
            "behavior": UNHURRIED,
        }
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {"name": name},
            "spec": merged(plain, spec),
        }

    def patch(self, what: str, patch: dict[str, Any]) -> None:
        """`kubectl patch` of an object such as "psc/web"."""
        self.kubectl("patch", what, "--type=merge", "-p", json.dumps(patch))

    def kubectl(self, *arguments: str) -> str:
        """kubectl in this namespace."""
        return self.sandbox.kubectl(*arguments, "-n", self.namespace)

    def find(self, what: str) -> dict[str, Any] | None:
        """An object such as "psc/web", or a list such as "events"; None when it does not exist."""
        return self.reader.find(self.namespace, what)

    def get(self, what: str) -> dict[str, Any]:
        """As `find`, of what must exist."""
        found = self.find(what)
        assert found is not None, f"there is no {what} in {self.namespace}"
        return found

    def replicas(self, what: str = "Deployment/web") -> int:
        """The replicas that a workload asks for."""
        return int(self.get(what)["spec"]["replicas"])

    def status(self, name: str = "web") -> dict[str, Any]:
        """The status of a PredictiveScaler; empty before the first."""
        return dict(self.get(f"psc/{name}").get("status", {}))

    def condition(self, type_: str, name: str = "web") -> tuple[str, str, str]:
        """Status, reason and message of a condition; empty texts before there is one."""
        for one in self.status(name).get("conditions", []):
            if one["type"] == type_:
                return one["status"], one["reason"], one["message"]
        return "", "", ""

    def notes(self, reason: str) -> list[str]:
        """The notes of the events with this reason."""
        events = self.get("events")["items"]
        return [event["note"] for event in events if event["reason"] == reason]

    def writes(self) -> list[AuditEvent]:
        """Every attempt of the controller to write a size in this namespace."""
        return [event for event in self.requests() if event.subresource == "scale" and event.verb != "get"]

    def requests(self) -> list[AuditEvent]:
        """All that the controller asked of the API server about this namespace."""
        return [event for event in self.sandbox.audit_events(USER) if event.namespace == self.namespace]

    def await_replicas(self, replicas: int, what: str = "Deployment/web", seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a workload asks for `replicas`."""
        eventually(lambda: self.replicas(what), replicas.__eq__, seconds)

    def await_condition(self, type_: str, status: str, reason: str, name: str = "web") -> str:
        """Wait until a condition says so; its message."""
        return eventually(lambda: self.condition(type_, name), lambda found: found[:2] == (status, reason))[2]


def decisions(controller: Controller, scene: Scene, name: str = "web") -> list[dict[str, Any]]:
    """The last decisions about a scaler, oldest first, as the controller's API gives them."""
    status, text = controller.get(f"/api/v1/scalers/{scene.namespace}/{name}")
    return list(json.loads(text)["decisions"]) if status == HTTPStatus.OK else []


def await_decisions(controller: Controller, scene: Scene, count: int, name: str = "web") -> list[dict[str, Any]]:
    """Wait until `count` decisions were made from now on; these."""
    last = max((decision["time"] for decision in decisions(controller, scene, name)), default="")
    return eventually(
        lambda: [decision for decision in decisions(controller, scene, name) if decision["time"] > last],
        lambda made: len(made) >= count,
    )
