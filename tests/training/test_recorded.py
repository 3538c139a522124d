"""What is asked of a Prometheus about a PredictiveScaler's past, and what is refused before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from controller.forecaster import load_model
from controller.sources.credentials import Credentials
from controller.spec import ScalerSpec
from tests.builders import INTERVAL, NOW, body, scaler, seconds
from tests.e2e.models import write_constant
from tests.servers.loopback import serve
from tests.servers.prometheus import FakePrometheus
from training.grading import GradingError
from training.recorded import Memories, Resource, resource

LOAD, SIZES = "the load", "the sizes"


def _text(status: dict[str, Any] | None = None, **spec: Any) -> str:
    kind = {"apiVersion": "predictivescaler.dev/v1alpha1", "kind": "PredictiveScaler"}
    return yaml.safe_dump(kind | body("web", spec=spec, status=status))


def _of(**spec: Any) -> Resource:
    return resource(_text(**spec), "a file")


@pytest.fixture
def prometheus() -> FakePrometheus:
    """The load is the second of the hour, two replicas from noon on."""
    return FakePrometheus(
        series={
            LOAD: [lambda time: time % 3600],
            SIZES: [lambda time: 2.0 if time >= NOW.timestamp() else None],
        }
    )


@pytest.fixture
async def memories(prometheus: FakePrometheus) -> AsyncIterator[Memories]:
    async with serve(prometheus.handle) as address:
        yield Memories(
            address=address,
            load=LOAD,
            replicas=SIZES,
            since=NOW - 2 * INTERVAL,
            until=NOW + 2 * INTERVAL,
            interval=INTERVAL,
            credentials=Credentials(authorization="Bearer secret"),
        )


async def test_load_and_sizes_come_on_one_grid(memories: Memories) -> None:
    past = await asyncio.to_thread(memories.past)
    assert (past.load.end, past.load.values.tolist()) == (NOW + 2 * INTERVAL, [3585, 0, 15, 30])
    assert np.array_equal(past.replicas.values, [np.nan, 2, 2, 2], equal_nan=True)


async def test_the_server_is_asked_with_the_token(memories: Memories, prometheus: FakePrometheus) -> None:
    await asyncio.to_thread(memories.past)
    assert {asked.authorization for asked in prometheus.asked} == {"Bearer secret"}


async def test_a_query_that_fails_is_named(memories: Memories, prometheus: FakePrometheus) -> None:
    prometheus.warnings = ["a store is down"]
    with pytest.raises(GradingError, match=r"the load: .*a store is down"):
        await asyncio.to_thread(memories.past)


async def test_forecasts_are_made_of_what_was_known(memories: Memories, tmp_path: Path) -> None:
    write_constant(tmp_path / "always-5.onnx", 5.0, step_seconds=10)
    spec = scaler(spec={"forecast": {"leadTime": "30s"}}).spec
    assert isinstance(spec, ScalerSpec)
    model = load_model(tmp_path / "always-5.onnx")
    foresight = await asyncio.to_thread(memories.forecasts, model, spec, spec.policy)
    history, forecast = foresight.at(NOW + INTERVAL)
    assert (history.end, history.values.tolist()) == (NOW + seconds(10), [10])
    assert forecast is not None
    assert forecast.quantiles[:, 1].tolist() == [5.0] * 5


@pytest.mark.parametrize(
    ("target", "query"),
    [
        ({}, 'max(kube_deployment_spec_replicas{namespace="shop",deployment="web"})'),
        ({"kind": "StatefulSet"}, 'max(kube_statefulset_replicas{namespace="shop",statefulset="web"})'),
        ({"kind": "ReplicaSet"}, 'max(kube_replicaset_spec_replicas{namespace="shop",replicaset="web"})'),
    ],
)
def test_kube_state_metrics_knows_the_sizes(target: dict[str, Any], query: str) -> None:
    assert _of(targetRef=target).replicas_query(None) == query


def test_a_namespace_that_is_given_is_the_one() -> None:
    assert 'namespace="other"' in _of().replicas_query("other")


def test_sizes_of_other_kinds_must_be_asked_for() -> None:
    with pytest.raises(GradingError, match="--replicas-query"):
        _of(targetRef={"apiVersion": "e.example/v1", "kind": "Fleet"}).replicas_query(None)


def test_a_file_without_a_namespace_needs_one() -> None:
    text = yaml.safe_load(_text())
    del text["metadata"]["namespace"]
    with pytest.raises(GradingError, match="--namespace"):
        resource(yaml.safe_dump(text), "a file").replicas_query(None)


@pytest.mark.parametrize(
    ("spec", "status", "given", "lead"),
    [
        ("30s", {"leadTime": {"seconds": 12}}, None, 30),
        ("auto", {"leadTime": {"seconds": 12.5}}, None, 12.5),
        ("auto", {"leadTime": {"seconds": 12.5}}, seconds(90), 90),
        ("auto", {}, None, 120),
        ("30s", {}, seconds(90), 90),
    ],
)
def test_the_lead_time_is_the_one_that_is_known_best(
    spec: str, status: dict[str, Any], given: timedelta | None, lead: float
) -> None:
    found = resource(_text(status, forecast={"leadTime": spec}), "a file")
    assert found.policy(given, None).lead_time == seconds(lead)


@pytest.mark.parametrize(("every", "interval"), [(None, 15), (seconds(60), 60)])
def test_the_interval_is_the_specs_or_what_is_given(every: timedelta | None, interval: float) -> None:
    assert _of().policy(None, every).interval == seconds(interval)


def test_whom_the_status_names_is_whom_it_is_held_against() -> None:
    assert resource(_text({"grade": {"against": "an HPA"}}), "a file").against == "an HPA"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "a file is not YAML"),
        ("kind: Deployment\nspec: {}", "must hold one PredictiveScaler with a spec, not 0"),
        (f"{_text()}\n---\n{_text()}", "must hold one PredictiveScaler with a spec, not 2"),
        (_text(maxReplicas=0), "a file: spec.maxReplicas"),
    ],
)
def test_what_cannot_be_used_is_refused(text: str, words: str) -> None:
    with pytest.raises(GradingError, match=words):
        resource(text, "a file")
