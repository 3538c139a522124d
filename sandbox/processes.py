"""Which programs run for the sandbox, where do they write, and what is sure to end with them?

Knows nothing of Kubernetes or Prometheus. Linux only: it reads /proc and relies on PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import psutil

TETHER = Path(__file__).with_name("tether.py")
POLL_SECONDS = 0.05
START_ATTEMPTS = 4
QUOTED_LINES = 12

# The kernel ties a child to the *thread* that started it, so every child is started by this one, which lives
# until the interpreter ends.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-starter")


class ProcessError(Exception):
    """A program did not start, ended early, or was not ready in time. The message quotes and names its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run. `argv[0]`: an absolute path. `log`: gets stdout and stderr. `env`: added to the own environment."""

    name: str
    argv: tuple[str, ...]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process for good: pids are used again, a pid with its start time (clock ticks since boot) is not."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has `pid` now; None when none does or it has ended and waits to be reaped."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else cls(pid=pid, started=int(fields[19]))

    @property
    def is_running(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def listening_ports(self) -> list[int]:
        """The TCP ports on which it listens, ascending."""
        try:
            connections = psutil.Process(self.pid).net_connections(kind="tcp") if self.is_running else []
        except psutil.Error:  # it ended meanwhile
            return []
        return sorted({one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN})

    def stop(self, grace: float) -> None:
        """Ask it to end, and kill it after `grace` seconds. Never touches another process that got its pid."""
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
            if patience and self._signal(number):
                wait_until(lambda: not self.is_running, patience)

    def _signal(self, number: signal.Signals) -> bool:
        if not self.is_running:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A line of a register: what was started, and how to tell it from a later process with its pid."""

    name: str
    pid: int
    started: int
    log: str

    @property
    def identity(self) -> Identity:
        """What it is known by."""
        return Identity(pid=self.pid, started=self.started)


class Process:
    """A running program that this interpreter started."""

    def __init__(self, program: Program, popen: subprocess.Popen[bytes]) -> None:
        self.program = program
        self._popen = popen

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Whether it still runs."""
        return self._popen.poll() is None

    def wait_ready(self, is_ready: Callable[[], bool], timeout: float) -> None:
        """Wait until `is_ready`. Raises ProcessError when the program ends before, or after `timeout` seconds."""
        if wait_until(lambda: not self.is_running or is_ready(), timeout) and self.is_running:
            return
        raise self.failure(f"was not ready after {timeout:.0f} s" if self.is_running else self._ending())

    def stop(self, grace: float = 0.0) -> None:
        """End it: SIGTERM and, after `grace` seconds, SIGKILL; at once SIGKILL when `grace` is 0."""
        if grace and self.is_running:
            self._popen.terminate()
            wait_until(lambda: not self.is_running, grace)
        if self.is_running:
            self._popen.kill()
        self._popen.wait()

    def failure(self, what: str) -> ProcessError:
        """An error that says what happened and quotes the end of the log."""
        return ProcessError(f"{self.program.name} {what}; the end of {self.program.log}:\n{tail(self.program.log)}")

    def _ending(self) -> str:
        return f"ended with status {self._popen.returncode}"


def start(program: Program, *, register: Path | None = None) -> Process:
    """Run `program` in a session of its own, so that Ctrl-C reaches only us, and we end it in order.

    It is killed when this interpreter ends, however it ends; or else it is written down in `register` and goes on.
    """
    if register is None:
        tether = (sys.executable, "-I", "-S", str(TETHER), str(os.getpid()))
        return _STARTER.submit(_spawn, program, (*tether, *program.argv)).result()
    process = _spawn(program, program.argv)
    _write_down(process, register)
    return process


def registered(register: Path) -> list[Running]:
    """The processes that were written down, in the order of their start; they may have ended since."""
    if not register.exists():
        return []
    lines = register.read_text(encoding="utf-8").splitlines()
    return [Running(**json.loads(line)) for line in lines]


def start_on_free_port(
    build: Callable[[int], Program], is_ready: Callable[[int], bool], *, timeout: float, register: Path | None = None
) -> tuple[Process, int]:
    """Run what `build` makes of a free port. Another program may take the port first: then again with the next."""
    for _ in range(START_ATTEMPTS):
        port = free_port()
        process = start(build(port), register=register)
        try:
            process.wait_ready(lambda port=port: is_ready(port), timeout)  # type: ignore[misc]
        except BaseException:
            process.stop()
            if lost_its_port(process):
                continue
            raise
        return process, port
    raise process.failure(f"found its port taken {START_ATTEMPTS} times")


def lost_its_port(process: Process) -> bool:
    """Whether `process` ended because another program took its port between the choice and the bind."""
    return not process.is_running and "address already in use" in tail(process.program.log, 40).lower()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds: Callable[[], bool], timeout: float) -> bool:
    """Wait for at most `timeout` seconds; whether `holds` came true."""
    deadline = time.monotonic() + timeout
    while not (true := holds()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return true


def tail(log: Path, lines: int = QUOTED_LINES) -> str:
    """The last lines of a log; a word in their place when it has none."""
    if not log.exists():
        return "(no log was written)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]) or "(the log is empty)"


def _spawn(program: Program, argv: tuple[str, ...]) -> Process:
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with program.log.open("wb") as log:
        popen = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **program.env},
            start_new_session=True,
        )
    return Process(program, popen)


def _write_down(process: Process, register: Path) -> None:
    identity = Identity.of(process.pid)
    if identity is None:  # it ended at once, and whoever waits for it will say so
        return
    program = process.program
    running = Running(name=program.name, pid=identity.pid, started=identity.started, log=str(program.log))
    with register.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(running)) + "\n")
