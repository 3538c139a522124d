"""The server's side of `tests.bench.keda`, in a process of its own that has loaded what a controller has and no gRPC.

Writes its usage as a line before and after it serves, then once for each line that it reads.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime

import psutil

import controller.__main__  # noqa: F401  # all that a controller has loaded
from controller.registry import Registry
from controller.status import timestamp
from tests.builders import body

SCALERS = 1_000
MIB = 2**20


def main() -> None:
    """Serve until the input ends."""
    registry = _registry()
    _tell()
    asyncio.run(_serve(registry))


async def _serve(registry: Registry) -> None:
    from controller.keda import ExternalScaler, serving  # noqa: PLC0415  # what it costs is measured

    scaler = ExternalScaler(
        registry=registry, is_listed=lambda: True, clock=lambda: datetime.now(UTC), stop=asyncio.Event()
    )
    async with serving(scaler, "127.0.0.1:0") as port:
        _tell(port)
        while await asyncio.to_thread(sys.stdin.readline):
            _tell()


def _registry() -> Registry:
    registry = Registry()
    last = {"time": timestamp(datetime.now(UTC)), "demand": 61.2}
    for number in range(SCALERS):
        status = {"desiredReplicas": 7, "currentReplicas": 7, "lastDecision": last}
        registry.put(body(f"web-{number}", spec={"mode": "Observe"}, status=status))
    return registry


def _tell(port: int = 0) -> None:
    process = psutil.Process()
    times = process.cpu_times()
    usage = {"memory": process.memory_info().rss / MIB, "processor": times.user + times.system, "port": port}
    sys.stdout.write(json.dumps(usage) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
