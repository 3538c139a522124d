"""The command line of the sandbox: build, up, down, status, exporter."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sandbox import background, binaries, keda
from sandbox.exporter import Exporter
from sandbox.processes import ProcessError
from sandbox.replay import Counter


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except (background.AlreadyUp, background.NotASandbox, binaries.BinaryError, ProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def build(parsed: argparse.Namespace) -> int:
    """Have every program ready and say where it is."""
    found = keda.search().all() if parsed.what == keda.BUNDLE.name else binaries.find_all()
    width = max(len(name) for name in found)
    for name, path in found.items():
        print(f"{name:{width}}  {path}")
    return 0


def up(parsed: argparse.Namespace) -> int:
    """Start a background sandbox."""
    startup = timedelta(seconds=parsed.startup)
    addresses = background.up(parsed.directory, startup=startup, nodes=parsed.nodes, report=binaries.say)
    _print_addresses(addresses)
    print("\n`python -m sandbox status` lists what runs; `python -m sandbox down` ends it.")
    return 0


def down(parsed: argparse.Namespace) -> int:
    """End the background sandbox."""
    ended = background.down(parsed.directory)
    print(f"ended {len(ended)} processes" if ended else "nothing was up")
    return 0


def status(parsed: argparse.Namespace) -> int:
    """List the processes of the background sandbox; 3 when none runs, as service managers have it."""
    running = background.processes(parsed.directory)
    if not running:
        print("nothing is up")
        return 3
    for process in running:
        ports = ",".join(map(str, process.identity.listening_ports())) or "-"
        print(f"{process.name:24} pid {process.pid:<8} ports {ports:14} log {process.log}")
    addresses = background.addresses_of(parsed.directory)
    if addresses:
        print()
        _print_addresses(addresses)
    return 0


def exporter(parsed: argparse.Namespace) -> int:
    """Serve the replayed trace until SIGTERM or Ctrl-C."""
    replay, words = background.replay_at(parsed.seam)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with Exporter({Counter(): replay}, port=parsed.port) as serving:
        print(f"http://{serving.address}/metrics: {words}", flush=True)
        ended.wait()
    return 0


def _print_addresses(addresses: background.Addresses) -> None:
    print(f"export KUBECONFIG={addresses.kubeconfig}")
    print(f"Prometheus  {addresses.prometheus}")
    print(f"Exporter    {addresses.exporter}/metrics  ({addresses.traffic})")
    if addresses.aws:
        print(
            f"AWS         {addresses.aws}  (AWS_ENDPOINT_URL; any access key; empty CloudWatch, Auto Scaling, S3 ...)"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A Kubernetes cluster on loopback.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    building = commands.add_parser("build", help="find, download or build every program")
    building.add_argument("what", nargs="?", choices=[keda.BUNDLE.name], help="only KEDA, which nothing else needs")
    building.set_defaults(run=build)
    starting = commands.add_parser("up", help="start a sandbox that goes on in the background")
    starting.add_argument("--startup", type=float, default=2.0, metavar="SECONDS", help="start-up time of pods [2]")
    starting.add_argument("--nodes", type=int, default=3, metavar="N", help="simulated nodes [3]")
    starting.set_defaults(run=up)
    ending = commands.add_parser("down", help="end it and remove its files")
    ending.set_defaults(run=down)
    listing = commands.add_parser("status", help="list its processes, ports and logs")
    listing.set_defaults(run=status)
    for command in (starting, ending, listing):
        _add_directory(command)
    _add_exporter(commands)
    return parser


def _add_directory(command: argparse.ArgumentParser) -> None:
    default = background.default_directory(os.environ)
    command.add_argument("--directory", type=Path, default=default, help=f"where it keeps its files [{default}]")


def _add_exporter(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serving = commands.add_parser("exporter", help="serve replayed traffic as a counter")
    serving.add_argument("--port", type=int, default=0, help="on 127.0.0.1 [a free one]")
    serving.add_argument(
        "--seam",
        type=datetime.fromisoformat,
        required=True,
        metavar="TIME",
        help="an ISO 8601 time with zone, around now: the trace is shifted to it by whole weeks",
    )
    serving.set_defaults(run=exporter)


if __name__ == "__main__":
    sys.exit(main())
