"""The examples as they are shipped: every field is one that the API server knows, and what can run here gets Ready.

Prometheus is a real one, which is told to users as `prometheus.monitoring`; the loads are those that the queries name.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controller.spec import KIND
from sandbox.cluster import Sandbox
from sandbox.controller import await_kind
from sandbox.crds import KEDA, ROLLOUTS
from sandbox.exporter import Exporter
from sandbox.prometheus import Prometheus, Tls
from sandbox.replay import Counter, Dial
from tests.contracts.specs import EXAMPLES, documents
from tests.e2e.driving import SCRAPES, eventually, wall_clock
from tests.e2e.reading import Reader

pytestmark = pytest.mark.e2e

RATE = 24_000.0  # seconds of it are a load in the two minutes of a rate already
PLAIN, SECURED = "http://prometheus.monitoring:9090", "https://prometheus.example.com"
NAMED = re.compile(r"rate\((\w+)\{([^}]*)\}")
LABEL = re.compile(r'(\w+)="([^"]*)"')
GIVEN = {"token": "a-token"}  # what a Prometheus behind TLS does not ask for; its authority it does
ELSEWHERE = "AutoScalingGroup"
READY_SECONDS = 150.0  # one looks once a minute

Object = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def kinds(sandbox: Sandbox, account: Path) -> None:
    """Ours, which `account` applies, and those of others that examples speak of, as these publish them."""
    for path in (*ROLLOUTS.paths(), *KEDA.paths()):
        sandbox.kubectl("apply", "--server-side", "-f", str(path))
        await_kind(sandbox, documents(path.read_text())[0]["metadata"]["name"])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_are_accepted(sandbox: Sandbox, file: Path) -> None:
    applied = ("--server-side", "--dry-run=server", "--validate=strict", "-o", "name", "-f", str(file))
    names = sandbox.kubectl("apply", *applied).split()
    assert len(names) == len(documents(file.read_text()))


@pytest.fixture(scope="module")
def shown(sandbox: Sandbox, prometheus: Prometheus, exporter: Exporter) -> Iterator[dict[str, Prometheus]]:
    """By the addresses in the examples: a Prometheus, and the same behind TLS."""
    tls = Tls(server=sandbox.authority.server("prometheus"), trust=sandbox.authority.bundle)
    secured = sandbox.prometheus("prometheus-secured", scrapes=[exporter.scrape(SCRAPES)], tls=tls)
    yield {PLAIN: prometheus, SECURED: secured}
    secured.stop(grace=0)


class Example:
    """A file's objects in a namespace of their own, that look for Prometheus where it is here."""

    def __init__(self, file: Path, shown: dict[str, Prometheus], authority: str) -> None:
        self.namespace = f"example-{file.stem}"
        self.objects = [self._placed(found, shown, authority) for found in documents(file.read_text())]
        self.scalers = [found for found in self.objects if found["kind"] == KIND]
        self.sources = [found["spec"]["metric"]["prometheus"] for found in self.scalers if _is_here(found)]

    @property
    def is_here(self) -> bool:
        """Whether all that it needs is here: AWS is not, nor is a KEDA that makes its autoscaler."""
        return all(_is_here(found) for found in self.objects)

    def workloads(self) -> list[Object]:
        """The targets that the file leaves to its reader."""
        given = {(found["kind"], found["metadata"]["name"]) for found in self.objects}
        wanted = [found["spec"]["targetRef"] for found in self.scalers]
        wanted += [
            found["spec"]["scaleTargetRef"] for found in self.objects if "scaleTargetRef" in found.get("spec", {})
        ]
        missing = [one for one in wanted if (one.get("kind", "Deployment"), one["name"]) not in given]
        return [_deployment(one["name"], self.namespace) for one in missing]

    def _placed(self, found: Object, shown: dict[str, Prometheus], authority: str) -> Object:
        placed = copy.deepcopy(found)
        placed["metadata"]["namespace"] = self.namespace
        if placed["kind"] == "Secret":
            placed["stringData"] = {key: GIVEN.get(key, authority) for key in placed["stringData"]}
        if prometheus := placed.get("spec", {}).get("metric", {}).get("prometheus"):
            prometheus["address"] = shown[prometheus["address"]].url
        return placed


def _is_here(found: Object) -> bool:
    if found["kind"] == KIND:
        spec = found["spec"]
        return "prometheus" in spec["metric"] and spec["targetRef"].get("kind") != ELSEWHERE
    return not found["apiVersion"].startswith("keda.sh/")


def _deployment(name: str, namespace: str) -> Object:
    labels = {"app": name}
    containers = [{"name": "web", "image": "example.invalid/web"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _serve(exporter: Exporter, query: str) -> None:
    """Have the counter that `query` rates grow, with all labels that it names."""
    (name, labels) = NAMED.findall(query)[0]
    counter = Counter(name=name, labels=tuple(sorted(LABEL.findall(labels))))
    exporter.sources = {**exporter.sources, counter: Dial(RATE, wall_clock())}


def _answers(server: Prometheus, queries: list[str]) -> list[list[Object]]:
    return [server.query(query) for query in queries]


@pytest.fixture(scope="module")
def examples(
    sandbox: Sandbox, shown: dict[str, Prometheus], exporter: Exporter, kinds: None
) -> Iterator[dict[str, Example]]:
    """All that can run here, applied once their loads are known."""
    authority = sandbox.authority.bundle.read_text()
    files = [file for file in EXAMPLES if file.parent.name == "examples"]
    found = {file.stem: Example(file, shown, authority) for file in files}
    here = {stem: example for stem, example in found.items() if example.is_here}
    queries = sorted({source["query"] for example in here.values() for source in example.sources})
    for query in queries:
        _serve(exporter, query)
    for server in shown.values():
        eventually(partial(_answers, server, queries), all)
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one.namespace}} for one in here.values()
    ]
    sandbox.apply(*namespaces)
    _apply(sandbox, [one for example in here.values() for one in example.workloads()])
    _apply(sandbox, [one for example in here.values() for one in example.objects])
    yield here
    sandbox.kubectl("delete", "namespace", *(example.namespace for example in here.values()), "--wait=false")


def _apply(sandbox: Sandbox, objects: list[Object]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    sandbox.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=text)


def test_what_can_run_here_gets_ready(controller: object, examples: dict[str, Example], reader: Reader) -> None:
    wanted = {(example.namespace, one["metadata"]["name"]) for example in examples.values() for one in example.scalers}
    eventually(
        lambda: {key: _ready(reader, *key) for key in sorted(wanted)},
        lambda told: set(told.values()) == {"True"},
        READY_SECONDS,
    )


def _ready(reader: Reader, namespace: str, name: str) -> str:
    """The status of the condition Ready, with its words where it is not True."""
    status = (reader.find(namespace, f"psc/{name}") or {}).get("status", {})
    ready = [one for one in status.get("conditions", []) if one["type"] == "Ready"]
    if not ready:
        return "not told yet"
    return "True" if ready[0]["status"] == "True" else f"{ready[0]['reason']}: {ready[0]['message']}"


def test_a_target_of_each_kind_is_there(examples: dict[str, Example]) -> None:
    """Those of AWS run in tests of AWS, that of KEDA in KEDA's."""
    kinds = {
        one["spec"]["targetRef"].get("kind", "Deployment") for example in examples.values() for one in example.scalers
    }
    assert kinds >= {"Deployment", "StatefulSet", "Rollout"}


def test_a_kind_of_another_project_is_scaled(
    sandbox: Sandbox, controller: object, examples: dict[str, Example]
) -> None:
    """Beyond the three that the file begins with."""
    namespace = examples["rollout"].namespace
    eventually(
        lambda: sandbox.get("rollout", "checkout", "-n", namespace)["spec"]["replicas"],
        lambda found: found > 3,
        READY_SECONDS,
    )
