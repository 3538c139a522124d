"""Does a pruned tree still do all that the controller needs of it? `python -m smoke`, run by the image's own Python.

It imports every module of the controller, lets every shipped model forecast, serves gRPC on loopback, makes the clients
of AWS - and calls them where AWS_ENDPOINT_URL leads to an endpoint that may be asked. A failure is a traceback.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import ssl
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import grpc

from controller.forecaster import load_model

CALLS = {
    "autoscaling": "describe_auto_scaling_groups",
    "cloudwatch": "list_metrics",
    "s3": "list_buckets",
    "sts": "get_caller_identity",
}
"""Whom the controller asks, and a call to each that needs no argument."""

LOGINS = ("signin", "sso", "sso-oidc")
"""Whom the SDK itself asks for credentials."""

GRPC_SECONDS = 10.0


def main() -> None:
    """All of it, or a traceback."""
    modules = import_all("controller")
    models = forecast_all(Path("models"))
    asyncio.run(serve_grpc())
    calls = ask_aws(is_there="AWS_ENDPOINT_URL" in os.environ)
    ssl.create_default_context()
    ZoneInfo("Europe/Berlin")
    sys.stdout.write(f"smoke: {modules} modules, {models} models, gRPC, {calls} calls to AWS\n")


def import_all(name: str) -> int:
    """Import every module of a package; how many."""
    package = importlib.import_module(name)
    found = [each.name for each in pkgutil.walk_packages(package.__path__, f"{name}.")]
    for module in found:
        importlib.import_module(module)
    return len(found)


def forecast_all(folder: Path) -> int:
    """Let each model in `folder` answer the example of its card, and nothing to a past of nothing; how many."""
    files = sorted(folder.glob("*.onnx"))
    for file in files:
        load_model(file)
    if not files:
        raise FileNotFoundError(f"there is no model in {folder.resolve()}")
    return len(files)


async def serve_grpc() -> None:
    """One call from a client to a server, both of this process."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    handler: Any = grpc.unary_unary_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("smoke.Smoke", {"Echo": handler}),))
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        echo: Any = channel.unary_unary("/smoke.Smoke/Echo")
        answer = await echo(b"seen", timeout=GRPC_SECONDS)
    await server.stop(None)
    if answer != b"seen":
        raise AssertionError(f"gRPC brought {answer!r} back")


async def _echo(request: bytes, _: object) -> bytes:
    return request


def ask_aws(*, is_there: bool) -> int:
    """Make a client of each service and, where AWS `is_there`, call it; how many calls."""
    session: Any = boto3.Session(region_name=os.environ.get("AWS_REGION", "eu-central-1"))  # its services vary in type
    clients = {name: session.client(name) for name in (*CALLS, *LOGINS)}
    if not is_there:
        return 0
    for name, operation in CALLS.items():
        getattr(clients[name], operation)()
    return len(CALLS)


if __name__ == "__main__":
    main()
