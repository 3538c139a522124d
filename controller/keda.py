"""How is KEDA's external scaler served? gRPC around `externalscaler.answers`; the only file that knows gRPC.

KEDA polls with GetMetricSpec, GetMetrics and IsActive, one connection for all its ScaledObjects; a trigger of type
external-push also holds a StreamIsActive open for as long as it exists. Must not decide, nor know a PredictiveScaler
but by `answers`. Loaded only where it is served: gRPC takes memory and a fifth of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio

from controller.externalscaler import externalscaler_pb2 as messages
from controller.externalscaler.answers import TARGET, Answers, Cause, RefusedError, Trigger
from controller.registry import Registry
from controller.settings import SettingsError

log = logging.getLogger(__name__)

SERVICE = "externalscaler.ExternalScaler"
PULSE_SECONDS = 1.0
"""How soon a change of activity is pushed, at the latest."""

MOST_STREAMS = 5_000
"""One for each trigger of type external-push."""

MOST_CALLS = MOST_STREAMS + 1_000
REQUEST_BYTES = 64 * 1024
"""A trigger's metadata is some hundred bytes."""

GRACE_SECONDS = 2.0
CLIENT_AUTHORITY = "client-ca.crt"
"""Not ca.crt, which cert-manager adds to every certificate: that clients must show one is to be meant."""

KEEPALIVE_MS = 60_000
"""A client that vanished without a word, with its node say, must not keep its streams."""

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # else two controllers on one host would share a port, and each get some of the calls
    ("grpc.max_receive_message_length", REQUEST_BYTES),
    ("grpc.max_concurrent_streams", MOST_CALLS),  # of a connection; beyond, calls would wait behind open streams
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients may ask as often, and beside no call
    ("grpc.keepalive_permit_without_calls", 1),
)
_CODES = {
    Cause.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Cause.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Cause.PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Cause.UNKNOWN: grpc.StatusCode.UNAVAILABLE,
}
_Context = grpc.aio.ServicerContext[Any, Any]
_T = TypeVar("_T")


@dataclass(slots=True, eq=False)
class _Stream:
    """One open StreamIsActive. `told`: what was last said; `news`: set when there is something to say, or to end."""

    trigger: Trigger
    told: bool | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)


class ExternalScaler:
    """The four calls. `is_listed`: whether the registry has been filled; `stop`: streams end once it is set."""

    def __init__(
        self, *, registry: Registry, is_listed: Callable[[], bool], clock: Callable[[], datetime], stop: asyncio.Event
    ) -> None:
        self._answers = Answers(registry)
        self._is_listed = is_listed
        self._clock = clock
        self._stop = stop
        self._streams: set[_Stream] = set()

    async def is_active(self, request: messages.ScaledObjectRef, context: _Context) -> messages.IsActiveResponse:
        """Whether the workload may have replicas at all."""
        return messages.IsActiveResponse(result=await _or_abort(context, lambda: self._active(_trigger(request))))

    async def metric_spec(self, request: messages.ScaledObjectRef, context: _Context) -> messages.GetMetricSpecResponse:
        """Says the same whatever is known of the scaler, so that the HPA never loses the metric."""
        trigger = await _or_abort(context, lambda: _trigger(request))
        spec = messages.MetricSpec(metricName=trigger.metric, targetSize=TARGET, targetSizeFloat=float(TARGET))
        return messages.GetMetricSpecResponse(metricSpecs=[spec])

    async def metrics(self, request: messages.GetMetricsRequest, context: _Context) -> messages.GetMetricsResponse:
        """The replicas that were decided, in the integer of older KEDAs as well."""
        name, replicas = await _or_abort(context, lambda: self._metric(request))
        value = messages.MetricValue(metricName=name, metricValue=replicas, metricValueFloat=float(replicas))
        return messages.GetMetricsResponse(metricValues=[value])

    async def stream_is_active(
        self, request: messages.ScaledObjectRef, context: _Context
    ) -> AsyncIterator[messages.IsActiveResponse]:
        """Tells at once, and again with every change. What is not known at present is not told, and so no change.

        Ends with an error when the user has something to cure, without one when this process ends: KEDA comes back.
        """
        stream = _Stream(await _or_abort(context, lambda: _trigger(request)))
        if len(self._streams) >= MOST_STREAMS:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MOST_STREAMS} streams are open; use type: external"
            )
        self._streams.add(stream)
        try:
            while not self._stop.is_set():
                active = await _or_abort(context, lambda: self._told_now(stream))
                if active is not None and active is not stream.told:
                    stream.told = active
                    yield messages.IsActiveResponse(result=active)
                stream.news.clear()
                await stream.news.wait()
        finally:
            self._streams.discard(stream)

    async def push(self) -> None:
        """Wake the streams that have something to say, until it is time to stop: then all of them, to end."""
        while not self._stop.is_set():
            for stream in self._streams:
                if self._has_news(stream):
                    stream.news.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), PULSE_SECONDS)
        for stream in self._streams:
            stream.news.set()

    def _has_news(self, stream: _Stream) -> bool:
        try:
            active = self._told_now(stream)
        except RefusedError:
            return True
        return active is not None and active is not stream.told

    def _told_now(self, stream: _Stream) -> bool | None:
        try:
            return self._active(stream.trigger)
        except RefusedError as error:
            if error.is_passing:
                return None
            raise

    def _active(self, trigger: Trigger) -> bool:
        return self._answers.is_active(trigger, self._clock(), is_listed=self._is_listed())

    def _metric(self, request: messages.GetMetricsRequest) -> tuple[str, int]:
        trigger = _trigger(request.scaledObjectRef)
        if request.metricName not in {"", trigger.metric}:
            message = f"{request.metricName!r} is not a metric of this trigger; its only one is {trigger.metric}"
            raise RefusedError(Cause.INVALID, message)
        return trigger.metric, self._answers.replicas(trigger, self._clock(), is_listed=self._is_listed())


@contextlib.asynccontextmanager
async def serving(scaler: ExternalScaler, address: str, tls: Path | None = None) -> AsyncIterator[int]:
    """Serve at `address` (HOST:PORT or :PORT; port 0: any) until the block ends; gives the port. Raises SettingsError.

    `tls`: a directory with tls.crt and tls.key, and client-ca.crt where clients must show a certificate that it signed;
    they are read anew for each connection, so they can be renewed. None: plain.
    """
    server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
    server.add_generic_rpc_handlers((_handlers(scaler),))
    port = _bind(server, address, tls)
    await server.start()
    pushing = asyncio.create_task(scaler.push())
    try:
        yield port
    finally:
        pushing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pushing
        await server.stop(GRACE_SECONDS)


def _handlers(scaler: ExternalScaler) -> grpc.GenericRpcHandler:
    ref, is_active = messages.ScaledObjectRef, messages.IsActiveResponse
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "IsActive": grpc.unary_unary_rpc_method_handler(
                scaler.is_active, ref.FromString, is_active.SerializeToString
            ),
            "StreamIsActive": grpc.unary_stream_rpc_method_handler(
                scaler.stream_is_active, ref.FromString, is_active.SerializeToString
            ),
            "GetMetricSpec": grpc.unary_unary_rpc_method_handler(
                scaler.metric_spec, ref.FromString, messages.GetMetricSpecResponse.SerializeToString
            ),
            "GetMetrics": grpc.unary_unary_rpc_method_handler(
                scaler.metrics, messages.GetMetricsRequest.FromString, messages.GetMetricsResponse.SerializeToString
            ),
        },
    )


def _bind(server: grpc.aio.Server, address: str, tls: Path | None) -> int:
    """For gRPC, [::] is every address of either family, also where there is no IPv6; a port alone it does not take."""
    at = f"[::]{address}" if address.startswith(":") else address
    try:
        return server.add_insecure_port(at) if tls is None else server.add_secure_port(at, _credentials(tls))
    except RuntimeError as error:
        message = f"PREDICTIVE_SCALER_KEDA_ADDRESS: cannot listen at {address}; name another port, or free this one"
        raise SettingsError(message) from error


def _credentials(directory: Path) -> grpc.ServerCredentials:
    """Read at the start, to fail there, and again for each connection; what cannot be read later stays as it was."""
    try:
        first = _configuration(directory)
    except OSError as error:
        message = (
            f"PREDICTIVE_SCALER_KEDA_TLS: {error.filename} cannot be read ({error.strerror}); mount a Secret there"
        )
        raise SettingsError(message) from error

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        try:
            return _configuration(directory)
        except OSError as error:
            log.warning("certificate not read", extra={"path": error.filename, "error": error.strerror})
            return None

    must_show = (directory / CLIENT_AUTHORITY).exists()
    return grpc.dynamic_ssl_server_credentials(
        first,
        renewed,  # type: ignore[arg-type]  # None means no other one, says gRPC; its stubs do not
        require_client_authentication=must_show,
    )


def _configuration(directory: Path) -> grpc.ServerCertificateConfiguration:
    authority = directory / CLIENT_AUTHORITY
    return grpc.ssl_server_certificate_configuration(
        [((directory / "tls.key").read_bytes(), (directory / "tls.crt").read_bytes())],
        root_certificates=authority.read_bytes() if authority.exists() else None,
    )


def _trigger(request: messages.ScaledObjectRef) -> Trigger:
    return Trigger.read(request.namespace, dict(request.scalerMetadata))


async def _or_abort(context: _Context, answer: Callable[[], _T]) -> _T:
    """What `answer` gives, or the end of the call with the status that its refusal is."""
    try:
        return answer()
    except RefusedError as error:
        await _abort(context, _CODES[error.cause], str(error))
    except Exception:
        log.exception("unforeseen error at a call of KEDA")
        await _abort(context, grpc.StatusCode.INTERNAL, "unforeseen error; it is in the controller's log")


async def _abort(context: _Context, code: grpc.StatusCode, message: str) -> NoReturn:
    aborted: Awaitable[NoReturn] = context.abort(code, message)
    await aborted
