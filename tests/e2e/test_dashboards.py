"""Every panel, every annotation and every rule has data while real scalers follow a load that is known from the past.

As the demo, five times as fast: a week of history, a model trained on them, and the shipped dashboards and rules.
"""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.spec import GROUP, KIND, VERSION
from manifests.install import ROOT
from manifests.observability.files import RULES
from sandbox.cluster import Sandbox
from sandbox.controller import NAMESPACE, SETTINGS, Controller
from sandbox.exporter import Exporter
from sandbox.prometheus import Prometheus, Scrape
from sandbox.replay import Counter, Replay, write_history
from sandbox.traffic import synthetic
from tests.contracts.dashboards import FILES, Asked, filled, load, queries
from tests.contracts.specs import merged
from tests.e2e.driving import UNHURRIED, eventually, wall_clock, workload

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]  # the first one trains a model and plays a while

FACTOR = 300.0
HISTORY = timedelta(days=7)
DAYS = 28  # three weeks of them after the history: an hour and a half, however slow the machine is
LOADING = timedelta(seconds=6)
OFTEN = timedelta(milliseconds=500)
MORNING = datetime(2026, 1, 28, 8, tzinfo=UTC)
QUERY = 'sum(rate(http_requests_total{app="web"}[4s]))'  # eight scrapes, of which a busy machine may miss some
MOST = 500  # of 40 each: no hour of the trace needs so many
SECONDS = {"step": "1s", "season": "288s", "horizon": "30s"}
LEAD = "3"  # of 2 s, and an interval

CASES: dict[str, dict[str, Any]] = {
    "web": {},
    "watched": {"mode": "Observe"},
    "promised": {"objective": {"underProvisionedTime": "5%"}, "forecast": {"quantile": None}, "maxReplicas": 1},
    "broken": {"metric": {"prometheus": {"query": "sum(nothing_of_this_name)"}}},
}
"""What differs from a plain scaler: each has what only some have, and one goes wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where it is played."""

    sandbox: Sandbox
    namespace: str
    prometheus: Prometheus

    def variables(self, scaler: str) -> dict[str, str]:
        """As Grafana fills them in, on a screen that shows half a minute."""
        spans = {"__interval": "5s", "__rate_interval": "5s", "__range": "30s"}
        return {"namespace": self.namespace, "scaler": scaler, "lead": LEAD, **spans}

    def data(self, expr: str) -> list[float]:
        """All that is known of a query in the last half minute, at every second."""
        now = wall_clock()
        found = self.prometheus.query_range(expr, now - timedelta(seconds=30), now, timedelta(seconds=1))
        return [value for series in found for _, text in series["values"] if math.isfinite(value := float(text))]


def scaler(name: str, prometheus: Prometheus) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": 1,
        "maxReplicas": MOST,
        "metric": {"prometheus": {"address": prometheus.url, "query": QUERY}, "targetPerReplica": "40"},
        "forecast": {"model": "trained", "leadTime": "2s", "quantile": 0.9},
        "intervalSeconds": 1,
        "behavior": UNHURRIED,
    }
    spec = merged(plain, CASES[name])
    spec["forecast"] = {key: value for key, value in spec["forecast"].items() if value is not None}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": {"name": name}, "spec": spec}


def train(prometheus: Prometheus, file: Path) -> None:
    """As a user would, with the trainer's own command."""
    address = prometheus.url.replace("http://", "prometheus://")
    options = [part for name, value in SECONDS.items() for part in (f"--{name}", value)]
    command = [
        sys.executable,
        "-m",
        "training",
        "fit",
        "--data",
        address,
        "--query",
        QUERY,
        "--out",
        str(file),
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def stage(sandbox: Sandbox, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Scalers that have ticked for a while, one of which has grown and shrunk."""
    folder, namespace = tmp_path_factory.mktemp("dashboards"), "dashboards"
    trace = synthetic(start=MORNING - HISTORY, days=DAYS)
    replay = Replay(trace=trace, moment=MORNING, wall=wall_clock() + LOADING, factor=FACTOR)
    history = write_history(folder / "history.om", {Counter(): replay}, until=replay.wall, every=OFTEN)
    sandbox.kubectl("create", "namespace", namespace)
    sandbox.await_namespace(namespace)
    leases = {f"{SETTINGS}LEASE_NAMESPACE": NAMESPACE, f"{SETTINGS}LEASE_NAME": namespace}
    log = sandbox.logs / "controller-dashboards.log"
    with Exporter({Counter(): replay}) as exporter:
        scrape, rules = exporter.scrape(OFTEN), sorted(RULES.iterdir())
        prometheus = sandbox.prometheus("dashboards", scrapes=[scrape], history=[history], rules=rules)
        train(prometheus, folder / "trained.onnx")
        with Controller(
            kubeconfig=account, models=folder, log=log, watched=[namespace], environment=leases
        ) as controller:
            prometheus.scrape(scrape, Scrape(job="predictive-scaler", address=controller.address, interval=OFTEN))
            played = Stage(sandbox=sandbox, namespace=namespace, prometheus=prometheus)
            play(played)
            yield played
    prometheus.stop(grace=0)
    sandbox.kubectl("delete", "namespace", namespace, "--wait=false")


def play(stage: Stage) -> None:
    """Apply all, then let one shrink and grow."""
    for name in CASES:
        for one in (workload(name=name), scaler(name, stage.prometheus)):
            stage.sandbox.apply(merged(one, {"metadata": {"namespace": stage.namespace}}))
    size = f'predictive_scaler_current_replicas{{namespace="{stage.namespace}",scaler="web"}}'
    for most in (MOST, 1, MOST):
        patch = f'{{"spec": {{"maxReplicas": {most}}}}}'
        stage.sandbox.kubectl("patch", "psc", "web", "-n", stage.namespace, "--type=merge", "-p", patch)
        eventually(lambda: stage.prometheus.query(f"{size} {'==' if most == 1 else '>'} 1"), seconds=90)  # noqa: B023 - at once


EVERY = [pytest.param(asked, id=f"{path.stem}: {asked.panel}") for path in FILES for asked in queries(load(path.stem))]


@pytest.mark.parametrize("asked", EVERY)
def test_every_query_has_data(stage: Stage, asked: Asked) -> None:
    """Of one of the scalers at least: not every one has an objective, or is watched, or goes wrong."""
    plain = asked.expr.replace(" or on () vector(0)", "")
    exprs = [filled(plain, stage.variables(name)) for name in CASES]
    eventually(lambda: [value for expr in exprs for value in stage.data(expr)])


OF_SOME = {
    "Short: measured, and what the objective allows",
    "Observed: replica-hours it would have had",
    "Observed: minutes short",
    "Problems",
    "annotation Grew",
    "annotation Shrank",
}
"""Told with an objective, in mode Observe, or where something changes or goes wrong."""

NEAR = 'bound="max"'  # drawn only where it is near
OF_ALL = [
    asked for asked in queries(load("predictive-scaler")) if asked.panel not in OF_SOME and NEAR not in asked.expr
]


@pytest.mark.parametrize("asked", OF_ALL, ids=lambda asked: str(asked.panel))
def test_a_plain_scaler_has_all_but_what_only_some_have(stage: Stage, asked: Asked) -> None:
    eventually(lambda: stage.data(filled(asked.expr, stage.variables("web"))))


def test_prometheus_evaluates_every_rule(stage: Stage) -> None:
    def states() -> set[tuple[str, str]]:
        return {
            (rule["health"], rule.get("lastError", "")) for rule in stage.prometheus.rules() if rule["name"][0] == "P"
        }

    eventually(states, {("ok", "")}.__eq__)


@pytest.mark.parametrize(
    ("alert", "name"), [("MetricsMissing", "broken"), ("AtMax", "promised")], ids=["metrics-missing", "at-max"]
)
def test_what_is_wrong_is_pending(stage: Stage, alert: str, name: str) -> None:
    """Each alert waits for minutes; that it will fire is seen at once, and of the right one alone."""
    eventually(lambda: alerted(stage, f'alertname="PredictiveScaler{alert}"'), {name}.__eq__)


OF_QUALITY = "CoverageOff|ForecastLosing|TickLag"
"""Where a machine is too slow for a load that is 300 times as fast these are right; promtool tests them."""


def test_nothing_that_is_well_is_alerted(stage: Stage) -> None:
    """Only those that something is wrong with are, so the rules are evaluated. A scrape that was missed passes by."""
    well = f'alertname=~"PredictiveScaler.*",alertname!~"PredictiveScaler({OF_QUALITY})"'
    eventually(lambda: alerted(stage, well), {"broken", "promised"}.__eq__)


def alerted(stage: Stage, selector: str) -> set[str]:
    """The scalers of alerts that are pending or fire; "controller" for one that is of no scaler."""
    return {one["metric"].get("scaler", "controller") for one in stage.prometheus.query(f"ALERTS{{{selector}}}")}


def test_every_metric_that_a_rule_asks_for_has_series(stage: Stage) -> None:
    text = "".join(file.read_text() for file in RULES.iterdir())
    asked = set(re.findall(r"(?<![\w:])predictive_scaler_\w+", text))
    assert len(asked) > 10
    eventually(lambda: [name for name in sorted(asked) if not stage.prometheus.query(name)], lambda left: left == [])


def test_recorded_series_have_data(stage: Stage) -> None:
    recorded = [rule["name"] for rule in stage.prometheus.rules() if rule["name"].endswith((":max", ":bool"))]
    assert recorded
    for name in recorded:
        eventually(lambda: stage.data(f'{name}{{namespace="{stage.namespace}"}}'))  # noqa: B023 - called at once
