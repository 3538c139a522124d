"""A real controller, asked as KEDA asks: it tells what it decides on real traffic, and never 0 where it cannot know."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from controller.externalscaler import externalscaler_pb2 as messages
from sandbox.controller import NAMESPACE, SETTINGS, Controller
from sandbox.processes import free_port
from tests.e2e.driving import TRUSTED, Scene, eventually, workload

pytestmark = pytest.mark.e2e
SERVICE = "/externalscaler.ExternalScaler/"


@dataclass(slots=True)
class Keda:
    """KEDA's side of a trigger, and the controller that it asks."""

    controller: Controller
    channel: grpc.Channel
    ref: messages.ScaledObjectRef

    def replicas(self, seconds: float = 60.0) -> int | str:
        """What is answered; the status where there is no answer."""
        call: grpc.UnaryUnaryMultiCallable[Any, messages.GetMetricsResponse] = self.channel.unary_unary(
            f"{SERVICE}GetMetrics",
            request_serializer=messages.GetMetricsRequest.SerializeToString,
            response_deserializer=messages.GetMetricsResponse.FromString,
        )
        try:
            (value,) = call(messages.GetMetricsRequest(scaledObjectRef=self.ref), timeout=seconds).metricValues
        except grpc.RpcError as error:
            ended: Any = error  # also a grpc.Call, which the stubs cannot say
            return f"{ended.code().name}: {ended.details()}"
        return value.metricValue

    def activity(self, seconds: float = 280.0) -> Iterator[bool]:
        """What is pushed, until the other side ends the stream."""
        call: grpc.UnaryStreamMultiCallable[Any, messages.IsActiveResponse] = self.channel.unary_stream(
            f"{SERVICE}StreamIsActive",
            request_serializer=messages.ScaledObjectRef.SerializeToString,
            response_deserializer=messages.IsActiveResponse.FromString,
        )
        for answer in call(self.ref, timeout=seconds):
            yield answer.result

    def signal(self, number: signal.Signals) -> None:
        """To the controller's process."""
        process = self.controller._process
        assert process is not None
        os.kill(process.pid, number)


@contextlib.contextmanager
def _asked(scene: Scene, account: Path, models: Path, name: str = "", **more: str) -> Iterator[Keda]:
    """A controller of this namespace alone, asked for the scaler "web"; a workload is active above a load of 5."""
    address = f"127.0.0.1:{free_port()}"
    controller = Controller(
        kubeconfig=account,
        models=models,
        log=scene.sandbox.logs / f"controller-{scene.namespace}{name}.log",
        watched=[scene.namespace],
        environment={f"{SETTINGS}KEDA_ADDRESS": address, **more},
    )
    metadata = {"scalerAddress": address, "scaler": "web", "activationThreshold": "5"}
    ref = messages.ScaledObjectRef(name="web", namespace=scene.namespace, scalerMetadata=metadata)
    with controller, grpc.insecure_channel(address) as channel:
        yield Keda(controller=controller, channel=channel, ref=ref)


@pytest.fixture
def keda(scene: Scene, account: Path, models: Path) -> Iterator[Keda]:
    with _asked(scene, account, models) as keda:
        yield keda


@pytest.fixture
def pair(scene: Scene, account: Path, models: Path) -> Iterator[tuple[Keda, Keda]]:
    """Two replicas that share a Lease: the first decides, the other stands by."""
    leases = {f"{SETTINGS}LEASE_NAMESPACE": NAMESPACE, f"{SETTINGS}LEASE_NAME": scene.namespace}
    with contextlib.ExitStack() as stack:
        first, second = (
            stack.enter_context(_asked(scene, account, models, name, **leases, **{f"{SETTINGS}INSTANCE": name}))
            for name in ("first", "second")
        )
        yield first, second


def _await(keda: Keda, wanted: int | str) -> int | str:
    """Wait for a number, or for a status that begins so."""
    return eventually(keda.replicas, lambda told: told == wanted or str(told).startswith(f"{wanted}:"))


def test_the_answers_follow_the_traffic_and_touch_nothing(scene: Scene, keda: Keda) -> None:
    scene.sees(25)
    scene.apply(workload(replicas=2), scene.scaler(mode="Observe"))
    _await(keda, 3)
    activity = keda.activity()
    assert next(activity) is True
    scene.sees(85)
    _await(keda, 9)
    scene.sees(4)
    assert next(activity) is False
    _await(keda, 1)
    scene.sees(85)
    assert next(activity) is True
    assert (scene.replicas(), scene.writes()) == (2, [])


def test_the_forecast_is_what_keda_scales_by_before_the_load_comes(scene: Scene, keda: Keda) -> None:
    """The model foresees 95 whatever is seen, which is trusted as long as it is not far off: ten replicas of ten."""
    scene.sees(TRUSTED)
    scene.apply(workload(), scene.scaler(mode="Observe", forecast={"model": "always-95"}))
    _await(keda, 10)


def test_a_forecast_wakes_what_has_no_load_yet(scene: Scene, keda: Keda) -> None:
    """Where a replica serves a thousand, 95 that do not come are no great error: that is trusted all along."""
    scene.sees(0)
    metric = {"targetPerReplica": "1000"}
    scene.apply(workload(), scene.scaler(mode="Observe", forecast={"model": "always-95"}, metric=metric))
    _await(keda, 1)
    assert next(keda.activity()) is True


def test_a_workload_that_keda_has_scaled_to_0_wakes_for_what_it_needs(scene: Scene, keda: Keda) -> None:
    scene.sees(0)
    scene.apply(workload(replicas=0), scene.scaler(mode="Observe"))
    _await(keda, 1)
    activity = keda.activity()
    assert next(activity) is False
    scene.sees(65)
    assert next(activity) is True
    _await(keda, 7)


def test_without_a_load_the_size_is_held_and_without_a_decision_there_is_no_answer(scene: Scene, keda: Keda) -> None:
    _await(keda, "NOT_FOUND")
    scene.sees(45)
    scene.apply(scene.scaler(mode="Observe"))
    told = _await(keda, "UNAVAILABLE")
    assert "has decided nothing yet" in str(told)
    scene.apply(workload())
    _await(keda, 5)
    scene.sees(None)
    scene.await_condition("MetricsAvailable", "False", "MetricEmpty")
    assert keda.replicas() == 5
    scene.patch("psc/web", {"spec": {"mode": "Active"}})
    assert "set mode: Observe" in str(_await(keda, "FAILED_PRECONDITION"))


def test_a_controller_that_is_frozen_killed_or_stopped_gives_no_number(scene: Scene, keda: Keda) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler(mode="Observe"))
    _await(keda, 5)
    keda.signal(signal.SIGSTOP)
    assert str(keda.replicas(seconds=1.0)).startswith("DEADLINE_EXCEEDED")
    keda.signal(signal.SIGCONT)
    _await(keda, 5)
    keda.controller.kill()
    _await(keda, "UNAVAILABLE")
    keda.controller.start()
    _await(keda, 5)
    activity = keda.activity()
    assert next(activity) is True
    keda.signal(signal.SIGTERM)
    assert list(activity) == [], "streams are to end; what the server has to break off is an error here"
    _await(keda, "UNAVAILABLE")


def test_whoever_stands_by_answers_as_well_and_goes_on_when_the_other_is_lost(
    scene: Scene, pair: tuple[Keda, Keda]
) -> None:
    scene.sees(45)
    scene.apply(workload(), scene.scaler(mode="Observe"))
    deciding, waiting = pair
    _await(waiting, 5)
    _await(deciding, 5)
    activity = waiting.activity()
    assert next(activity) is True
    scene.sees(3)
    assert next(activity) is False
    _await(waiting, 1)
    deciding.controller.kill()
    scene.sees(85)
    told: list[int | str] = []

    def ask() -> int | str:
        told.append(waiting.replicas())
        return told[-1]

    eventually(ask, lambda told: told == 9)
    assert set(told) == {1, 9}, "there is to be no moment without an answer"
    assert next(activity) is True
