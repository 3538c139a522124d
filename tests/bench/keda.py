"""What does it cost to answer KEDA? Memory with and without, and processor time for a thousand ScaledObjects.

A poll is what KEDA 2.21 asks of a trigger: GetMetricSpec, GetMetrics and IsActive. It polls every 30 s, and the HPA has
it asked every 15 s unless the trigger says `useCachedMetrics`, so a thousand ScaledObjects make 33 or 100 polls a
second; as external-push each has a stream as well. Run `python -m tests.bench.keda`, best on an idle machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc.aio
from google.protobuf.message import Message
from rich.console import Console

from controller.externalscaler import externalscaler_pb2 as messages
from tests.bench.keda_server import SCALERS

RATES = (33, 100)
SECONDS = 20.0
SERVICE = "externalscaler.ExternalScaler"
REFS = [
    messages.ScaledObjectRef(name="x", namespace="shop", scalerMetadata={"scaler": f"web-{number}"})
    for number in range(SCALERS)
]
CONSOLE = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Usage:
    """MiB in memory, seconds of processor time so far; the port where it serves."""

    memory: float
    processor: float
    port: int


class Asker:
    """KEDA's side: one connection for all."""

    def __init__(self, channel: grpc.aio.Channel, usage: Callable[[], Usage]) -> None:
        self._usage = usage
        self._spec, self._metrics, self._active = (
            _call(channel, method) for method in ("GetMetricSpec", "GetMetrics", "IsActive")
        )
        self.took: list[float] = []

    async def poll(self, ref: messages.ScaledObjectRef) -> None:
        """The three calls, one after the other."""
        began = time.perf_counter()
        await self._spec(ref)
        await self._metrics(messages.GetMetricsRequest(scaledObjectRef=ref))
        await self._active(ref)
        self.took.append(time.perf_counter() - began)

    async def round(self, words: str, *, rate: int) -> None:
        """So many polls a second for a while; what the server took meanwhile."""
        self.took.clear()
        before, began = self._usage(), time.monotonic()
        tasks = []
        for number in range(int(rate * SECONDS)):
            tasks.append(asyncio.create_task(self.poll(REFS[number % SCALERS])))
            await asyncio.sleep(max(0.0, began + (number + 1) / rate - time.monotonic()))
        await asyncio.gather(*tasks)
        await asyncio.sleep(max(0.0, began + SECONDS - time.monotonic()))
        after = self._usage()
        spent = after.processor - before.processor
        each = f", {1e3 * spent / len(tasks):.1f} ms each" if tasks else ""
        share = spent / (time.monotonic() - began)
        CONSOLE.print(f"{words}: {share:.1%} of a processor{each}, {after.memory:.0f} MiB{_latency(self.took)}")


async def _ask(port: int, usage: Callable[[], Usage]) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        asker = Asker(channel, usage)
        await asker.round("nobody asks", rate=0)
        for rate in RATES:
            await asker.round(f"{rate} polls a second", rate=rate)
        streams = [_stream(channel)(ref) for ref in REFS]
        await asyncio.gather(*(one.read() for one in streams))
        await asker.round(f"{SCALERS} streams", rate=0)
        await asker.round(f"{SCALERS} streams and {RATES[0]} polls a second", rate=RATES[0])


def _call(channel: grpc.aio.Channel, method: str) -> grpc.aio.UnaryUnaryMultiCallable[Any, bytes]:
    return channel.unary_unary(f"/{SERVICE}/{method}", request_serializer=_written)


def _stream(channel: grpc.aio.Channel) -> grpc.aio.UnaryStreamMultiCallable[Any, bytes]:
    return channel.unary_stream(f"/{SERVICE}/StreamIsActive", request_serializer=_written)


def _written(message: Message) -> bytes:
    return message.SerializeToString()


def _latency(took: list[float]) -> str:
    if not took:
        return ""
    ordered = sorted(took)
    at = [1e3 * ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99)]
    return f"; a poll of three calls takes {at[0]:.1f} ms, 1 in 100 over {at[1]:.1f} ms"


def main() -> None:
    """Print what was measured."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.keda_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        told, asking = server.stdout, server.stdin
        assert told is not None
        assert asking is not None

        def usage() -> Usage:
            asking.write("\n")
            asking.flush()
            return Usage(**json.loads(told.readline()))

        without, served = (Usage(**json.loads(told.readline())) for _ in range(2))
        CONSOLE.print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
        CONSOLE.print(f"{SCALERS} scalers: {without.memory:.0f} MiB without gRPC, {served.memory:.0f} MiB served")
        CONSOLE.print(f"loading and starting it: {served.processor - without.processor:.2f} s of processor time")
        asyncio.run(_ask(served.port, usage))


if __name__ == "__main__":
    main()
