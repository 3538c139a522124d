"""A background sandbox is found, refused a second time, and ended, also when it never came up wholly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox import background
from sandbox.__main__ import main
from sandbox.processes import Process, Program, start


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir()
    return made


@pytest.fixture
def running(directory: Path) -> Iterator[Process]:
    """One process of a sandbox whose `up` was killed half-way."""
    program = Program(name="etcd", argv=("/bin/sh", "-c", "exec sleep 60"), log=directory / "logs" / "etcd.log")
    process = start(program, register=directory / "processes.jsonl")
    yield process
    process.stop()


@pytest.mark.usefixtures("running")
def test_a_second_one_is_refused(directory: Path) -> None:
    with pytest.raises(background.AlreadyUp, match="python -m sandbox down"):
        background.up(directory, startup=timedelta(seconds=1), nodes=1, report=lambda _: None)


def test_down_ends_what_was_started_and_removes_its_files(directory: Path, running: Process) -> None:
    assert [ended.pid for ended in background.down(directory)] == [running.pid]
    assert (running.is_running, directory.exists()) == (False, False)


@pytest.mark.parametrize("command", ["up", "down"])
def test_files_of_others_are_left_alone(command: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "thesis.txt").touch()
    assert main([command, "--directory", str(directory)]) == 1
    assert "holds other files and is left alone" in capsys.readouterr().err
    assert (directory / "thesis.txt").exists()


def test_the_logs_of_one_that_did_not_come_up_are_removed(directory: Path) -> None:
    (directory / "logs").mkdir()
    background.down(directory)
    assert not directory.exists()


def test_status_lists_processes_and_logs(directory: Path, running: Process, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--directory", str(directory)]) == 0
    assert f"pid {running.pid}" in capsys.readouterr().out


def test_status_of_nothing_is_three(tmp_path: Path) -> None:
    assert main(["status", "--directory", str(tmp_path)]) == 3


def test_down_of_nothing_is_well(tmp_path: Path) -> None:
    assert main(["down", "--directory", str(tmp_path / "none")]) == 0


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/predictive-scaler/sandbox"),
        ({"HOME": "/h"}, "/h/.local/state/predictive-scaler/sandbox"),
    ],
)
def test_its_files_are_where_the_user_keeps_state(environment: dict[str, str], expected: str) -> None:
    assert background.default_directory(environment) == Path(expected)
