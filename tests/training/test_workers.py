"""Does a task's process harm nobody but itself, and leave nothing behind?"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from training import workers
from training.families import boosting


def _square(number: int) -> int:
    """What `workers` does in these tests."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 4:
        sys.exit(7)
    if number == 5:
        time.sleep(60)
    return number * number


@pytest.mark.slow
def test_a_process_that_dies_costs_its_own_task_only() -> None:
    found = dict(workers.each(_square, [0, 1, 2, 3, 4, 6], workers=2))

    assert {number: answer for number, answer in found.items() if number not in {3, 4}} == {0: 0, 1: 1, 2: 4, 6: 36}
    assert "killed by signal 9" in str(found[3])
    assert "ended with code 7" in str(found[4])


@pytest.mark.slow
def test_a_process_that_takes_too_long_is_ended() -> None:
    found = dict(workers.each(_square, [5], workers=1, longest=timedelta(seconds=0.5)))

    assert "took too long" in str(found[5])


def _pid(place: tuple[Path, bool]) -> int:
    """Leaves word of its process, and goes on for long, or until another has begun as well."""
    folder, is_brief = place
    (folder / str(os.getpid())).touch()
    for _ in range(1200):
        if is_brief and len(list(folder.iterdir())) > 1:
            break
        time.sleep(0.05)
    return 0


def test_who_stops_waiting_leaves_no_process(tmp_path: Path) -> None:
    tasks = workers.each(_pid, [(tmp_path, True), (tmp_path, False), (tmp_path, False)], workers=2)
    next(tasks)
    tasks.close()  # type: ignore[attr-defined]  # it is a generator

    alive = [each.name for each in tmp_path.iterdir() if Path("/proc", each.name).exists()]
    assert len(list(tmp_path.iterdir())) >= 2
    assert alive == []


def _threads(_task: int) -> int:
    return boosting.threads()


def test_a_worker_takes_one_core() -> None:
    assert [answer for _, answer in workers.each(_threads, [0], workers=1)] == [1]


@pytest.mark.parametrize(("allowed", "expected"), [(None, 2), ("1", 1), ("0", 1), ("64", 2), ("4,2", 2), ("", 2)])
def test_trees_take_the_cores_that_they_may(
    monkeypatch: pytest.MonkeyPatch, allowed: str | None, expected: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if allowed is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", allowed)

    assert boosting.threads() == expected
