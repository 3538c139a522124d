"""What does a sandbox that outlives the command that started it leave on disk, so that another can find and end it?

One sandbox a directory. Its processes are remembered by pid and start time: a pid that went to another program is
left alone.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sandbox.cluster import Sandbox
from sandbox.controlplane import LOGS
from sandbox.exporter import address_answers, wall_clock
from sandbox.processes import Program, Running, registered, start_on_free_port
from sandbox.prometheus import Prometheus, Scrape
from sandbox.replay import INSTANCE, JOB, Counter, Replay, write_history
from sandbox.traffic import REPOSITORY, recorded_or_made

HISTORY = timedelta(days=14)
SCRAPE_INTERVAL = timedelta(seconds=15)
LOADING = timedelta(seconds=20)
READY_SECONDS = 60.0  # a second on an idle machine: it reads the trace before it serves


class AlreadyUp(Exception):  # noqa: N818 - a state, and the message says what to do about it
    """A background sandbox is there already."""


class NotASandbox(Exception):  # noqa: N818 - a state, and the message says what to do about it
    """The directory holds files that no sandbox has written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """How to reach a background sandbox: URLs, the administrator's kubeconfig; `traffic`: what is replayed.

    `aws`: empty in one that was started before there was an AWS.
    """

    kubeconfig: str
    api_server: str
    prometheus: str
    exporter: str
    traffic: str
    aws: str = ""


def default_directory(environment: Mapping[str, str]) -> Path:
    """Where the user's background sandbox lives."""
    users = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".local" / "state"
    return Path(users) / "predictive-scaler" / "sandbox"


def up(directory: Path, *, startup: timedelta, nodes: int, report: Callable[[str], None]) -> Addresses:
    """Start a sandbox that goes on by itself, with Prometheus, two weeks of history, live traffic and an AWS.

    Raises AlreadyUp, NotASandbox; ProcessError or binaries.BinaryError when it does not start: then nothing goes on.
    """
    if processes(directory):
        raise AlreadyUp(f"a sandbox is up in {directory}; `python -m sandbox down` ends it")
    _clear(directory)
    sandbox = Sandbox(startup=startup, nodes=nodes, directory=directory, register=_register(directory), report=report)
    try:
        sandbox.start()
        addresses = _start_traffic(sandbox, directory)
    except BaseException:
        sandbox.stop(keep_logs=True)
        raise
    _addresses(directory).write_text(json.dumps(asdict(addresses), indent=2), encoding="utf-8")
    return addresses


def addresses_of(directory: Path) -> Addresses | None:
    """How to reach what is up in `directory`; None when nothing came up there."""
    try:
        return Addresses(**json.loads(_addresses(directory).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def processes(directory: Path) -> list[Running]:
    """The processes of the sandbox in `directory` that run, also when it never came up wholly."""
    return [running for running in registered(_register(directory)) if running.identity.is_running]


def down(directory: Path) -> list[Running]:
    """End what runs in `directory` and remove its files; what it ended. Raises NotASandbox."""
    ended = processes(directory)
    for running in reversed(ended):
        running.identity.stop(grace=0.0)
    _clear(directory)
    return ended


def replay_at(now: datetime) -> tuple[Replay, str]:
    """What a background sandbox replays, the same for the same `now`; and a sentence that says what it is."""
    trace, words = recorded_or_made()
    return Replay.on_this_weekday(trace, now, HISTORY), words


def _start_traffic(sandbox: Sandbox, directory: Path) -> Addresses:
    seam = wall_clock() + LOADING
    replay, words = replay_at(seam)
    history = write_history(
        directory / "history.om", {Counter(): replay}, since=seam - HISTORY, until=seam, every=SCRAPE_INTERVAL
    )
    exporter = _start_exporter(sandbox, directory, seam)
    prometheus = _start_prometheus(sandbox, exporter, history)
    return Addresses(
        kubeconfig=str(sandbox.kubeconfig),
        api_server=sandbox.api_server_url,
        prometheus=prometheus.url,
        exporter=f"http://{exporter}",
        traffic=words,
        aws=sandbox.aws().url,
    )


def _start_exporter(sandbox: Sandbox, directory: Path, seam: datetime) -> str:
    def program(port: int) -> Program:
        command = (sys.executable, "-m", "sandbox", "exporter", "--port", str(port), "--seam", seam.isoformat())
        environment = {"PYTHONPATH": str(REPOSITORY)}
        return Program(name="exporter", argv=command, log=sandbox.layout.log("exporter"), env=environment)

    process, port = start_on_free_port(
        program,
        lambda port: address_answers(f"127.0.0.1:{port}"),
        timeout=READY_SECONDS,
        register=_register(directory),
    )
    sandbox.processes.append(process)
    return f"127.0.0.1:{port}"


def _start_prometheus(sandbox: Sandbox, exporter: str, history: Path) -> Prometheus:
    scrape = Scrape(job=JOB, address=exporter, interval=SCRAPE_INTERVAL, labels={"instance": INSTANCE})
    return sandbox.prometheus(history=[history], scrapes=[scrape])


def _clear(directory: Path) -> None:
    """Remove `directory`, provided it is a sandbox's: whole, or the logs of one that did not come up."""
    names = {entry.name for entry in directory.iterdir()} if directory.exists() else set()
    if names - {LOGS} and not _register(directory).exists():
        raise NotASandbox(f"{directory} holds other files and is left alone; name a directory that does not exist")
    shutil.rmtree(directory, ignore_errors=True)


def _register(directory: Path) -> Path:
    return directory / "processes.jsonl"


def _addresses(directory: Path) -> Path:
    return directory / "addresses.json"
