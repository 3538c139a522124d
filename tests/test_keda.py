"""KEDA's calls over a real connection: answers, statuses, streams, limits, TLS, and what is generated."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from controller import keda
from controller.externalscaler import externalscaler_pb2 as messages
from controller.keda import SERVICE, ExternalScaler, serving
from controller.registry import Registry
from controller.settings import SettingsError
from controller.status import timestamp
from sandbox.certificates import Authority, KeyPair
from tests.builders import NOW, body, seconds
from tests.servers.loopback import needs_ipv6
from tests.waiting import PATIENCE

ROOT = Path(__file__).parent.parent
GENERATED = "controller/externalscaler/externalscaler"


@dataclass(frozen=True, slots=True)
class Asker:
    """KEDA's side of one trigger, as far as the tests need it."""

    channel: grpc.aio.Channel
    metadata: dict[str, str] = field(default_factory=lambda: {"scaler": "web", "scalerAddress": "here:9091"})
    namespace: str = "shop"

    @property
    def ref(self) -> messages.ScaledObjectRef:
        return messages.ScaledObjectRef(name="web", namespace=self.namespace, scalerMetadata=self.metadata)

    async def is_active(self) -> bool:
        call = self._unary("IsActive", messages.IsActiveResponse)
        answer: messages.IsActiveResponse = await call(self.ref, timeout=PATIENCE)
        return answer.result

    async def metric_spec(self) -> messages.GetMetricSpecResponse:
        answer: messages.GetMetricSpecResponse = await self._unary("GetMetricSpec", messages.GetMetricSpecResponse)(
            self.ref, timeout=PATIENCE
        )
        return answer

    async def metrics(self, name: str = "predictive-scaler-web") -> list[messages.MetricValue]:
        request = messages.GetMetricsRequest(scaledObjectRef=self.ref, metricName=name)
        answer: messages.GetMetricsResponse = await self._unary("GetMetrics", messages.GetMetricsResponse)(
            request, timeout=PATIENCE
        )
        return list(answer.metricValues)

    def stream(self) -> grpc.aio.UnaryStreamCall[Any, messages.IsActiveResponse]:
        call: grpc.aio.UnaryStreamMultiCallable[Any, messages.IsActiveResponse] = self.channel.unary_stream(
            f"/{SERVICE}/StreamIsActive",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=messages.IsActiveResponse.FromString,
        )
        return call(self.ref)

    def _unary(self, method: str, answer: Any) -> grpc.aio.UnaryUnaryMultiCallable[Any, Any]:
        return self.channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )


@dataclass(slots=True)
class World:
    """What the served scaler sees, which the tests change."""

    registry: Registry = field(default_factory=Registry)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    now: datetime = NOW
    is_listed: bool = True
    version: int = 1

    def scaler(self) -> ExternalScaler:
        return ExternalScaler(
            registry=self.registry, is_listed=lambda: self.is_listed, clock=lambda: self.now, stop=self.stop
        )

    def decided(self, desired: int, demand: float | None = 61.2, mode: str = "Observe") -> None:
        """A watch event with a status of now."""
        self.version += 1
        last = {"time": timestamp(self.now)} | ({} if demand is None else {"demand": demand})
        made = body(
            spec={"mode": mode}, generation=self.version, status={"desiredReplicas": desired, "lastDecision": last}
        )
        made["metadata"]["resourceVersion"] = str(self.version)
        self.registry.put(made)


@asynccontextmanager
async def _asking(world: World, at: str = "127.0.0.1:0", host: str = "127.0.0.1") -> AsyncIterator[Asker]:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(world.scaler(), at))
        yield Asker(await stack.enter_async_context(grpc.aio.insecure_channel(f"{host}:{port}")))


@pytest.fixture
def world() -> World:
    world = World()
    world.decided(7)
    return world


@pytest.fixture
async def asker(world: World) -> AsyncIterator[Asker]:
    async with _asking(world) as asker:
        yield asker


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keda, "PULSE_SECONDS", 0.02)


async def _next(stream: grpc.aio.UnaryStreamCall[Any, messages.IsActiveResponse]) -> bool | None:
    """None where it ended without an error."""
    answer = await asyncio.wait_for(stream.read(), PATIENCE)
    return answer.result if isinstance(answer, messages.IsActiveResponse) else None


async def _refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


class TestCalls:
    async def test_the_metric_is_the_number_of_replicas_in_both_forms(self, asker: Asker) -> None:
        (value,) = await asker.metrics()
        assert (value.metricName, value.metricValue, value.metricValueFloat) == ("predictive-scaler-web", 7, 7.0)

    async def test_its_target_is_1_a_replica_in_both_forms(self, asker: Asker) -> None:
        (spec,) = (await asker.metric_spec()).metricSpecs
        assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("predictive-scaler-web", 1, 1.0)

    async def test_activity(self, world: World, asker: Asker) -> None:
        assert await asker.is_active()
        world.decided(1, demand=0.0)
        assert not await asker.is_active()

    async def test_a_new_status_is_the_next_answer(self, world: World, asker: Asker) -> None:
        world.decided(12)
        assert [value.metricValue for value in await asker.metrics()] == [12]

    async def test_the_namespace_is_that_of_the_scaled_object(self, asker: Asker) -> None:
        code, _ = await _refused(Asker(asker.channel, namespace="bank").metrics())
        assert code is grpc.StatusCode.NOT_FOUND

    @pytest.mark.parametrize(
        ("change", "code", "words"),
        [
            (lambda world: world.registry.discard("uid-web"), grpc.StatusCode.NOT_FOUND, "create it"),
            (lambda world: world.decided(7, mode="Active"), grpc.StatusCode.FAILED_PRECONDITION, "set mode: Observe"),
            (lambda world: setattr(world, "now", NOW + seconds(151)), grpc.StatusCode.UNAVAILABLE, "151 s old"),
            (lambda world: world.decided(0, demand=None), grpc.StatusCode.UNAVAILABLE, "MetricsAvailable"),
        ],
    )
    async def test_no_answer_has_a_status_and_a_cure(
        self, world: World, asker: Asker, change: Callable[[World], None], code: grpc.StatusCode, words: str
    ) -> None:
        change(world)
        for call in (asker.metrics(), asker.is_active()):
            found, details = await _refused(call)
            assert found is code
            assert words in details
        assert (await asker.metric_spec()).metricSpecs, "without it KEDA would leave the metric out of the HPA"

    async def test_a_trigger_that_cannot_be_meant(self, asker: Asker) -> None:
        mistyped = Asker(asker.channel, metadata={"scalar": "web"})
        for call in (mistyped.metrics(), mistyped.is_active(), mistyped.metric_spec(), mistyped.stream().read()):
            assert await _refused(call) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "metadata.scalar is no option; there are scaler, activationThreshold beside KEDA's own",
            )

    async def test_a_metric_of_another_trigger(self, asker: Asker) -> None:
        code, details = await _refused(asker.metrics("s0-predictive-scaler-web"))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert details.endswith("its only one is predictive-scaler-web")

    async def test_a_request_beyond_all_reason(self, asker: Asker) -> None:
        long = Asker(asker.channel, metadata={"scaler": "w" * keda.REQUEST_BYTES})
        assert (await _refused(long.is_active()))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED

    async def test_what_was_not_foreseen_tells_nothing_away(
        self, world: World, asker: Asker, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.registry.named = None  # type: ignore[assignment,method-assign]
        assert await _refused(asker.metrics()) == (
            grpc.StatusCode.INTERNAL,
            "unforeseen error; it is in the controller's log",
        )
        assert "unforeseen error at a call of KEDA" in caplog.text

    async def test_a_push_of_specs_is_not_served_and_keda_asks_then(self, asker: Asker) -> None:
        push: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = asker.channel.unary_stream(
            f"/{SERVICE}/StreamMetricSpec"
        )
        assert (await _refused(push(b"").read()))[0] is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.usefixtures("hasty")
class TestStreams:
    async def test_the_first_answer_comes_at_once_and_then_each_change(self, world: World, asker: Asker) -> None:
        stream = asker.stream()
        assert await _next(stream) is True
        world.decided(1, demand=0.0)
        assert await _next(stream) is False
        world.decided(1, demand=3.0)
        assert await _next(stream) is True

    async def test_what_is_not_known_is_no_change(self, world: World, asker: Asker) -> None:
        stream = asker.stream()
        assert await _next(stream) is True
        world.now += timedelta(hours=1)
        waiting = asyncio.ensure_future(_next(stream))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        world.decided(1, demand=0.0)
        assert await waiting is False

    async def test_before_the_first_list_it_waits(self, world: World) -> None:
        empty = World(is_listed=False)
        async with _asking(empty) as asker:
            waiting = asyncio.ensure_future(_next(asker.stream()))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            empty.decided(3)
            assert await waiting is True

    async def test_what_must_be_cured_ends_it(self, world: World, asker: Asker) -> None:
        stream = asker.stream()
        assert await _next(stream) is True
        world.decided(7, mode="Active")
        code, details = await _refused(stream.read())
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "set mode: Observe" in details

    async def test_all_end_without_an_error_when_the_process_is_to_stop(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keda, "PULSE_SECONDS", 100 * PATIENCE)  # at once, and not with the next pulse
        async with _asking(world) as asker:
            streams = [asker.stream() for _ in range(50)]
            assert [await _next(stream) for stream in streams] == [True] * 50
            world.stop.set()
            assert [await _next(stream) for stream in streams] == [None] * 50
            assert [await stream.code() for stream in streams] == [grpc.StatusCode.OK] * 50

    async def test_calls_are_answered_while_streams_are_open_up_to_the_bound(
        self, asker: Asker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keda, "MOST_STREAMS", 300)
        streams = [asker.stream() for _ in range(300)]
        assert [await _next(stream) for stream in streams] == [True] * 300
        assert await asker.is_active()
        code, details = await _refused(asker.stream().read())
        assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "300 streams are open; use type: external")
        streams[0].cancel()
        async with asyncio.timeout(PATIENCE):  # else a stream that its client ended keeps its place
            while not await _is_open(asker):  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.02)


async def _is_open(asker: Asker) -> bool:
    try:
        return await _next(asker.stream()) is True
    except grpc.aio.AioRpcError:
        return False


class TestServing:
    async def test_a_port_that_is_taken(self, world: World) -> None:
        async with serving(world.scaler(), "127.0.0.1:0") as port:
            with pytest.raises(SettingsError, match=f"KEDA_ADDRESS: cannot listen at 127.0.0.1:{port}; name another"):
                async with serving(world.scaler(), f"127.0.0.1:{port}"):
                    pytest.fail("two listen at one port")

    @pytest.mark.parametrize(
        ("at", "host"),
        [
            (":0", "127.0.0.1"),
            pytest.param(":0", "[::1]", marks=needs_ipv6),
            pytest.param("[::1]:0", "[::1]", marks=needs_ipv6),
        ],
    )
    async def test_either_family(self, world: World, at: str, host: str) -> None:
        async with _asking(world, at, host) as asker:
            assert (await asker.metric_spec()).metricSpecs[0].targetSize == 1

    async def test_a_directory_without_certificates(self, world: World, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"KEDA_TLS: .*tls.key cannot be read \(No such file or directory\)"):
            async with serving(world.scaler(), "127.0.0.1:0", tmp_path):
                pytest.fail("it is served")

    @pytest.mark.parametrize("must_show", [False, True])
    async def test_tls_and_a_certificate_that_is_renewed(
        self, world: World, tmp_path: Path, *, must_show: bool
    ) -> None:
        secret, authority = tmp_path / "secret", Authority.create(tmp_path / "first", datetime.now(UTC))
        _mount(secret, authority, must_show=must_show)
        async with serving(world.scaler(), "127.0.0.1:0", secret) as port:
            assert await _is_trusted(port, authority, with_certificate=must_show)
            if must_show:
                assert not await _is_trusted(port, authority, with_certificate=False)
            other = Authority.create(tmp_path / "second", datetime.now(UTC))
            assert not await _is_trusted(port, other, with_certificate=must_show)
            _mount(secret, other, must_show=must_show)
            assert await _is_trusted(port, other, with_certificate=must_show)
            (secret / "tls.key").unlink()
            assert await _is_trusted(port, other, with_certificate=must_show), "what cannot be read stays as it was"


def _mount(secret: Path, authority: Authority, *, must_show: bool) -> None:
    """As a Secret of cert-manager."""
    secret.mkdir(exist_ok=True)
    pair: KeyPair = authority.server("keda")
    shutil.copy(pair.certificate, secret / "tls.crt")
    shutil.copy(pair.key, secret / "tls.key")
    shutil.copy(authority.bundle, secret / "ca.crt")
    if must_show:
        shutil.copy(authority.bundle, secret / "client-ca.crt")


async def _is_trusted(port: int, authority: Authority, *, with_certificate: bool) -> bool:
    own = authority.client("keda-operator")
    credentials = grpc.ssl_channel_credentials(
        authority.bundle.read_bytes(),
        *((own.key.read_bytes(), own.certificate.read_bytes()) if with_certificate else ()),
    )
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        try:
            return await Asker(channel).is_active()
        except grpc.aio.AioRpcError:
            return False


def test_the_messages_are_as_generated(tmp_path: Path) -> None:
    """The command is that of the .proto."""
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run([*protoc, f"{GENERATED}.proto"], cwd=ROOT, check=True)
    for name in (f"{GENERATED}_pb2.py", f"{GENERATED}_pb2.pyi"):
        assert (ROOT / name).read_text() == (tmp_path / name).read_text()


@pytest.mark.slow
def test_a_controller_that_serves_no_keda_loads_no_grpc() -> None:
    code = "import sys, controller.__main__; print(sorted({'grpc', 'controller.keda'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
