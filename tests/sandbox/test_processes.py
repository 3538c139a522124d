"""What is started ends with us, says why it failed, and is never taken for another process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.processes import (
    Identity,
    ProcessError,
    Program,
    free_port,
    registered,
    start,
    start_on_free_port,
    tail,
    wait_until,
)

PATIENCE = 20.0


def shell(tmp_path: Path, script: str) -> Program:
    return Program(name="program", argv=("/bin/sh", "-c", script), log=tmp_path / "program.log")


def ended(pid: int) -> bool:
    return Identity.of(pid) is None


@pytest.fixture
def sleeper(tmp_path: Path) -> Program:
    return shell(tmp_path, "echo started; exec sleep 60")


def test_a_stopped_process_is_gone(sleeper: Program) -> None:
    process = start(sleeper)
    process.stop()
    assert ended(process.pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_children_die_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    parent_code = f"""
import time
from pathlib import Path
from sandbox.processes import Program, start
log = Path({str(tmp_path)!r}) / "child.log"
print(start(Program(name="child", argv=("/bin/sh", "-c", "exec sleep 60"), log=log)).pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", parent_code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(number)
        parent.wait(PATIENCE)
    assert wait_until(lambda: ended(child), PATIENCE)


def test_a_registered_process_is_written_down(tmp_path: Path, sleeper: Program) -> None:
    process = start(sleeper, register=tmp_path / "register")
    try:
        found = registered(tmp_path / "register")
        assert [(running.name, running.identity) for running in found] == [("program", Identity.of(process.pid))]
    finally:
        process.stop()


def test_stopping_by_identity_ends_the_process(tmp_path: Path, sleeper: Program) -> None:
    process = start(sleeper, register=tmp_path / "register")
    registered(tmp_path / "register")[0].identity.stop(grace=0.0)
    assert wait_until(lambda: not process.is_running, PATIENCE)


def test_another_process_with_the_same_pid_is_left_alone(sleeper: Program) -> None:
    process = start(sleeper)
    try:
        Identity(pid=process.pid, started=1).stop(grace=1.0)
        assert process.is_running
    finally:
        process.stop()


def test_a_process_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    process = start(shell(tmp_path, "echo the disk is full; exit 3"))
    with pytest.raises(ProcessError, match=r"program ended with status 3; the end of .*program.log:\nthe disk is full"):
        process.wait_ready(lambda: False, PATIENCE)


def test_a_process_that_is_never_ready_is_reported(sleeper: Program) -> None:
    process = start(sleeper)
    try:
        with pytest.raises(ProcessError, match="program was not ready after 0 s"):
            process.wait_ready(lambda: False, 0.1)
    finally:
        process.stop()


def test_a_port_that_another_took_is_replaced(tmp_path: Path) -> None:
    tried: list[int] = []

    def program(port: int) -> Program:
        tried.append(port)
        fails = "echo bind: Address already in use; exit 1"
        return shell(tmp_path, fails if len(tried) < 3 else "exec sleep 60")

    process, port = start_on_free_port(program, lambda _: len(tried) == 3, timeout=PATIENCE)
    process.stop()
    assert (len(tried), port) == (3, tried[-1])


def test_a_port_that_is_always_taken_is_an_error(tmp_path: Path) -> None:
    taken = shell(tmp_path, "echo bind: address already in use; exit 1")
    with pytest.raises(ProcessError, match="found its port taken 4 times"):
        start_on_free_port(lambda _: taken, lambda _: False, timeout=PATIENCE)


def test_any_other_failure_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="unknown flag"):
        start_on_free_port(lambda _: shell(tmp_path, "echo unknown flag; exit 2"), lambda _: False, timeout=PATIENCE)


def test_listening_ports_are_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        own = Identity.of(os.getpid())
        assert own is not None
        assert server.getsockname()[1] in own.listening_ports()


def test_a_free_port_can_be_bound() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "(no log was written)"), ("", "(the log is empty)"), ("a\nb\nc\n", "b\nc")]
)
def test_a_tail_says_what_there_is(tmp_path: Path, content: str | None, expected: str) -> None:
    if content is not None:
        (tmp_path / "log").write_text(content, encoding="utf-8")
    assert tail(tmp_path / "log", 2) == expected
