"""`predictive-scaler grade` on two weeks that a real Prometheus holds, with the model that is shipped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sandbox import binaries
from sandbox.prometheus import Prometheus
from tests.contracts.specs import merged

LIMIT_SECONDS = 840  # of a grade: on a busy machine a minute and a half has been seen
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(LIMIT_SECONDS + 60)]

ROOT = Path(__file__).parents[2]
UNTIL = datetime(2026, 3, 16, tzinfo=UTC)
MINUTES = 14 * 24 * 60
STATIC = 16
"""What the workload has all along: as many as the highest load needs, at 10 each."""


def _load() -> list[float]:
    """Days between 20 and 140, with noise."""
    generator = np.random.default_rng(11)
    minutes = np.arange(MINUTES)
    rhythm = 80.0 - 60.0 * np.cos(2 * np.pi * minutes / (24 * 60))
    return [float(one) for one in np.maximum(0.0, rhythm + generator.normal(0, 3, MINUTES))]


def _write(path: Path) -> Path:
    """As Prometheus holds it after it scraped the workload and kube-state-metrics every minute."""
    first = UNTIL - (MINUTES - 1) * timedelta(minutes=1)
    times = [first.timestamp() + 60 * minute for minute in range(MINUTES)]
    labels = '{namespace="shop",deployment="web"}'
    with path.open("w", encoding="utf-8") as out:
        out.write("# TYPE requests_per_second gauge\n")
        out.writelines(
            f'requests_per_second{{app="web"}} {load:.4f} {time:.3f}\n'
            for load, time in zip(_load(), times, strict=True)
        )
        out.write("# TYPE kube_deployment_spec_replicas gauge\n")
        out.writelines(f"kube_deployment_spec_replicas{labels} {STATIC} {time:.3f}\n" for time in times)
        out.write("# EOF\n")
    return path


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    directory = tmp_path_factory.mktemp("past")
    found, history = binaries.find_all(), _write(directory / "past.om")
    with Prometheus(directory=directory / "prometheus", binaries=found, history=[history]) as running:
        yield running


def _scaler(prometheus: Prometheus, **spec: Any) -> str:
    plain = {
        "targetRef": {"name": "web"},
        "maxReplicas": 50,
        "metric": {
            "prometheus": {"address": prometheus.url, "query": 'sum(requests_per_second{app="web"})'},
            "targetPerReplica": 10,
        },
        "forecast": {"leadTime": "2m"},
        "intervalSeconds": 60,
    }
    metadata = {"name": "web", "namespace": "shop"}
    kind = {"apiVersion": "predictivescaler.dev/v1alpha1", "kind": "PredictiveScaler"}
    return yaml.safe_dump(kind | {"metadata": metadata, "spec": merged(plain, spec)})


def _graded(text: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "client", "grade", "-f", "-", "--until", UNTIL.isoformat(), "-o", "json"]
    done = subprocess.run(
        [*command, *arguments], input=text, capture_output=True, text=True, cwd=ROOT, timeout=LIMIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_two_weeks_are_graded_with_the_shipped_model(prometheus: Prometheus) -> None:
    """A size that fits the highest load is twice what an objective of 1 % needs."""
    found = _graded(_scaler(prometheus, objective={"underProvisionedTime": "1%"}), "--hpa-target", "7")
    day, week, fortnight = found["windows"]
    assert (day["knownHours"], week["knownHours"]) == (24.0, 168.0)
    assert fortnight["knownHours"] == pytest.approx(14 * 24, abs=0.1)
    for window, hours in zip((day, week), (24, 168), strict=True):
        assert window["actual"] == {"replicaHours": STATIC * hours, "underProvisionedMinutes": 0.0}
        assert 8 * hours < window["own"]["replicaHours"] < 0.75 * STATIC * hours
        assert window["own"]["underProvisionedMinutes"] < 0.02 * hours * 60
        assert 8 * hours < window["hpa"]["replicaHours"] < 14 * hours
    assert (found["recommended"], found["reason"]) == ("True", "SavesReplicas")


def test_the_same_without_an_objective_may_not_be_short_where_nothing_is(prometheus: Prometheus) -> None:
    found = _graded(_scaler(prometheus, forecast={"model": "none", "leadTime": "10m"}), "--days", "3")
    assert (found["recommended"], found["reason"]) == ("False", "WouldBeShort")
    assert found["windows"][2]["knownHours"] == pytest.approx(72, abs=0.1)
